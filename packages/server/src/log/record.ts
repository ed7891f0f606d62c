/**
 * A physical record as bytes, for segment files:
 *
 *     length u32 · crc u32 · time u64 · rid · user · key · payload length u32 · payload · flags u8 · channel · expect? · trace? · ticket?
 *
 * Integers are big-endian; a text is a u16 length and its UTF-8 bytes, 0xFFFF where it is absent. `length` counts what
 * follows the crc, the crc covers just that. Time to payload is the input of a cursor's tag (PROTOCOL.md CUR-4) byte
 * for byte, so the tag is the crc of a prefix and the record's crc goes on from it: every byte is summed once.
 */
import { crc32 } from 'node:zlib';
import { formatTag, TAG_PAYLOAD_BYTES, tagBytes } from '@tideway/protocol';
import type { PhysicalRecord, Tag } from './log.ts';

/** Length and crc in front of a record. */
const HEAD_BYTES = 8;
/** Everything of fixed size: head, time, the lengths of seven texts, payload length, flags. */
const FIXED_BYTES = HEAD_BYTES + 8 + 7 * 2 + 4 + 1;
/** The smallest record: no rid, user, key, expect, trace, ticket; an empty channel and payload. */
const BODY_BYTES_MIN = 8 + 3 * 2 + 4 + 1 + 2;
const ABSENT = 0xffff;
/** Time, the lengths of three texts, payload length. */
const TAG_HEAD_BYTES = 8 + 3 * 2 + 4;
/** Room for texts of 3,000 bytes in front of the payload that a tag covers. */
const SCRATCH_BYTES = TAG_HEAD_BYTES + 3_000 + TAG_PAYLOAD_BYTES;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
const SHORT_TEXT_LENGTH = 64;
/** Longer texts are refused: three bytes a character still fit a u16, and no field of the protocol comes near it. */
const TEXT_LENGTH_MAX = 8 * 1024;

const KINDS = ['data', 'trim', 'close'] as const;
const KIND_MASK = 0b11;
const FLAG_BYTES = 1 << 2;
const FLAG_EXPECT = 1 << 3;
const FLAG_TRACE = 1 << 4;
const FLAG_TICKET = 1 << 5;
const FLAGS_UNKNOWN = 0b1100_0000;

/** No encoded record is larger than this, whatever its texts hold. */
export function encodedBytesBound(record: PhysicalRecord): number {
  const characters =
    record.channel.length +
    (record.rid?.length ?? 0) +
    (record.user?.length ?? 0) +
    (record.key?.length ?? 0) +
    (record.expect?.length ?? 0) +
    (record.trace?.length ?? 0) +
    (record.ticket?.length ?? 0);
  return FIXED_BYTES + 3 * characters + record.payload.length;
}

/** What keeps a record from being encoded, in words; `undefined` for nothing. The payload's size is not looked at. */
export function recordFault(record: PhysicalRecord): string | undefined {
  if (record.time !== undefined && !(Number.isSafeInteger(record.time) && record.time >= 0)) {
    return `time must be whole milliseconds since 1970, got ${record.time}`;
  }
  return (
    textFault('channel', record.channel) ??
    textFault('rid', record.rid) ??
    textFault('user', record.user) ??
    textFault('key', record.key) ??
    textFault('expect', record.expect) ??
    textFault('trace', record.trace) ??
    textFault('ticket', record.ticket)
  );
}

function textFault(name: string, text: string | undefined): string | undefined {
  if (text === undefined || text.length <= TEXT_LENGTH_MAX) return undefined;
  return `${name} has ${text.length} characters; at most ${TEXT_LENGTH_MAX} can be stored`;
}

/**
 * Encodes a record at `at`, where `encodedBytesBound` bytes must be free. Returns the crc behind its tag
 * (`formatTag`); `encodedBytes` tells how long the record became.
 */
export function encodeRecord(record: PhysicalRecord, into: Buffer, at: number): number {
  const start = at + HEAD_BYTES;
  const { payload } = record;
  let end = putTagHead(into, start, record);
  into.set(payload, end);
  const tagEnd = end + Math.min(payload.length, TAG_PAYLOAD_BYTES);
  end += payload.length;

  let flags = KINDS.indexOf(record.kind);
  if (record.encoding === 'bytes') flags |= FLAG_BYTES;
  const flagsAt = end;
  end = putText(into, end + 1, record.channel);
  if (record.expect !== undefined) {
    flags |= FLAG_EXPECT;
    end = putText(into, end, record.expect);
  }
  if (record.trace !== undefined) {
    flags |= FLAG_TRACE;
    end = putText(into, end, record.trace);
  }
  if (record.ticket !== undefined) {
    flags |= FLAG_TICKET;
    end = putText(into, end, record.ticket);
  }
  into[flagsAt] = flags;

  const tagCrc = crc32(into.subarray(start, tagEnd));
  putU32(into, at, end - start);
  putU32(into, at + 4, crc32(into.subarray(tagEnd, end), tagCrc));
  return tagCrc;
}

/** The tag of a record (PROTOCOL.md CUR-4) that is not encoded. */
export function recordTag(record: PhysicalRecord): Tag {
  const { rid = '', user = '', key = '', payload } = record;
  if (3 * (rid.length + user.length + key.length) > SCRATCH_BYTES - TAG_HEAD_BYTES - TAG_PAYLOAD_BYTES) {
    return formatTag(crc32(tagBytes(record)));
  }
  // Together, as one call of the checksum takes longer than to copy what it sums.
  const end = putTagHead(scratch, 0, record);
  return formatTag(crc32(scratch.subarray(0, end + payload.copy(scratch, end, 0, TAG_PAYLOAD_BYTES))));
}

/** How many bytes the record encoded at `at` takes. */
export function encodedBytes(bytes: Buffer, at: number): number {
  return HEAD_BYTES + getU32(bytes, at);
}

/** Where the record at `at` ends, when a whole, undamaged one stands there before `limit`; else `undefined`. */
export function checkedEnd(bytes: Buffer, at: number, limit: number): number | undefined {
  const start = at + HEAD_BYTES;
  if (start + BODY_BYTES_MIN > limit) return undefined;
  const end = start + getU32(bytes, at);
  if (end > limit || end < start + BODY_BYTES_MIN) return undefined;
  return crc32(bytes.subarray(start, end)) === getU32(bytes, at + 4) ? end : undefined;
}

export interface DecodedRecord {
  readonly record: PhysicalRecord;
  /** The crc behind the record's tag. */
  readonly tagCrc: number;
  /** Where the next record starts. */
  readonly end: number;
}

/**
 * Reads the record at `at`, which must end at or before `limit`; `undefined` when no whole, undamaged record stands
 * there. Its payload is a slice of `bytes`, not a copy.
 */
export function decodeRecord(bytes: Buffer, at: number, limit: number): DecodedRecord | undefined {
  const start = at + HEAD_BYTES;
  if (start + BODY_BYTES_MIN > limit) return undefined;
  const end = start + getU32(bytes, at);
  if (end > limit || end < start + BODY_BYTES_MIN) return undefined;

  const payloadLengthAt = skipText(bytes, skipText(bytes, skipText(bytes, start + 8)));
  if (payloadLengthAt + 4 > end) return undefined;
  const payloadAt = payloadLengthAt + 4;
  const payloadBytes = getU32(bytes, payloadLengthAt);
  const flagsAt = payloadAt + payloadBytes;
  if (flagsAt >= end) return undefined;
  const tagEnd = payloadAt + Math.min(payloadBytes, TAG_PAYLOAD_BYTES);
  const tagCrc = crc32(bytes.subarray(start, tagEnd));
  if (crc32(bytes.subarray(tagEnd, end), tagCrc) !== getU32(bytes, at + 4)) return undefined;

  // From here on the bytes are what an encoder wrote; what it did not know is a newer format.
  const flags = bytes[flagsAt] as number;
  const kind = KINDS[flags & KIND_MASK];
  if (kind === undefined || (flags & FLAGS_UNKNOWN) !== 0) return undefined;
  const ridAt = start + 8;
  const userAt = skipText(bytes, ridAt);
  const keyAt = skipText(bytes, userAt);
  const channelAt = flagsAt + 1;
  const expectAt = skipText(bytes, channelAt);
  const traceAt = (flags & FLAG_EXPECT) === 0 ? expectAt : skipText(bytes, expectAt);
  const ticketAt = (flags & FLAG_TRACE) === 0 ? traceAt : skipText(bytes, traceAt);
  if (((flags & FLAG_TICKET) === 0 ? ticketAt : skipText(bytes, ticketAt)) !== end) return undefined;
  const high = getU32(bytes, start);
  return {
    record: {
      channel: getText(bytes, channelAt) ?? '',
      kind,
      encoding: (flags & FLAG_BYTES) === 0 ? 'json' : 'bytes',
      payload: bytes.subarray(payloadAt, flagsAt),
      time: high === 0xffffffff ? undefined : high * 2 ** 32 + getU32(bytes, start + 4),
      user: getText(bytes, userAt),
      rid: getText(bytes, ridAt),
      key: getText(bytes, keyAt),
      expect: (flags & FLAG_EXPECT) === 0 ? undefined : getText(bytes, expectAt),
      trace: (flags & FLAG_TRACE) === 0 ? undefined : getText(bytes, traceAt),
      ticket: (flags & FLAG_TICKET) === 0 ? undefined : getText(bytes, ticketAt),
    },
    tagCrc,
    end,
  };
}

/** What a tag covers in front of the payload; returns where the payload begins. */
function putTagHead(into: Buffer, at: number, { time, rid, user, key, payload }: PhysicalRecord): number {
  if (time === undefined) {
    putU32(into, at, 0xffffffff);
    putU32(into, at + 4, 0xffffffff);
  } else {
    putU32(into, at, Math.floor(time / 2 ** 32));
    putU32(into, at + 4, time);
  }
  const end = putText(into, putText(into, putText(into, at + 8, rid), user), key);
  putU32(into, end, payload.length);
  return end + 4;
}

/** Four bytes by hand: twice as fast as writeUInt32BE, which checks what is known here. */
function putU32(into: Buffer, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

function getU32(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

function putText(into: Buffer, at: number, text: string | undefined): number {
  const length = text === undefined ? ABSENT : putUtf8(into, at + 2, text);
  into[at] = length >>> 8;
  into[at + 1] = length;
  return text === undefined ? at + 2 : at + 2 + length;
}

/** By hand as long as it is ASCII: a call of `write` takes as long as 60 characters. */
function putUtf8(into: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length > SHORT_TEXT_LENGTH) return into.write(text, at);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return into.write(text, at);
    into[at + i] = code;
  }
  return length;
}

function getText(bytes: Buffer, at: number): string | undefined {
  const length = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  return length === ABSENT ? undefined : bytes.toString('utf8', at + 2, at + 2 + length);
}

/** Where the text at `at` ends; beyond the buffer for damaged bytes, which the callers compare with the end. */
function skipText(bytes: Buffer, at: number): number {
  if (at + 2 > bytes.length) return Number.POSITIVE_INFINITY;
  const length = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  return at + 2 + (length === ABSENT ? 0 : length);
}
