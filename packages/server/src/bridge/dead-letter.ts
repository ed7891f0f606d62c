/**
 * What becomes of a message that can never be a record where it belongs: a record of the dead letter channel, once, with
 * the reason, where it comes from, and all it said.
 */
import { bytesInJson, digestOf, shortened, type Message } from './message.ts';
import type { Item } from './mapping.ts';

export interface DeadLetterOptions {
  /** The name of the bridge. */
  readonly bridge: string;
  /** The broker's address, without credentials. */
  readonly source: string;
  readonly channel: string;
}

/** Of a body that no record has room for. */
const BEGINNING_BYTES = 256;

/** @param isWhole false: without headers, and of the body its beginning alone */
export function deadLetter(
  message: Message,
  { code, why }: { readonly code: string; readonly why: string },
  { bridge, source, channel }: DeadLetterOptions,
  isWhole: boolean,
): Item {
  const { key, subject, headers, body, place } = message;
  const data = {
    code,
    message: why,
    bridge,
    source,
    place,
    subject,
    ...(isWhole && key !== undefined && { key: bytesInJson(key) }),
    ...(isWhole && headers.size > 0 && { headers: Object.fromEntries(headers) }),
    bodyBytes: body.length,
    body: bytesInJson(isWhole ? body : body.subarray(0, BEGINNING_BYTES)),
    ...(!isWhole && { isCut: true }),
  };
  // Of a message without an id, two that are alike in everything are one here.
  const rid = shortened(`${bridge}\n${message.id ?? digestOf(message)}`);
  const text = JSON.stringify({ channel, rid, data });
  return { message, channel, text, bytes: Buffer.byteLength(text) };
}
