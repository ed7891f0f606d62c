/** What a case of the log suite is given: a fresh log, records to append, and a reader that keeps what a tail gives. */
import assert from 'node:assert/strict';
import type {
  AppendOutcome,
  Log,
  LogConstants,
  PhysicalRecord,
  TailError,
  TailRecord,
  TailStart,
  Tail,
} from 'tideway/log';
import { within } from '../raw/deadline.ts';

/** A log of a kind, on storage of its own. */
export interface LogUnderTest {
  /** Not opened yet. */
  readonly log: Log;
  /** Another log on the same storage, once the first is closed; absent where a log ends with its process. */
  readonly reopen?: () => Log;
  /** Another node's log on the same storage, at the same time, not opened yet; absent where a log has one process. */
  readonly peer?: () => Log;
  dispose(): Promise<void>;
}

/**
 * Makes a log. A `small` one deletes early (window of at most 100 records, beyond about 64 KiB) and lets little wait
 * (at most about 128 KiB), so that both can be seen.
 */
export type MakeLog = (size: 'roomy' | 'small') => Promise<LogUnderTest>;

/** One promise of the contract (log.ts). */
export interface LogCase {
  /** Names it in a skip. */
  readonly id: string;
  /** What must hold, in a sentence. */
  readonly title: string;
  readonly size?: 'small';
  /** Only where a log outlives a close. */
  readonly durable?: true;
  /** Only where several nodes share a log. */
  readonly shared?: true;
  readonly run: (room: LogRoom) => Promise<void>;
}

const DEADLINE_MS = 60_000;

/** A log under test, open, with its constants. */
export class LogRoom {
  readonly log: Log;
  readonly constants: LogConstants;
  readonly reopen: (() => Log) | undefined;
  readonly peer: (() => Log) | undefined;
  /** Another log of the same kind, on other storage. */
  readonly makeOther: () => Promise<LogUnderTest>;
  /** The partition that the cases write to. */
  readonly partition: number;
  #count = 0;

  private constructor(under: LogUnderTest, constants: LogConstants, makeOther: () => Promise<LogUnderTest>) {
    this.log = under.log;
    this.constants = constants;
    this.reopen = under.reopen;
    this.peer = under.peer;
    this.makeOther = makeOther;
    this.partition = constants.partitionOf(CHANNEL);
  }

  static async open(under: LogUnderTest, makeOther: () => Promise<LogUnderTest>): Promise<LogRoom> {
    return new LogRoom(under, await under.log.open(), makeOther);
  }

  /** Distinct records, each with its number in `rid`. */
  records(count: number, more: Partial<PhysicalRecord> = {}): PhysicalRecord[] {
    return Array.from({ length: count }, () => {
      const n = ++this.#count;
      return {
        channel: CHANNEL,
        kind: 'data',
        encoding: 'json',
        payload: Buffer.from(`{"n":${n}}`),
        time: 1_764_000_000_000 + n,
        rid: `r${n}`,
        ...more,
      };
    });
  }

  /** Appends records that must all be stored. */
  async store(records: readonly PhysicalRecord[]): Promise<void> {
    assertAllStored(await this.log.append(records));
  }

  async read(after: TailStart = 'oldest', log = this.log, partition = this.partition): Promise<Reading> {
    const reading = new Reading();
    reading.tail = await log.tail(
      partition,
      after,
      (batch) => reading.take(batch),
      (error) => reading.end(error),
    );
    return reading;
  }

  /** What the log holds after a place, up to its newest record. */
  async readAll(after: TailStart = 'oldest', log = this.log): Promise<readonly TailRecord[]> {
    const { newest } = await log.bounds(this.partition);
    const reading = await this.read(after, log);
    const from = after === 'oldest' ? (await log.bounds(this.partition)).oldest : after.position;
    if (from < newest) await reading.upTo(newest);
    await reading.tail?.stop();
    return reading.records;
  }
}

const CHANNEL = 'suite:main';

/** What a tail gave, in order. */
export class Reading {
  tail: Tail | undefined;
  readonly records: TailRecord[] = [];
  readonly batches: number[] = [];
  error: TailError | undefined;
  /** Called for each batch; what it returns is what the consumer returns. */
  onBatch: ((batch: readonly TailRecord[]) => Promise<void> | undefined) | undefined;
  #look: (() => void) | undefined;

  take(batch: readonly TailRecord[]): Promise<void> | undefined {
    assert.ok(batch.length > 0, 'a batch holds records');
    this.records.push(...batch);
    this.batches.push(batch.length);
    this.#look?.();
    return this.onBatch?.(batch);
  }

  end(error: TailError): void {
    assert.equal(this.error, undefined, 'onError is called at most once');
    this.error = error;
    this.#look?.();
  }

  /** Resolves once the record at `position` came. */
  upTo(position: string): Promise<void> {
    return this.until(() => (this.records.at(-1)?.position ?? '') >= position, `record ${position}`);
  }

  /** Resolves once so many records came. */
  count(count: number): Promise<void> {
    return this.until(() => this.records.length >= count, `${count} records`);
  }

  async ended(): Promise<TailError> {
    await this.until(() => this.error !== undefined, 'the tail to end');
    return this.error as TailError;
  }

  until(holds: () => boolean, what: string): Promise<void> {
    const came = new Promise<void>((resolve) => {
      this.#look = () => holds() && resolve();
      this.#look();
    });
    return within(came, DEADLINE_MS, `${what}; ${this.records.length} records came`);
  }

  get rids(): readonly (string | undefined)[] {
    return this.records.map(({ record }) => record.rid);
  }
}

export function assertAllStored(outcomes: readonly AppendOutcome[]): void {
  for (const outcome of outcomes) assert.deepEqual(outcome, { state: 'stored' });
}

/** Positions ascend strictly, each record once. */
export function assertAscending(records: readonly TailRecord[]): void {
  for (let n = 1; n < records.length; n++) {
    const [before, after] = [records[n - 1] as TailRecord, records[n] as TailRecord];
    assert.ok(before.position < after.position, `${after.position} comes after ${before.position}`);
  }
}

/** The reason of the `TailError` that a promise rejects with. */
export async function tailError(promise: Promise<unknown>): Promise<TailError> {
  const error: unknown = await promise.then(
    () => undefined,
    (failed: unknown) => failed,
  );
  assert.ok(error instanceof Error && error.name === 'TailError', `a TailError, not ${String(error)}`);
  return error as TailError;
}

/** The place of a record. */
export function placeOf({ position, tag }: TailRecord): TailStart {
  return { position, tag };
}

/** Lets everything that is ready happen first: one turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
