/**
 * A log whose records a test gives, at any positions, as they stand on a broker: it begins where the test says, grows,
 * loses its oldest records, and comes back with others in place of its newest.
 */
import {
  TailError,
  type AppendOutcome,
  type Bounds,
  type Log,
  type LogConstants,
  type PhysicalRecord,
  type Position,
  type Tail,
  type TailRecord,
  type TailStart,
} from '../../log/log.ts';
import { tagsMatch } from '@tideway/protocol';
import { LiveTail } from '../../log/live-tail.ts';
import { positionNumber, positionOf } from '../../log/position.ts';
import { recordTag } from '../../log/record.ts';

export interface GivenLogOptions {
  readonly epoch: string;
  readonly window: number;
  readonly partitionOf?: (channel: string) => number;
  /** A tail that reads what is there is given so many records at once. */
  readonly readRecords?: number;
}

/** A record for each channel named, from a position on. */
export function givenRecords(
  from: number,
  channels: readonly string[],
  more: Partial<PhysicalRecord> = {},
): TailRecord[] {
  return channels.map((channel, i): TailRecord => {
    const record: PhysicalRecord = {
      channel,
      kind: 'data',
      encoding: 'json',
      payload: Buffer.from(`${from + i}`),
      time: 1_700_000_000_000 + from + i,
      ...more,
    };
    return { position: positionOf(from + i), tag: recordTag(record), record };
  });
}

/** What whoever asks or follows a log that is away is told. */
export function unreachable(): TailError {
  return new TailError('unavailable', 'the broker cannot be reached');
}

export class GivenLog implements Log {
  readonly declares: Log['declares'] = {
    storedSurvives: 'what the test lets it survive',
    durable: true,
    mayRewind: true,
    recordBytesMax: 1024 * 1024,
    contiguity: 'an array without holes',
    detectMs: 0,
  };
  readonly wantsSettled = false;
  readonly constants: LogConstants;
  /** Between its answer to a question for its bounds and the next thing it is asked. */
  onBounds: (() => void) | undefined;
  /** What a tail reads behind a number waits for this first. */
  beforeRead: ((after: number) => Promise<void> | undefined) | undefined;
  /** Unreachable: nothing is answered, and no record is given. */
  isAway = false;
  readonly #readRecords: number;
  readonly #tails = new Set<LiveTail>();
  #records: readonly TailRecord[] = [];
  #oldest = 0;

  constructor(options: GivenLogOptions) {
    this.constants = {
      epochs: [options.epoch],
      window: options.window,
      partitionOf: options.partitionOf ?? (() => 0),
    };
    this.#readRecords = options.readRecords ?? 1_024;
  }

  get #newest(): number {
    const last = this.#records.at(-1);
    return last === undefined ? this.#oldest : positionNumber(last.position);
  }

  /** More records, behind those that are there. */
  give(records: readonly TailRecord[]): void {
    if (records.length === 0) return;
    this.#records = [...this.#records, ...records];
    for (const tail of this.#tails) tail.offer(records, 0);
  }

  /** Everything up to there is gone. */
  trim(upTo: Position): void {
    this.#oldest = Math.max(this.#oldest, positionNumber(upTo));
    this.#records = this.#records.filter(({ position }) => positionNumber(position) > this.#oldest);
  }

  /** A stale copy took over: what stands behind `kept` is gone, and `records` are there instead. Tails are told. */
  rewind(kept: Position, records: readonly TailRecord[]): void {
    this.#records = [...this.#records.filter(({ position }) => position <= kept), ...records];
    const tails = [...this.#tails];
    for (const tail of tails) tail.end(new TailError('diverged', 'the log was rewound'));
  }

  /** It cannot be reached any more; tails are told. */
  leave(): void {
    this.isAway = true;
    for (const tail of [...this.#tails]) tail.end(unreachable());
  }

  open(): Promise<LogConstants> {
    return Promise.resolve(this.constants);
  }

  append(): Promise<readonly AppendOutcome[]> {
    return Promise.reject(new Error('what this log holds is given by the test'));
  }

  async tail(
    _partition: number,
    after: TailStart,
    onBatch: (batch: readonly TailRecord[]) => Promise<void> | undefined,
    onError: (error: TailError) => void,
  ): Promise<Tail> {
    if (this.isAway) throw unreachable();
    const from = after === 'oldest' ? this.#oldest : this.#find(positionNumber(after.position), after.tag);
    const source = {
      newest: () => this.#newest,
      readAfter: (number: number, upTo: number) => this.#readAfter(number, upTo),
    };
    const tail = new LiveTail(from, source, { onBatch, onError }, (ended) => this.#tails.delete(ended));
    this.#tails.add(tail);
    tail.start();
    return tail;
  }

  bounds(): Promise<Bounds> {
    if (this.isAway) return Promise.reject(unreachable());
    const bounds = {
      oldest: positionOf(this.#oldest),
      newest: positionOf(this.#newest),
      fromGenesis: this.#oldest === 0,
    };
    const { onBounds } = this;
    this.onBounds = undefined;
    onBounds?.();
    return Promise.resolve(bounds);
  }

  settled(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    for (const tail of this.#tails) void tail.stop();
    return Promise.resolve();
  }

  #find(number: number, tag: string): number {
    if (number > this.#newest) throw new TailError('diverged', `there is nothing at ${number}`);
    if (number < this.#oldest) throw this.#trimmed();
    const known = this.#records.find(({ position }) => positionNumber(position) === number)?.tag;
    if (number > this.#oldest && !tagsMatch(known ?? 'none', tag)) {
      throw new TailError('diverged', `at ${number} stands ${known}, not ${tag}`);
    }
    return number;
  }

  async #readAfter(after: number, upTo: number): Promise<readonly TailRecord[]> {
    await this.beforeRead?.(after);
    if (after < this.#oldest) throw this.#trimmed();
    const records = this.#records.filter(({ position }) => {
      const number = positionNumber(position);
      return number > after && number <= upTo;
    });
    return records.slice(0, this.#readRecords);
  }

  #trimmed(): TailError {
    return new TailError('trimmed', 'dropped', { oldest: positionOf(this.#oldest) });
  }
}
