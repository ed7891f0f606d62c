/**
 * Kafka's record batch (magic 2), both ways: NativeRecords into the one batch of a produce request, and the batches of
 * a fetch into StoredRecords. Reading is where a hole is found: offsets must be consecutive; what Kafka itself put into
 * the log (the markers of foreign transactions) has an offset too and becomes a record that says nothing.
 */
import { isUtf8 } from 'node:buffer';
import type { StoredRecord } from '../broker/broker-port.ts';
import type { NativeRecord } from '../broker/native-record.ts';
import { KafkaBytes } from './kafka-bytes.ts';

/** What the client's package brings for batches. */
export interface BatchTools {
  crc32c(bytes: Buffer): number;
  /** `codec` as the batch names it. */
  decompress(codec: number, bytes: Buffer): Buffer;
}

/** Who writes: by these three a broker knows a batch that it has already. */
export interface BatchProducer {
  readonly id: bigint;
  readonly epoch: number;
  readonly sequence: number;
}

export const noProducer: BatchProducer = { id: -1n, epoch: -1, sequence: -1 };

/** Bytes of a batch before its records. */
const HEAD = 61;
/** Of them, those that its length does not count: the base offset and the length itself. */
const LENGTH_END = 12;
const CRC_AT = 17;
const CRC_END = 21;
const MAGIC = 2;
const CODEC = 0b111;
const LOG_APPEND_TIME = 0b1000;
const CONTROL = 0b10_0000;

const noHeaders: ReadonlyMap<string, string> = new Map();
const nothing = Buffer.alloc(0);

/** At most so many bytes has the record in a batch. */
export function recordBytesBound(record: NativeRecord): number {
  // Lengths and deltas: 5 bytes each at most.
  let bytes = 32 + record.value.length + 3 * (record.channel?.length ?? 0);
  for (const [name, text] of record.headers) bytes += 10 + 3 * (name.length + text.length);
  return bytes;
}

export function encodeBatch(
  records: readonly NativeRecord[],
  producer: BatchProducer,
  timeMs: number,
  tools: BatchTools,
): Buffer {
  let bound = HEAD;
  for (const record of records) bound += recordBytesBound(record);
  const bytes = Buffer.allocUnsafe(bound);
  let at = HEAD;
  for (const [n, record] of records.entries()) at = writeRecord(bytes, at, n, record);
  bytes.writeBigInt64BE(0n, 0);
  bytes.writeInt32BE(at - LENGTH_END, 8);
  bytes.writeInt32BE(-1, 12);
  bytes.writeInt8(MAGIC, 16);
  bytes.writeInt16BE(0, 21);
  bytes.writeInt32BE(records.length - 1, 23);
  bytes.writeBigInt64BE(BigInt(timeMs), 27);
  bytes.writeBigInt64BE(BigInt(timeMs), 35);
  bytes.writeBigInt64BE(producer.id, 43);
  bytes.writeInt16BE(producer.epoch, 51);
  bytes.writeInt32BE(producer.sequence, 53);
  bytes.writeInt32BE(records.length, 57);
  bytes.writeUInt32BE(tools.crc32c(bytes.subarray(CRC_END, at)), CRC_AT);
  return bytes.subarray(0, at);
}

function writeRecord(bytes: Buffer, start: number, delta: number, record: NativeRecord): number {
  const { channel, value, headers } = record;
  const keyBytes = channel === undefined ? -1 : Buffer.byteLength(channel);
  let length = 2 + varintBytes(delta) + varintBytes(keyBytes) + Math.max(0, keyBytes);
  length += varintBytes(value.length) + value.length + varintBytes(headers.size);
  const texts: (readonly [string, number])[] = [];
  for (const pair of headers) {
    for (const text of pair) {
      const size = Buffer.byteLength(text);
      texts.push([text, size]);
      length += varintBytes(size) + size;
    }
  }
  let at = writeVarint(bytes, start, length);
  // No attributes, and all records of a batch have its time.
  bytes[at++] = 0;
  bytes[at++] = 0;
  at = writeVarint(bytes, at, delta);
  at = writeVarint(bytes, at, keyBytes);
  if (channel !== undefined) at += bytes.write(channel, at);
  at = writeVarint(bytes, at, value.length);
  at += value.copy(bytes, at);
  at = writeVarint(bytes, at, headers.size);
  for (const [text, size] of texts) {
    at = writeVarint(bytes, at, size);
    at += bytes.write(text, at);
  }
  return at;
}

function varintBytes(value: number): number {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let bytes = 1;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let at = start;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) + 128;
  bytes[at++] = rest;
  return at;
}

/**
 * The records of a fetch from an offset on; batches behind `limit` records are not looked at. A batch cut off at the end
 * is left for the next fetch. Throws when the next record is not the next one, or a batch is not what was written.
 */
export function decodeBatches(
  bytes: Buffer,
  fromOffset: number,
  tools: BatchTools,
  limit = Number.POSITIVE_INFINITY,
): StoredRecord[] {
  const records: StoredRecord[] = [];
  const reader = new KafkaBytes(bytes);
  let next = fromOffset;
  while (reader.left >= HEAD && records.length < limit) {
    const start = reader.at;
    const base = reader.int64();
    const end = start + LENGTH_END + reader.int32();
    if (end > bytes.length) break;
    next = readBatch(bytes.subarray(start, end), base, next, records, tools);
    reader.at = end;
  }
  return records;
}

function readBatch(batch: Buffer, base: number, from: number, records: StoredRecord[], tools: BatchTools): number {
  const head = new KafkaBytes(batch, 16);
  const magic = head.int8();
  if (magic !== MAGIC) throw new Error(`the batch at offset ${base} has format ${magic}; known: ${MAGIC}`);
  if (head.uint32() !== tools.crc32c(batch.subarray(CRC_END))) {
    throw new Error(`the batch at offset ${base} is damaged: its checksum is another`);
  }
  const attributes = head.int16();
  const last = base + head.int32();
  if (last < from) return from;
  const baseTime = head.int64();
  const maxTime = head.int64();
  head.at += 14;
  const count = head.int32();
  if (base > from) throw new Error(`after offset ${from - 1} comes ${base}: a hole`);
  const codec = attributes & CODEC;
  const reader = codec === 0 ? head : new KafkaBytes(tools.decompress(codec, batch.subarray(HEAD)));
  let next = base;
  for (let n = 0; n < count; n++) {
    const end = reader.varint() + reader.at;
    reader.at += 1;
    const timeDelta = reader.varint();
    const offset = base + reader.varint();
    if (offset !== next) throw new Error(`after offset ${next - 1} comes ${offset}: a hole`);
    next++;
    if (offset >= from) {
      const brokerTime = (attributes & LOG_APPEND_TIME) === 0 ? baseTime + timeDelta : maxTime;
      const isControl = (attributes & CONTROL) !== 0;
      records.push(isControl ? blank(offset, brokerTime) : readRecord(reader, offset, brokerTime));
    }
    reader.at = end;
  }
  if (next !== last + 1) throw new Error(`after offset ${next - 1} comes ${last + 1}: a hole`);
  return next;
}

/** Stands where a record says nothing: no channel, so that the fold hides it. */
function blank(offset: number, brokerTime: number): StoredRecord {
  return { number: offset + 1, channel: undefined, value: nothing, headers: noHeaders, brokerTime };
}

function readRecord(reader: KafkaBytes, offset: number, brokerTime: number): StoredRecord {
  const key = readBytes(reader);
  const value = readBytes(reader) ?? nothing;
  const count = reader.varint();
  let isReadable = key !== undefined && isUtf8(key);
  const headers = count === 0 ? noHeaders : new Map<string, string>();
  for (let n = 0; n < count; n++) {
    const name = (readBytes(reader) ?? nothing).toString();
    const text = readBytes(reader) ?? nothing;
    if (isOurs(name) && !isUtf8(text)) isReadable = false;
    (headers as Map<string, string>).set(name, text.toString());
  }
  const channel = isReadable ? key?.toString() : undefined;
  return { number: offset + 1, channel, value, headers, brokerTime };
}

function isOurs(name: string): boolean {
  return name.startsWith('tideway-') || name === 'traceparent';
}

function readBytes(reader: KafkaBytes): Buffer | undefined {
  const length = reader.varint();
  return length < 0 ? undefined : reader.take(length);
}
