/**
 * The bytes of a segment file: a head, then batches; a batch is what one write carried.
 *
 *     head   magic 8 · format u16 · epoch 6 · first u64 · previous first u64 · previous bytes u64 · previous tag 4 · salt u32 · crc u32
 *     batch  marker u32 · bytes u32 · count u32 · first u64 · crc u32 · records (record.ts)
 *
 * A head says where its predecessor ends: what lies behind that there was never acknowledged. The crc of a batch's
 * head starts from the salt, which no client knows, so that no payload can be taken for a batch.
 */
import { crc32 } from 'node:zlib';

/** Raised when a program of before could not read what is written now. */
export const LOG_FORMAT = 1;

const MAGIC = Buffer.from('TIDESEG\n', 'latin1');
export const SEGMENT_HEAD_BYTES = 52;
const HEAD_CRC_AT = 48;

const MARKER = 0x54574254;
export const BATCH_HEAD_BYTES = 24;
const BATCH_CRC_AT = 20;

export interface SegmentHead {
  readonly epoch: string;
  /** The number of the segment's first record. */
  readonly first: number;
  /** The segment before it: its first record, how many of its bytes count, its last record's tag. */
  readonly previous: { readonly first: number; readonly bytes: number; readonly tag: string } | undefined;
  readonly salt: number;
}

export function encodeSegmentHead(head: SegmentHead): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEAD_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt16BE(LOG_FORMAT, 8);
  bytes.write(head.epoch, 10, 6, 'latin1');
  putU64(bytes, 16, head.first);
  putU64(bytes, 24, head.previous?.first ?? 0);
  putU64(bytes, 32, head.previous?.bytes ?? 0);
  bytes.write(head.previous?.tag ?? '----', 40, 4, 'latin1');
  bytes.writeUInt32BE(head.salt, 44);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, HEAD_CRC_AT)), HEAD_CRC_AT);
  return bytes;
}

/** Reads a head, or says in words why it is none. */
export function decodeSegmentHead(bytes: Buffer): SegmentHead | string {
  if (bytes.length < SEGMENT_HEAD_BYTES)
    return `a segment's head has ${SEGMENT_HEAD_BYTES} bytes, here are ${bytes.length}`;
  if (!bytes.subarray(0, 8).equals(MAGIC)) return 'not a segment file of Tideway';
  const format = bytes.readUInt16BE(8);
  if (format > LOG_FORMAT) return `written in format ${format} by a newer Tideway; this one reads up to ${LOG_FORMAT}`;
  if (crc32(bytes.subarray(0, HEAD_CRC_AT)) !== bytes.readUInt32BE(HEAD_CRC_AT))
    return 'its head does not fit its checksum';
  const previousFirst = getU64(bytes, 24);
  return {
    epoch: bytes.toString('latin1', 10, 16),
    first: getU64(bytes, 16),
    previous:
      previousFirst === 0
        ? undefined
        : { first: previousFirst, bytes: getU64(bytes, 32), tag: bytes.toString('latin1', 40, 44) },
    salt: bytes.readUInt32BE(44),
  };
}

export interface BatchHead {
  readonly first: number;
  readonly count: number;
  /** Bytes of its records, after the head. */
  readonly bytes: number;
}

export function encodeBatchHead(head: BatchHead, salt: number, into: Buffer): void {
  into.writeUInt32BE(MARKER, 0);
  into.writeUInt32BE(head.bytes, 4);
  into.writeUInt32BE(head.count, 8);
  putU64(into, 12, head.first);
  into.writeUInt32BE(crc32(into.subarray(0, BATCH_CRC_AT), salt), BATCH_CRC_AT);
}

/** Reads the batch head at `at`; `undefined` where none stands. */
export function decodeBatchHead(bytes: Buffer, at: number, salt: number): BatchHead | undefined {
  if (at + BATCH_HEAD_BYTES > bytes.length || bytes.readUInt32BE(at) !== MARKER) return undefined;
  const crc = bytes.readUInt32BE(at + BATCH_CRC_AT);
  if (crc32(bytes.subarray(at, at + BATCH_CRC_AT), salt) !== crc) return undefined;
  return { bytes: bytes.readUInt32BE(at + 4), count: bytes.readUInt32BE(at + 8), first: getU64(bytes, at + 12) };
}

/** True when a batch head of this segment stands anywhere after `from`. */
export function holdsBatchHead(bytes: Buffer, from: number, salt: number): boolean {
  for (let at = bytes.indexOf(MARKER_BYTES, from); at >= 0; at = bytes.indexOf(MARKER_BYTES, at + 1)) {
    if (decodeBatchHead(bytes, at, salt) !== undefined) return true;
  }
  return false;
}

const MARKER_BYTES = Buffer.from([0x54, 0x57, 0x42, 0x54]);

/** `00000000000000000001.seg`: names sort as positions do. */
export function segmentName(first: number): string {
  return `${String(first).padStart(20, '0')}.seg`;
}

/** The first position in a segment's name; `undefined` for other files. */
export function firstOfName(name: string): number | undefined {
  const digits = /^(\d{20})\.seg$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Positions stay below 2^53, so that they are exact as numbers. */
function putU64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}

function getU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}
