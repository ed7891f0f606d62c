/**
 * A physical record as services in any language see it on a broker: the channel is the key (or subject), the payload is
 * the value as it is, everything else is a header with a text. Whoever writes the same headers has appended a record.
 *
 *     tideway-kind      trim | close        absent: data
 *     tideway-encoding  bytes               absent: json
 *     tideway-time      milliseconds since 1970
 *     tideway-user, tideway-rid, tideway-key, tideway-expect, traceparent, tideway-ticket
 *
 * Header names are lower case and texts UTF-8.
 */
import { crc32 } from 'node:zlib';
import { CURSOR_LENGTH_MAX, isRid, limits } from '@tideway/protocol';
import { readJsonPayload } from '../json-payload.ts';
import type { PhysicalRecord } from '../log.ts';

export interface NativeRecord {
  /** `undefined` where a foreign producer gave none, or where this or one of our headers is not UTF-8. */
  readonly channel: string | undefined;
  readonly value: Buffer;
  /** By name; unknown ones are left alone. */
  readonly headers: ReadonlyMap<string, string>;
  /** The broker's own time of the record, milliseconds since 1970, for those that carry none. */
  readonly brokerTime?: number;
}

const names = {
  kind: 'tideway-kind',
  encoding: 'tideway-encoding',
  time: 'tideway-time',
  user: 'tideway-user',
  rid: 'tideway-rid',
  key: 'tideway-key',
  expect: 'tideway-expect',
  trace: 'traceparent',
  ticket: 'tideway-ticket',
} as const;

const texts = ['user', 'rid', 'key', 'expect', 'trace', 'ticket'] as const;
const NO_PAYLOAD = Buffer.alloc(0);
const TICKET_LENGTH_MAX = 128;

export function toNative(record: PhysicalRecord): NativeRecord {
  const headers = new Map<string, string>();
  if (record.kind !== 'data') headers.set(names.kind, record.kind);
  if (record.encoding !== 'json') headers.set(names.encoding, record.encoding);
  if (record.time !== undefined) headers.set(names.time, String(record.time));
  for (const field of texts) {
    const text = record[field];
    if (text !== undefined) headers.set(names[field], text);
  }
  return { channel: record.channel, value: record.payload, headers };
}

/**
 * What a record of the broker says, checked and made clean as the edge does it with what is appended (PROTOCOL.md
 * NAM-4, FRM-5): a foreign producer may have written anything. What says nothing readable, a payload that is not the
 * JSON it claims to be or over 16 MiB, and a text over its limit give a record with an empty channel, which the fold hides. Its time
 * is the producer's where it gave one, else the broker's: every node sees the same. Never throws.
 */
export function fromNative(native: NativeRecord): PhysicalRecord {
  const { headers, channel, value } = native;
  const kind = headers.get(names.kind) ?? 'data';
  const encoding = headers.get(names.encoding) ?? 'json';
  const time = timeOf(headers.get(names.time)) ?? wholeTime(native.brokerTime);
  const ticket = ticketOf(headers.get(names.ticket));
  if (
    channel === undefined ||
    (kind !== 'data' && kind !== 'trim' && kind !== 'close') ||
    (encoding !== 'json' && encoding !== 'bytes') ||
    // Before anybody parses it: the broker may take more than any node would.
    value.length > limits.recordBytesMax
  ) {
    return unreadable(value, time, ticket);
  }
  let payload = kind === 'data' ? value : NO_PAYLOAD;
  if (kind === 'data' && encoding === 'json') {
    const json = readJsonPayload(value);
    if ('fault' in json) return unreadable(value, time, ticket);
    ({ payload } = json);
  }
  // One literal: to spread texts into it takes longer than all the rest.
  const record: PhysicalRecord = {
    channel,
    kind,
    encoding,
    payload,
    time,
    user: headers.get(names.user),
    rid: headers.get(names.rid),
    key: headers.get(names.key),
    expect: headers.get(names.expect),
    trace: headers.get(names.trace),
    ticket,
  };
  return textsFault(record) === undefined ? record : unreadable(value, time, ticket);
}

function unreadable(payload: Buffer, time: number | undefined, ticket: string | undefined): PhysicalRecord {
  return { channel: '', kind: 'data', encoding: 'bytes', payload, time, ticket };
}

/**
 * What keeps a record's texts from being read from a broker by every node, in words; `undefined` for nothing. Empty
 * texts are left to who appends them.
 */
export function textsFault(
  record: Pick<PhysicalRecord, 'user' | 'rid' | 'key' | 'expect' | 'trace'>,
): string | undefined {
  const { user, rid, key, expect, trace } = record;
  if (user !== undefined && bytesOf(user) > limits.userBytes) return `user has over ${limits.userBytes} bytes`;
  if (key !== undefined && bytesOf(key) > limits.keyBytes) return `key has over ${limits.keyBytes} bytes`;
  if (rid !== undefined && rid !== '' && !isRid(rid))
    return `rid is not 1–${limits.ridLength} printable ASCII characters`;
  if (trace !== undefined && trace !== '' && !isRid(trace)) {
    return `trace is not 1–${limits.ridLength} printable ASCII characters`;
  }
  if (expect !== undefined && expect.length > CURSOR_LENGTH_MAX) {
    return `expect has over ${CURSOR_LENGTH_MAX} characters`;
  }
  return undefined;
}

/** A ticket that the log itself made, for a record whose appender gave none; tails do not show it. */
export const LOG_TICKET = '~';

function ticketOf(text: string | undefined): string | undefined {
  return text === undefined || text.length > TICKET_LENGTH_MAX ? undefined : text;
}

function bytesOf(text: string): number {
  return text.length > limits.userBytes ? text.length : Buffer.byteLength(text);
}

/** The partition of a channel: CRC-32 (IEEE) of its UTF-8 name, modulo their number, as librdkafka's default does. */
export function partitionOfChannel(channel: string, partitions: number): number {
  return partitions === 1 ? 0 : crc32(channel) % partitions;
}

function timeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,16}$/.test(text) ? wholeTime(Number(text)) : undefined;
}

function wholeTime(time: number | undefined): number | undefined {
  return time !== undefined && Number.isSafeInteger(time) && time >= 0 ? time : undefined;
}
