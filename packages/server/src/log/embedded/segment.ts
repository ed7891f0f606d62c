/** One segment file as the log knows it: which records it holds, how many of its bytes count, where to begin to read. */
import { join } from 'node:path';
import { TailError, type TailRecord } from '../log.ts';
import { BatchReader, decodeBatch, type BatchFault } from './batch-reader.ts';
import type { Disk } from './disk.ts';
import { SEGMENT_HEAD_BYTES, segmentName, type SegmentHead } from './segment-format.ts';

/** One entry of the index for so many bytes: a read starts at most this far before what it looks for. */
const INDEX_EVERY_BYTES = 64 * 1024;
/** What a tail that catches up is given at once: about a thousand records, a few milliseconds of its consumer. */
const READ_BYTES = 256 * 1024;

export class Segment {
  readonly path: string;
  readonly head: SegmentHead;
  /** How many records are acknowledged in it. */
  count = 0;
  /** How many of its bytes count: head and whole batches. */
  bytes = SEGMENT_HEAD_BYTES;
  /** Batches by their first position, ascending, with where they stand; sparse. */
  readonly #firsts: number[];
  readonly #offsets: number[] = [SEGMENT_HEAD_BYTES];

  constructor(folder: string, head: SegmentHead) {
    this.path = join(folder, segmentName(head.first));
    this.head = head;
    this.#firsts = [head.first];
  }

  /** The number of its last record; `first − 1` while it has none. */
  get last(): number {
    return this.head.first + this.count - 1;
  }

  /** Remembers where a batch stands, unless one close before it is known. */
  noteBatch(first: number, offset: number): void {
    const at = this.#indexBefore(first);
    if (offset - (this.#offsets[at] as number) < INDEX_EVERY_BYTES) return;
    const next = this.#offsets[at + 1];
    if (next !== undefined && next - offset < INDEX_EVERY_BYTES) return;
    this.#firsts.splice(at + 1, 0, first);
    this.#offsets.splice(at + 1, 0, offset);
  }

  /**
   * Records after `after`, which lies in this segment or just before it, up to `upTo`: at least one, about READ_BYTES
   * at most. Rejects with a `TailError`.
   */
  async readAfter(disk: Disk, after: number, upTo: number): Promise<TailRecord[]> {
    const file = await disk.open(this.path, 'read');
    try {
      const from = this.#offsets[this.#indexBefore(after + 1)] as number;
      const range = { from, to: this.bytes, salt: this.head.salt, chunkBytes: READ_BYTES };
      const reader = new BatchReader(file, range);
      const records: TailRecord[] = [];
      let wanted = after + 1;
      for (let bytes = 0; bytes < READ_BYTES && wanted <= upTo;) {
        const batch = await reader.next();
        if (batch === undefined) break;
        if ('problem' in batch) throw this.damaged(batch);
        const { first, count } = batch.head;
        if (first > wanted) throw this.damaged({ offset: batch.offset, problem: `record ${wanted} is missing` });
        if (first + count <= wanted) continue;
        this.noteBatch(first, batch.offset);
        const decoded = decodeBatch(batch, wanted - 1, upTo);
        if ('problem' in decoded) throw this.damaged(decoded);
        for (const record of decoded) records.push(record);
        wanted = first + count;
        bytes += batch.end - batch.offset;
      }
      if (records.length === 0) {
        throw this.damaged({ offset: this.bytes, problem: `record ${after + 1} is missing` });
      }
      return records;
    } finally {
      await file.close();
    }
  }

  damaged(fault: BatchFault): TailError {
    return new TailError(
      'damaged',
      `${this.path} is damaged at byte ${fault.offset}: ${fault.problem}; see \`tideway log check\``,
    );
  }

  /** The entry of the index at or before a position. */
  #indexBefore(position: number): number {
    let low = 0;
    let high = this.#firsts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#firsts[middle] as number) <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
