/**
 * The embedded log: append-only segment files in a folder of one process. What gathered since the last write is one
 * batch, one synced write; then it is handed to the tails, then its appends are answered.
 */
import { limits, tagsMatch } from '@tideway/protocol';
import { type Env, nodeEnv } from '../../env.ts';
import { LiveTail } from '../live-tail.ts';
import {
  TailError,
  type AppendOutcome,
  type Bounds,
  type Commit,
  type Log,
  type LogConstants,
  type LogDeclaration,
  type PhysicalRecord,
  type Position,
  type Tail,
  type TailRecord,
  type TailStart,
} from '../log.ts';
import { positionNumber, positionOf } from '../position.ts';
import { AppendQueue, writeBytesMax, type Batch } from './append-queue.ts';
import { type Disk, nodeDisk } from './disk.ts';
import { noteEnd, openFolder } from './folder.ts';
import type { Segments, WriteResult } from './segments.ts';

/** What an operator should hear of. */
export type EmbeddedLogEvent =
  /** A write that a crash interrupted was cut off at the start; it was never acknowledged. */
  | { readonly event: 'torn_write'; readonly file: string; readonly bytes: number }
  /** Appends are refused from now on, until `write_recovered`. */
  | { readonly event: 'write_failed'; readonly error: Error }
  | { readonly event: 'write_recovered' }
  /** A segment that is no longer needed could not be removed; it is tried again later. */
  | { readonly event: 'removal_failed'; readonly error: Error };

export interface EmbeddedLogOptions {
  readonly folder: string;
  readonly report?: (event: EmbeddedLogEvent) => void;
  /** A batch is durable. */
  readonly onCommit?: (commit: Commit) => void;
  readonly env?: Pick<Env, 'randomBytes' | 'endOfTick' | 'monotonicMs'>;
  readonly disk?: Disk;
  /** How many records the fold may look back. Fixed when the log is made; another value later is refused. */
  readonly window?: number;
  readonly segmentBytes?: number;
  /** Segments beyond this are deleted, oldest first, once they are settled and out of the window. */
  readonly keepBytes?: number;
  readonly queueRecordsMax?: number;
  readonly queueBytesMax?: number;
}

const MIB = 1024 * 1024;
const SEGMENT_BYTES = 16 * MIB;
const KEEP_BYTES = 1024 * MIB;
const QUEUE_RECORDS_MAX = 131_072;
const QUEUE_BYTES_MAX = 64 * MIB;
const STORED: AppendOutcome = { state: 'stored' };

export class EmbeddedLog implements Log {
  readonly declares: LogDeclaration = {
    storedSurvives:
      'the end of the process and a crash or power loss of the machine: it was synced to disk; not the loss of the disk',
    durable: true,
    mayRewind: false,
    recordBytesMax: limits.recordBytesMax,
    contiguity:
      'the records are numbered without holes, each with a checksum; a segment says where the one before it ends',
    detectMs: 0,
  };
  readonly #options: EmbeddedLogOptions;
  readonly #env: Pick<Env, 'randomBytes' | 'endOfTick' | 'monotonicMs'>;
  readonly #queue: AppendQueue;
  readonly #tails = new Set<LiveTail>();
  #opened: { readonly segments: Segments; readonly window: number; readonly unlock: () => void } | undefined;
  #closing: Promise<void> | undefined;
  /** The number of the newest record handed to the tails. */
  #newest = 0;
  #settled = 0;
  /** A batch is on its way to the disk, or the end of this tick will send one. */
  #writing = false;
  #failing = false;
  /** Deletions, one after the other. */
  #trimming: Promise<void> = Promise.resolve();
  #onIdle: (() => void) | undefined;

  constructor(options: EmbeddedLogOptions) {
    this.#options = options;
    this.#env = options.env ?? nodeEnv;
    this.#queue = new AppendQueue({
      recordBytesMax: this.declares.recordBytesMax,
      recordsMax: options.queueRecordsMax ?? QUEUE_RECORDS_MAX,
      bytesMax: options.queueBytesMax ?? QUEUE_BYTES_MAX,
    });
  }

  async open(): Promise<LogConstants> {
    if (this.#opened !== undefined || this.#closing !== undefined) throw new Error('an embedded log is opened once');
    const { folder, window, segmentBytes, report } = this.#options;
    const opened = await openFolder({
      folder,
      disk: this.#options.disk ?? nodeDisk,
      window,
      segmentBytes: segmentBytes ?? SEGMENT_BYTES,
      writeBytesMax: writeBytesMax(this.declares.recordBytesMax),
      randomBytes: (count) => this.#env.randomBytes(count),
    });
    this.#opened = { segments: opened.segments, window: opened.window, unlock: opened.unlock };
    this.#newest = opened.segments.newest;
    if (opened.torn !== undefined) report?.({ event: 'torn_write', ...opened.torn });
    return { epochs: [opened.epoch], window: opened.window, partitionOf: () => 0 };
  }

  append(records: readonly PhysicalRecord[]): Promise<readonly AppendOutcome[]> {
    if (this.#opened === undefined || this.#closing !== undefined) {
      const refused: AppendOutcome = { state: 'refused', code: 'going_away', message: 'the log is not open' };
      return Promise.resolve(records.map(() => refused));
    }
    const outcomes = this.#queue.add(records);
    if (!this.#writing && !this.#queue.isEmpty) {
      this.#writing = true;
      this.#env.endOfTick(() => this.#writeNext());
    }
    return outcomes;
  }

  async tail(
    partition: number,
    after: TailStart,
    onBatch: (batch: readonly TailRecord[]) => Promise<void> | undefined,
    onError: (error: TailError) => void,
  ): Promise<Tail> {
    const { segments } = this.#assertOpen(partition);
    const from = after === 'oldest' ? segments.trimmed : await this.#find(segments, after.position, after.tag);
    const tail = new LiveTail(
      from,
      { newest: () => this.#newest, readAfter: (number, upTo) => segments.readAfter(number, upTo) },
      { onBatch, onError },
      (ended) => this.#tails.delete(ended),
    );
    this.#assertOpen(partition);
    this.#tails.add(tail);
    tail.start();
    return tail;
  }

  async bounds(partition: number): Promise<Bounds> {
    const { segments } = this.#assertOpen(partition);
    return {
      oldest: positionOf(segments.trimmed),
      newest: positionOf(this.#newest),
      fromGenesis: segments.trimmed === 0,
    };
  }

  async settled(partition: number, position: Position): Promise<void> {
    this.#assertOpen(partition);
    this.#settled = Math.max(this.#settled, Math.min(positionNumber(position), this.#newest));
    await this.#trim();
  }

  get wantsSettled(): boolean {
    const last = this.#outOfUse();
    return last !== undefined && last > this.#settled;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#opened === undefined) return;
    if (this.#writing) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await this.#trimming;
    for (const tail of this.#tails) void tail.stop();
    const { segments, unlock } = this.#opened;
    try {
      await segments.close();
      await noteEnd(this.#options.disk ?? nodeDisk, this.#options.folder, segments);
    } finally {
      unlock();
    }
  }

  #writeNext(): void {
    const batch = this.#queue.take();
    if (batch === undefined || this.#opened === undefined) {
      this.#writing = false;
      this.#onIdle?.();
      return;
    }
    const { segments } = this.#opened;
    const sinceMs = this.#env.monotonicMs();
    void segments.write(batch.bytes, batch.count, batch.lastTag).then((result) => {
      if (result.state === 'stored')
        this.#options.onCommit?.({ records: batch.count, durationMs: this.#env.monotonicMs() - sinceMs });
      this.#written(batch, result);
    });
  }

  /** Sends the next batch on its way before it looks at this one, so that the disk does not wait for the tails. */
  #written(batch: Batch, result: WriteResult): void {
    if (result.state !== 'stored') {
      this.#failed(batch, result);
      return;
    }
    const first = this.#newest + 1;
    this.#newest += batch.count;
    this.#queue.done(batch);
    this.#writeNext();
    if (this.#failing) {
      this.#failing = false;
      this.#options.report?.({ event: 'write_recovered' });
    }
    if (this.#tails.size > 0) {
      const records = batch.tailRecords(first);
      for (const tail of this.#tails) tail.offer(records, batch.recordBytes);
    }
    batch.answer(STORED);
    if (this.#outOfUse() !== undefined) void this.#trim();
  }

  /** What waits came later than the batch that failed: it is refused too, so that no order is broken. */
  #failed(batch: Batch, { state, error }: Exclude<WriteResult, { state: 'stored' }>): void {
    if (!this.#failing) {
      this.#failing = true;
      this.#options.report?.({ event: 'write_failed', error });
    }
    const message = `the disk did not take it: ${error.message}`;
    this.#queue.done(batch);
    batch.answer(state === 'unknown' ? { state, message } : { state, code: 'not_durable', message });
    this.#queue.refuseAll('not_durable', message);
    this.#writeNext();
  }

  /** The last record of the oldest segment, when that is beyond the budget and out of the window; else `undefined`. */
  #outOfUse(): number | undefined {
    if (this.#opened === undefined) return undefined;
    const { segments, window } = this.#opened;
    const last = segments.oldestLast;
    if (last === undefined || segments.bytes <= (this.#options.keepBytes ?? KEEP_BYTES)) return undefined;
    return this.#newest - last >= window ? last : undefined;
  }

  #trim(): Promise<void> {
    this.#trimming = this.#trimming.then(async () => {
      try {
        for (let last = this.#outOfUse(); last !== undefined && last <= this.#settled; last = this.#outOfUse()) {
          await this.#opened?.segments.removeOldest();
        }
      } catch (error) {
        this.#options.report?.({ event: 'removal_failed', error: error as Error });
      }
    });
    return this.#trimming;
  }

  async #find(segments: Segments, position: Position, tag: string): Promise<number> {
    const number = positionNumber(position);
    if (number > this.#newest) {
      throw new TailError('diverged', `position ${number} is newer than the log's newest, ${this.#newest}`);
    }
    if (number < segments.trimmed) throw segments.trimmedError(number);
    if (number === 0) return 0;
    const known = await segments.tagAt(number);
    if (known !== undefined && !tagsMatch(known, tag)) {
      throw new TailError('diverged', `at position ${number} stands ${known}, not ${tag}`);
    }
    return number;
  }

  #assertOpen(partition: number): { readonly segments: Segments } {
    if (this.#opened === undefined || this.#closing !== undefined) throw new Error('the log is not open');
    if (partition !== 0) throw new RangeError(`the embedded log has one partition, 0; got ${partition}`);
    return this.#opened;
  }
}
