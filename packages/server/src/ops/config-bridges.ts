/** The bridges of a configuration: each checked by its own room, and what is wrong said like everything else. */
import { bridgeKeys, isBridgeName, resolveBridge, type ResolvedBridge } from '../bridge/bridge-options.ts';
import { shownLogAddress } from '../log/registry.ts';
import { isObject, refuseUnknown } from './config-objects.ts';
import { type Problem, show } from './config-values.ts';

/** Those that are right; what is wrong is added to `problems`, without credentials. */
export function resolveBridges(options: unknown, problems: Problem[]): ResolvedBridge[] {
  if (options === undefined || options === null) return [];
  const example = "{ orders: { from: 'kafka://127.0.0.1:9092/orders', to: 'order:{key}', deadLetter: 'dead:orders' } }";
  if (!isObject(options)) {
    problems.push({
      key: 'bridges',
      message: `bridges: ${shown(options)} is not allowed; an object such as ${example} is`,
    });
    return [];
  }
  return Object.entries(options).flatMap(([name, value]) => {
    const key = `bridges.${name}`;
    if (!isBridgeName(name)) {
      const allowed = '1–32 of a–z, 0–9 and -, a letter first, are allowed';
      problems.push({ key, message: `${key}: ${show(name)} is no name of a bridge; ${allowed}` });
      return [];
    }
    if (!isObject(value)) {
      problems.push({
        key,
        message: `${key}: ${shown(value)} is not allowed; an object such as ${example} is in bridges`,
      });
      return [];
    }
    refuseUnknown(key, value, bridgeKeys, problems);
    return checkBridge(name, value, (setting) => `${key}.${setting}`, problems) ?? [];
  });
}

/** @param keyOf how a setting is called where it stands */
export function checkBridge(
  name: string,
  options: Readonly<Record<string, unknown>>,
  keyOf: (setting: string) => string,
  problems: Problem[],
): ResolvedBridge | undefined {
  return resolveBridge(name, options, (setting, allowed) => {
    const key = keyOf(setting);
    const value = options[setting];
    const what = value === undefined || value === null ? '' : `${shown(value)} is not allowed; `;
    problems.push({ key, message: `${key}: ${what}${allowed}` });
  });
}

/** An address in it may carry credentials. */
function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return show(typeof value === 'string' ? shownLogAddress(value) : value);
}
