/**
 * Cursors (PROTOCOL.md CUR-1 to CUR-7): a place in a channel's log, `epoch.position.tag`.
 * Clients treat one as opaque text; only the server and the verifier take it apart.
 */
import { crc32 } from './crc32.ts';

/** 64 digits of 6 bits in byte order, so that comparing text compares numbers (CUR-2). */
const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
/** How many digits of a position follow: `0`…`9`, `A`, `B` (2^63 − 1 takes 11). */
const LENGTHS = '0123456789AB';

/** `0`: the place before every record (CUR-3). */
export const POSITION_ZERO = '0';
/** The tag of a `prev` where there is none or it is not known: sorts below every tag (CUR-5). */
export const TAG_LOWEST = '----';
/** The tag of a place given out where there is none or it is not known: sorts above every tag (CUR-5). */
export const TAG_HIGHEST = 'zzzz';
/** No cursor is longer (CUR-1). */
export const CURSOR_LENGTH_MAX = 64;

const POSITION_MAX = 0x7fff_ffff_ffff_ffffn;
const PARSE = /^([-0-9A-Z_a-z]{6})\.([0-9AB][-0-9A-Z_a-z]*)\.([-0-9A-Z_a-z]{4})$/;

/** A cursor, taken apart. `position` stays in its wire form, whose byte order is numeric order. */
export interface CursorParts {
  readonly epoch: string;
  readonly position: string;
  readonly tag: string;
}

/** One number of a position: a length character, then its base-64 digits without leading zero (CUR-3). */
export function encodePositionNumber(value: number | bigint): string {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`position must be 0 … 2^53 − 1, got ${value}`);
    if (value === 0) return POSITION_ZERO;
    let text = '';
    let n = value;
    while (n > 0) {
      text = (DIGITS[n % 64] as string) + text;
      n = Math.floor(n / 64);
    }
    return (LENGTHS[text.length] as string) + text;
  }
  if (value < 0n || value > POSITION_MAX) throw new RangeError(`position must be 0 … 2^63 − 1, got ${value}`);
  if (value === 0n) return POSITION_ZERO;
  let text = '';
  for (let n = value; n > 0n; n >>= 6n) text = (DIGITS[Number(n & 63n)] as string) + text;
  return (LENGTHS[text.length] as string) + text;
}

/** The numbers of a well-formed position (one, or two for logs numbered by a pair); `undefined` otherwise (CUR-3). */
export function decodePosition(position: string): readonly bigint[] | undefined {
  const numbers: bigint[] = [];
  let at = 0;
  while (at < position.length) {
    const length = LENGTHS.indexOf(position[at] as string);
    if (length < 0 || at + 1 + length > position.length) return undefined;
    let value = 0n;
    for (let i = at + 1; i <= at + length; i++) {
      const digit = DIGITS.indexOf(position[i] as string);
      if (digit < 0 || (digit === 0 && i === at + 1)) return undefined;
      value = (value << 6n) | BigInt(digit);
    }
    if (value > POSITION_MAX) return undefined;
    numbers.push(value);
    at += 1 + length;
  }
  return numbers.length === 1 || numbers.length === 2 ? numbers : undefined;
}

/** Takes a cursor apart; `undefined` when it is not well-formed (CUR-1): the answer is `bad_cursor`. */
export function parseCursor(cursor: string): CursorParts | undefined {
  if (cursor.length > CURSOR_LENGTH_MAX) return undefined;
  const match = PARSE.exec(cursor);
  if (match === null) return undefined;
  const position = match[2] as string;
  if (decodePosition(position) === undefined) return undefined;
  return { epoch: match[1] as string, position, tag: match[3] as string };
}

/** Puts a cursor together; the parts are trusted to be well-formed. */
export function formatCursor(epoch: string, position: string, tag: string): string {
  return `${epoch}.${position}.${tag}`;
}

/** 24 bits as four digits, most significant first; a computed tag that would read `----` or `zzzz` has its last bit inverted (CUR-5). */
export function formatTag(crc: number): string {
  let low = crc & 0xffffff;
  if (low === 0 || low === 0xffffff) low ^= 1;
  return (
    (DIGITS[low >>> 18] as string) +
    (DIGITS[(low >>> 12) & 63] as string) +
    (DIGITS[(low >>> 6) & 63] as string) +
    (DIGITS[low & 63] as string)
  );
}

/** 36 bits of randomness (6 bytes, of which the low 6 bits of each count) as an epoch (CUR-2). */
export function formatEpoch(random: Uint8Array): string {
  if (random.length < 6) throw new RangeError('an epoch takes 6 random bytes');
  let text = '';
  for (let i = 0; i < 6; i++) text += DIGITS[(random[i] as number) & 63] as string;
  return text;
}

/** True when a place with tag `a` may be the place with tag `b`: equal, or one of them unknown (CUR-5). */
export function tagsMatch(a: string, b: string): boolean {
  return a === b || isUnknownTag(a) || isUnknownTag(b);
}

/** True for the two tags that stand for "none or not known" (CUR-5). */
export function isUnknownTag(tag: string): boolean {
  return tag === TAG_LOWEST || tag === TAG_HIGHEST;
}

/** What a tag is computed over (CUR-4). */
export interface TagInput {
  /** Milliseconds since 1970; absent where the log gave none. */
  readonly time?: number | undefined;
  readonly rid?: string | undefined;
  readonly user?: string | undefined;
  readonly key?: string | undefined;
  readonly payload: Uint8Array;
}

/** The payload bytes that count for a tag (CUR-4). */
export const TAG_PAYLOAD_BYTES = 1024;

const utf8 = /* @__PURE__ */ new TextEncoder();

/**
 * The bytes a tag is computed over, in this order (CUR-4): time as 8 bytes, big-endian (absent: 8 × 0xFF); rid, user,
 * key, each as a 2-byte big-endian length and its UTF-8 bytes (absent: 0xFFFF); payload length as 4 bytes,
 * big-endian; the first 1,024 payload bytes. `time` is a whole number from 0 to 2^53 − 1, a text has at most 65,534 bytes.
 */
export function tagBytes(input: TagInput): Uint8Array {
  const texts = [input.rid, input.user, input.key].map((text) => (text === undefined ? undefined : utf8.encode(text)));
  const head = input.payload.subarray(0, TAG_PAYLOAD_BYTES);
  const length = 8 + texts.reduce((sum, text) => sum + 2 + (text?.length ?? 0), 0) + 4 + head.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  if (input.time === undefined) bytes.fill(0xff, 0, 8);
  else view.setBigUint64(0, BigInt(input.time));
  let at = 8;
  for (const text of texts) {
    view.setUint16(at, text === undefined ? 0xffff : text.length);
    at += 2;
    if (text !== undefined) {
      bytes.set(text, at);
      at += text.length;
    }
  }
  view.setUint32(at, input.payload.length);
  bytes.set(head, at + 4);
  return bytes;
}

/** The tag of a record (CUR-4). */
export function computeTag(input: TagInput): string {
  return formatTag(crc32(tagBytes(input)));
}

/**
 * What a client does with a record or mark that reaches it at `place` (CUR-7): apply, drop as duplicate, or resubscribe.
 * Across epochs order means nothing, so what comes from another one without a `gap` before it is a hole.
 */
export function judge(
  place: string,
  step: { readonly prev: string; readonly cursor: string },
): 'apply' | 'duplicate' | 'hole' {
  if (!step.cursor.startsWith(place.slice(0, place.indexOf('.') + 1))) return 'hole';
  if (step.cursor <= place) return 'duplicate';
  return step.prev <= place ? 'apply' : 'hole';
}
