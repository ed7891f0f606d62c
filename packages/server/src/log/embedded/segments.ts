/**
 * The segment files of a log, as written: one batch at a time goes to the last one; a full or doubtful one is followed
 * by a new one; old ones are removed, oldest first. Nothing is ever written behind bytes whose fate is not known: they
 * are cut off, or the head of a new segment says for good that they do not count.
 */
import { join } from 'node:path';
import { TAG_LOWEST } from '@tideway/protocol';
import { TailError, type TailRecord } from '../log.ts';
import { positionOf } from '../position.ts';
import { WriteError, writeWhole, type Disk, type DiskFile } from './disk.ts';
import type { Recovered } from './recovery.ts';
import {
  BATCH_HEAD_BYTES,
  encodeBatchHead,
  encodeSegmentHead,
  segmentName,
  type SegmentHead,
} from './segment-format.ts';
import { Segment } from './segment.ts';

/** What became of a batch. */
export type WriteResult =
  | { readonly state: 'stored' }
  /** Not stored and never will be. */
  | { readonly state: 'refused'; readonly error: Error }
  /** May be found by the next start. */
  | { readonly state: 'unknown'; readonly error: Error };

export interface SegmentsOptions {
  readonly disk: Disk;
  /** The folder of the segment files. */
  readonly folder: string;
  readonly epoch: string;
  /** A segment is not written beyond this size, unless one batch alone is larger. */
  readonly segmentBytes: number;
  randomBytes(count: number): Uint8Array;
}

const STORED: WriteResult = { state: 'stored' };

export class Segments {
  readonly #options: SegmentsOptions;
  readonly #list: Segment[];
  #file: DiskFile;
  #newestTag: string;
  #bytes: number;
  /** Set when nothing may be written to the last segment any more. */
  #needsNew = false;
  /** Set while a removal is not yet durable. */
  #needsSync = false;

  private constructor(options: SegmentsOptions, found: Pick<Recovered, 'segments' | 'file' | 'newestTag'>) {
    this.#options = options;
    this.#list = [...found.segments];
    this.#file = found.file;
    this.#newestTag = found.newestTag;
    this.#bytes = found.segments.slice(0, -1).reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** The first segment of a new log. */
  static async create(options: SegmentsOptions): Promise<Segments> {
    const head = newHead(options, 1, undefined);
    const file = await createSegment(options, head);
    return new Segments(options, { segments: [new Segment(options.folder, head)], file, newestTag: TAG_LOWEST });
  }

  static recovered(options: SegmentsOptions, found: Recovered): Segments {
    return new Segments(options, found);
  }

  get #last(): Segment {
    return this.#list.at(-1) as Segment;
  }

  /** The number of the newest record. */
  get newest(): number {
    return this.#last.last;
  }

  /** The number of the last record before the oldest segment: everything up to it is gone. */
  get trimmed(): number {
    return this.#oldest.head.first - 1;
  }

  /** The last segment's first record, and how many of its bytes are whole and durable. */
  get end(): { readonly first: number; readonly bytes: number } {
    return { first: this.#last.head.first, bytes: this.#last.bytes };
  }

  /** Bytes of all segments together. */
  get bytes(): number {
    return this.#bytes + this.#last.bytes;
  }

  /** The number of the last record of the oldest segment; `undefined` when that is the one that is written. */
  get oldestLast(): number | undefined {
    return this.#list.length > 1 ? this.#oldest.last : undefined;
  }

  get #oldest(): Segment {
    return this.#list[0] as Segment;
  }

  /**
   * Writes one batch: `BATCH_HEAD_BYTES` of room, then `count` records, of which the last has `lastTag`. One call at a
   * time; durable when it resolves with `stored`. Never rejects.
   */
  async write(batch: Buffer, count: number, lastTag: string): Promise<WriteResult> {
    const full = this.#last.count > 0 && this.#last.bytes + batch.length > this.#options.segmentBytes;
    if (full || this.#needsNew) {
      try {
        await this.#begin();
      } catch (error) {
        this.#needsNew = true;
        return { state: 'refused', error: error as Error };
      }
    }
    const segment = this.#last;
    const first = segment.last + 1;
    encodeBatchHead({ first, count, bytes: batch.length - BATCH_HEAD_BYTES }, segment.head.salt, batch);
    try {
      await writeWhole(this.#file, batch, segment.bytes);
    } catch (error) {
      return this.#cut(error as Error);
    }
    segment.noteBatch(first, segment.bytes);
    segment.count += count;
    segment.bytes += batch.length;
    this.#newestTag = lastTag;
    return STORED;
  }

  /** The tag of the record at a position that is held, or the last one before the oldest; `undefined` for zero. */
  async tagAt(position: number): Promise<string | undefined> {
    if (position === this.newest) return this.#newestTag;
    const after = this.#list.find((segment) => segment.head.first === position + 1);
    if (after !== undefined) return after.head.previous?.tag;
    return (await this.readAfter(position - 1, position))[0]?.tag;
  }

  /** Records after `after`, at least one, up to `upTo`, as many as one read gives. Rejects with a `TailError`. */
  async readAfter(after: number, upTo: number): Promise<TailRecord[]> {
    const segment = this.#list.findLast((segment) => segment.head.first <= after + 1);
    if (segment === undefined) throw this.trimmedError(after);
    try {
      return await segment.readAfter(this.#options.disk, after, Math.min(upTo, segment.last));
    } catch (error) {
      if (this.trimmed > after) throw this.trimmedError(after);
      if (error instanceof TailError) throw error;
      throw new TailError('unavailable', `${segment.path} cannot be read: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  trimmedError(after: number): TailError {
    const message = `records after position ${after} were deleted; the oldest kept follows ${this.trimmed}`;
    return new TailError('trimmed', message, { oldest: positionOf(this.trimmed) });
  }

  /** Removes the oldest segment, which is not the last one. One call at a time. */
  async removeOldest(): Promise<void> {
    const { disk, folder } = this.#options;
    // Removals become durable one by one: a crash must not leave a hole behind an older one.
    if (this.#needsSync) await disk.syncFolder(folder);
    this.#needsSync = false;
    const oldest = this.#list.shift() as Segment;
    try {
      await disk.remove(oldest.path);
    } catch (error) {
      this.#list.unshift(oldest);
      throw error;
    }
    this.#bytes -= oldest.bytes;
    this.#needsSync = true;
    await disk.syncFolder(folder);
    this.#needsSync = false;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Undoes a write that failed, and says whether that can be proven. */
  async #cut(error: Error): Promise<WriteResult> {
    if (!(error instanceof WriteError && error.syncFailed)) {
      try {
        await this.#file.truncate(this.#last.bytes);
        return { state: 'refused', error };
      } catch {
        // As good as a failed sync: the file is not touched again.
      }
    }
    try {
      await this.#begin();
      return { state: 'refused', error };
    } catch {
      this.#needsNew = true;
      return { state: 'unknown', error };
    }
  }

  /** Goes on in a new segment, whose head says where the one before it ends. */
  async #begin(): Promise<void> {
    const last = this.#last;
    const empty = last.count === 0;
    const previous = empty ? last.head.previous : { first: last.head.first, bytes: last.bytes, tag: this.#newestTag };
    const head = newHead(this.#options, last.last + 1, previous);
    const file = await createSegment(this.#options, head);
    const before = this.#file;
    this.#file = file;
    if (empty) this.#list.pop();
    else this.#bytes += last.bytes;
    this.#list.push(new Segment(this.#options.folder, head));
    this.#needsNew = false;
    await before.close().catch(() => undefined);
  }
}

function newHead(options: SegmentsOptions, first: number, previous: SegmentHead['previous']): SegmentHead {
  const salt = Buffer.from(options.randomBytes(4)).readUInt32BE(0);
  return { epoch: options.epoch, first, previous, salt };
}

/** Makes a segment file that is there whole or not at all, in place of an empty one of the same name. */
async function createSegment({ disk, folder }: SegmentsOptions, head: SegmentHead): Promise<DiskFile> {
  const path = join(folder, segmentName(head.first));
  const file = await disk.create(`${path}.new`);
  try {
    await writeWhole(file, encodeSegmentHead(head), 0);
    await disk.rename(`${path}.new`, path);
    await disk.syncFolder(folder);
    return file;
  } catch (error) {
    await file.close().catch(() => undefined);
    await disk.remove(`${path}.new`).catch(() => undefined);
    throw error;
  }
}
