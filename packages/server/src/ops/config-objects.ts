/**
 * Objects of unknown shape, as configuration files hold them: is it one, what is at a key, is there a key too many.
 */
import { type Problem, suggest } from './config-values.ts';

/** The value at a dotted key of an object, however deep. */
export function valueAt(object: unknown, key: string): unknown {
  let value = object;
  for (const step of key.split('.')) value = isObject(value) && Object.hasOwn(value, step) ? value[step] : undefined;
  return value;
}

export function refuseUnknown(prefix: string, object: object, known: readonly string[], problems: Problem[]): void {
  for (const word of Object.keys(object)) {
    if (known.includes(word)) continue;
    const key = prefix === '' ? word : `${prefix}.${word}`;
    problems.push({
      key,
      message: `${key}: there is no such setting${suggest(word, known)}; there are: ${known.join(', ')}`,
    });
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
