/**
 * Channel names (PROTOCOL.md NAM-1): what is a name, and which namespace it belongs to.
 * Never decides who may use a channel; that is permission, in the server.
 */

/** `namespace:rest`, taken apart. */
export interface ChannelName {
  /** 1–32 characters, `a–z` first, `$` before it where the channel is the system's. */
  readonly namespace: string;
  /** 1–200 characters of `A–Z a–z 0–9 _ . - ~ / @ = + ,`. */
  readonly rest: string;
}

/** `$` 1 + namespace 32 + `:` 1 + rest 200. */
export const CHANNEL_BYTES_MAX = 234;

const CHANNEL = /^(\$?[a-z][a-z0-9-]{0,31}):([A-Za-z0-9_.\-~/@=+,]{1,200})$/;
const DOT_SEGMENT = /(?:^|\/)\.{1,2}(?:\/|$)/;
const NAMESPACE = /^\$?[a-z][a-z0-9-]{0,31}$/;

/** Takes a channel name apart; `undefined` when it is not one (NAM-1). */
export function parseChannelName(name: string): ChannelName | undefined {
  const match = CHANNEL.exec(name);
  if (match === null) return undefined;
  const rest = match[2] as string;
  if (rest.includes('.') && DOT_SEGMENT.test(rest)) return undefined;
  return { namespace: match[1] as string, rest };
}

/** True when the text is a channel name (NAM-1). */
export function isChannelName(name: unknown): name is string {
  return typeof name === 'string' && parseChannelName(name) !== undefined;
}

/** True when the text can stand before the colon of a channel name (NAM-1). */
export function isNamespace(name: string): boolean {
  return NAMESPACE.test(name);
}

/** The namespace of a name already known to be well-formed. */
export function namespaceOf(channel: string): string {
  return channel.slice(0, channel.indexOf(':'));
}

const RID = /^[\x20-\x7e]{1,64}$/;

/** True for 1–64 printable ASCII characters: the id an appender gives its record (APP-2), and other texts like it (NAM-4). */
export function isRid(rid: unknown): rid is string {
  return typeof rid === 'string' && RID.test(rid);
}

const METHOD = /^[A-Za-z0-9_.-]{1,64}$/;

/** True for what may name a method: 1–64 of `A–Z a–z 0–9 _ . -` (CAL-1). */
export function isMethod(text: unknown): text is string {
  return typeof text === 'string' && METHOD.test(text);
}
