/**
 * Channel patterns (`chat:{room}`): how parameters become part of a channel's name and are read back (NAM-3).
 */
import { isChannelName } from './names.ts';

/** What a parameter may hold unencoded; `~` stands for `%`, and `/` is kept for the pattern itself. */
const PLAIN = /[A-Za-z0-9_.\-@=+,]/;
const utf8 = new TextEncoder();
const PARAMETER = /\{([A-Za-z][A-Za-z0-9_]*)\}/g;

/** The names of a pattern's parameters, in order. */
export function patternParameters(pattern: string): string[] {
  return [...pattern.matchAll(PARAMETER)].map((match) => match[1] as string);
}

/** UTF-8 percent-encoding with `~` for `%`; a parameter of only dots is encoded too, since `.` and `..` are no segments. */
export function encodeParameter(value: string): string {
  if (/^\.{1,2}$/.test(value)) return value.replaceAll('.', '~2E');
  let text = '';
  for (const character of value) {
    if (PLAIN.test(character)) text += character;
    else for (const byte of utf8.encode(character)) text += `~${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

/** The reverse of `encodeParameter`; `undefined` when the text is no encoded parameter. */
export function decodeParameter(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('%', '%25').replaceAll('~', '%'));
  } catch {
    return undefined;
  }
}

/**
 * The channel a pattern names with these parameters.
 *
 * @throws RangeError when a parameter is missing or empty, or the name would be too long
 * @example fillPattern('chat:{room}', { room: 'Général' }) // 'chat:G~C3~A9n~C3~A9ral'
 */
export function fillPattern(pattern: string, parameters: Readonly<Record<string, string>> = {}): string {
  const name = pattern.replaceAll(PARAMETER, (_, parameter: string) => {
    const value = Object.hasOwn(parameters, parameter) ? parameters[parameter] : undefined;
    if (typeof value !== 'string' || value === '') {
      throw new RangeError(`channel ${pattern} needs the parameter "${parameter}", a text of at least one character`);
    }
    return encodeParameter(value);
  });
  if (!isChannelName(name)) throw new RangeError(`"${name}" is not a channel name: namespace:rest, rest of 1–200 characters`);
  return name;
}

/** The parameters with which a pattern names the channel; `undefined` when it does not. */
export function matchPattern(pattern: string, channel: string): Record<string, string> | undefined {
  const source = pattern
    .split(PARAMETER)
    .map((part, index) => (index % 2 === 1 ? '([^/]+?)' : part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)))
    .join('');
  const match = new RegExp(`^${source}$`).exec(channel);
  if (match === null) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, parameter] of patternParameters(pattern).entries()) {
    const value = decodeParameter(match[index + 1] as string);
    if (value === undefined) return undefined;
    parameters[parameter] = value;
  }
  return parameters;
}
