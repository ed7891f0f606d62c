/** The methods of a configuration: each checked, and what is wrong said like everything else. */
import { isMethod, limits } from '@tideway/protocol';
import type { MethodOptions } from '../hub/call.ts';
import { checkWho } from './config-namespaces.ts';
import { isObject, refuseUnknown } from './config-objects.ts';
import { type Problem, show } from './config-values.ts';

const EXAMPLE = "{ 'cart.total': { call: 'user', handle: async (argument, caller) => … } }";

/** Those that are right; what is wrong is added to `problems`. */
export function resolveCalls(options: unknown, problems: Problem[]): Readonly<Record<string, MethodOptions>> {
  const calls: Record<string, MethodOptions> = Object.create(null);
  if (options === undefined || options === null) return calls;
  if (!isObject(options)) {
    problems.push({ key: 'calls', message: `calls: ${show(options)} is not allowed; an object such as ${EXAMPLE} is` });
    return calls;
  }
  const entries = Object.entries(options);
  if (entries.length > limits.methods) {
    problems.push({
      key: 'calls',
      message: `calls: has ${entries.length} methods; at most ${limits.methods} are allowed`,
    });
  }
  for (const [method, value] of entries) {
    const key = `calls.${method}`;
    if (!isMethod(method)) {
      const message = `${key}: ${show(method)} is no method; 1–${limits.methodLength} of A–Z, a–z, 0–9, _, . and - are allowed`;
      problems.push({ key, message });
    } else if (!isObject(value)) {
      problems.push({ key, message: `${key}: ${show(value)} is not allowed; calls are given as ${EXAMPLE}` });
    } else {
      refuseUnknown(key, value, ['call', 'handle'], problems);
      const { call, handle } = value;
      const problem = call === undefined || call === null ? undefined : checkWho(`${key}.call`, 'call', call);
      if (problem !== undefined) problems.push(problem);
      if (typeof handle !== 'function')
        problems.push({
          key: `${key}.handle`,
          message: `${key}.handle: ${show(handle)} is not allowed; a function is`,
        });
      // Looked at just now.
      calls[method] = value as unknown as MethodOptions;
    }
  }
  return calls;
}
