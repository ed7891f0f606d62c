/** Reads a segment file's batches one after the other, in chunks; says where the first thing stands that is none. */
import { formatTag } from '@tideway/protocol';
import type { TailRecord } from '../log.ts';
import { positionOf } from '../position.ts';
import { checkedEnd, decodeRecord } from '../record.ts';
import type { DiskFile } from './disk.ts';
import { BATCH_HEAD_BYTES, decodeBatchHead, type BatchHead } from './segment-format.ts';

/** A batch in memory: its records stand in `bytes` from `at` to `limit`. */
export interface BatchBytes {
  readonly head: BatchHead;
  /** Where it stands in the file, and where it ends. */
  readonly offset: number;
  readonly end: number;
  readonly bytes: Buffer;
  readonly at: number;
  readonly limit: number;
}

/** Something that is no whole batch. */
export interface BatchFault {
  readonly offset: number;
  readonly problem: string;
  /** Where the batch would end, when its head could be read. */
  readonly end?: number;
  /** Whole bytes in the wrong place: no interrupted write leaves these. */
  readonly misplaced?: true;
}

export interface BatchRange {
  readonly from: number;
  readonly to: number;
  readonly salt: number;
  /** What is read at once; more for a batch that is larger. */
  readonly chunkBytes: number;
}

export class BatchReader {
  readonly #file: DiskFile;
  readonly #range: BatchRange;
  #offset: number;
  /** The chunk, and where in the file it starts. Each read takes a new one: payloads stay slices of the old. */
  #chunk: Buffer = Buffer.alloc(0);
  #chunkAt = 0;

  constructor(file: DiskFile, range: BatchRange) {
    this.#file = file;
    this.#range = range;
    this.#offset = range.from;
  }

  /** The next batch, its records not yet looked at; `undefined` at the end of the range. */
  async next(): Promise<BatchBytes | BatchFault | undefined> {
    const offset = this.#offset;
    const left = this.#range.to - offset;
    if (left === 0) return undefined;
    if (left < BATCH_HEAD_BYTES) return { offset, problem: `${left} bytes are too few for a batch` };
    if (!(await this.#need(BATCH_HEAD_BYTES))) return this.#ended(offset);
    const head = decodeBatchHead(this.#chunk, offset - this.#chunkAt, this.#range.salt);
    if (head === undefined) return { offset, problem: 'no batch begins here' };
    const end = offset + BATCH_HEAD_BYTES + head.bytes;
    if (end > this.#range.to) return { offset, problem: `the batch is cut ${end - this.#range.to} bytes short`, end };
    if (!(await this.#need(end - offset))) return this.#ended(offset);
    this.#offset = end;
    const at = offset - this.#chunkAt + BATCH_HEAD_BYTES;
    return { head, offset, end, bytes: this.#chunk, at, limit: at + head.bytes };
  }

  /** Has so many bytes from the offset on in the chunk; false when the file ends before. */
  async #need(bytes: number): Promise<boolean> {
    if (this.#offset >= this.#chunkAt && this.#offset + bytes <= this.#chunkAt + this.#chunk.length) return true;
    const length = Math.max(bytes, Math.min(this.#range.chunkBytes, this.#range.to - this.#offset));
    const chunk = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      const count = await this.#file.read(chunk.subarray(filled), this.#offset + filled);
      if (count === 0) break;
      filled += count;
    }
    this.#chunk = chunk.subarray(0, filled);
    this.#chunkAt = this.#offset;
    return filled >= bytes;
  }

  #ended(offset: number): BatchFault {
    return { offset, problem: `the file ends before byte ${this.#range.to}` };
  }
}

/** The first fault among a batch's records; `undefined` when all are whole. */
export function checkBatch(batch: BatchBytes): BatchFault | undefined {
  let at = batch.at;
  for (let n = 0; n < batch.head.count; n++) {
    const end = checkedEnd(batch.bytes, at, batch.limit);
    if (end === undefined) return recordFaultAt(batch, at, n);
    at = end;
  }
  if (at === batch.limit) return undefined;
  return {
    offset: batch.offset + BATCH_HEAD_BYTES + at - batch.at,
    problem: 'bytes behind the last record',
    misplaced: true,
  };
}

/** The records of a batch after position `after`, up to `upTo`. */
export function decodeBatch(batch: BatchBytes, after: number, upTo: number): TailRecord[] | BatchFault {
  const records: TailRecord[] = [];
  let at = batch.at;
  for (let n = 0; n < batch.head.count; n++) {
    const number = batch.head.first + n;
    if (number > upTo) break;
    if (number <= after) {
      const end = checkedEnd(batch.bytes, at, batch.limit);
      if (end === undefined) return recordFaultAt(batch, at, n);
      at = end;
      continue;
    }
    const decoded = decodeRecord(batch.bytes, at, batch.limit);
    if (decoded === undefined) return recordFaultAt(batch, at, n);
    records.push({ position: positionOf(number), tag: formatTag(decoded.tagCrc), record: decoded.record });
    at = decoded.end;
  }
  return records;
}

function recordFaultAt(batch: BatchBytes, at: number, n: number): BatchFault {
  const number = batch.head.first + n;
  const offset = batch.offset + BATCH_HEAD_BYTES + at - batch.at;
  return { offset, problem: `record ${number} does not fit its checksum`, end: batch.end };
}
