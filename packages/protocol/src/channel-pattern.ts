/**
 * Channel patterns (`chat:{room}`): how parameters become part of a channel's name and are read back (NAM-3). A segment
 * holds at most one parameter, so that a name belongs to a pattern in one way only.
 */
import { isChannelName, isNamespace } from './names.ts';

/** What a parameter may hold unencoded; `~` stands for `%`, and `/` is kept for the pattern itself. */
const PLAIN = /[A-Za-z0-9_.\-@=+,]/;
const ILL_FORMED = /\p{Surrogate}/u;
const PARAMETER = /\{([A-Za-z][A-Za-z0-9_]*)\}/g;

/** The names of a pattern's parameters, in order. */
export function patternParameters(pattern: string): string[] {
  return [...pattern.matchAll(PARAMETER)].map((match) => match[1] as string);
}

/**
 * Makes sure that the text is a channel pattern (NAM-3).
 *
 * @throws RangeError that says what is wrong with it
 */
export function checkPattern(pattern: string): void {
  const wrong = (what: string): RangeError => new RangeError(`"${pattern}" is not a channel pattern: ${what}`);
  const colon = pattern.indexOf(':');
  if (!isNamespace(pattern.slice(0, Math.max(colon, 0)))) {
    throw wrong('it begins with a namespace and a colon, such as chat:{room}');
  }
  const names = patternParameters(pattern);
  if (new Set(names).size < names.length) throw wrong('a parameter stands in it twice');
  if (pattern.split('/').some((segment) => segment.split('{').length > 2)) {
    throw wrong('a segment between slashes holds one parameter at most');
  }
  if (!isChannelName(pattern.replaceAll(PARAMETER, 'x'))) {
    throw wrong('beside {parameters} only the characters of channel names may stand in it');
  }
}

/** UTF-8 percent-encoding with `~` for `%`; a parameter of only dots is encoded too, since `.` and `..` are no segments. */
export function encodeParameter(value: string): string {
  if (value === '.' || value === '..') return value.replaceAll('.', '~2E');
  let text = '';
  for (const character of value) {
    if (PLAIN.test(character)) text += character;
    else
      for (const byte of new TextEncoder().encode(character))
        text += `~${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

/** The reverse of `encodeParameter`; `undefined` when it would not give this very text. */
export function decodeParameter(text: string): string | undefined {
  try {
    const value = decodeURIComponent(text.replaceAll('%', '%25').replaceAll('~', '%'));
    return encodeParameter(value) === text ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The channel a pattern names with these parameters.
 *
 * @throws RangeError when a parameter is missing, empty or no well-formed Unicode, or the name would be too long
 * @example fillPattern('chat:{room}', { room: 'Général' }) // 'chat:G~C3~A9n~C3~A9ral'
 */
export function fillPattern(pattern: string, parameters: Readonly<Record<string, string>> = {}): string {
  const name = pattern.replaceAll(PARAMETER, (_, parameter: string) => {
    const value = Object.hasOwn(parameters, parameter) ? parameters[parameter] : undefined;
    if (typeof value !== 'string' || value === '' || ILL_FORMED.test(value)) {
      throw new RangeError(`channel ${pattern} needs the parameter "${parameter}", a text of at least one character`);
    }
    return encodeParameter(value);
  });
  if (!isChannelName(name))
    throw new RangeError(`"${name}" is not a channel name: namespace:rest, rest of 1–200 characters`);
  return name;
}

/** The parameters with which a pattern names the channel; `undefined` when it does not. */
export function matchPattern(pattern: string, channel: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const given = channel.split('/');
  if (given.length !== wanted.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, segment] of given.entries()) {
    const shape = wanted[index] as string;
    const open = shape.indexOf('{');
    if (open < 0) {
      if (segment !== shape) return undefined;
      continue;
    }
    const close = shape.indexOf('}', open);
    const end = segment.length - (shape.length - close - 1);
    if (end <= open || !segment.startsWith(shape.slice(0, open)) || !segment.endsWith(shape.slice(close + 1)))
      return undefined;
    const value = decodeParameter(segment.slice(open, end));
    if (value === undefined) return undefined;
    parameters[shape.slice(open + 1, close)] = value;
  }
  return parameters;
}
