/**
 * Reads a partition page after page for who catches up: one consumer that stays, so that a page is one request and not
 * the making and removing of a consumer. Closes by itself when nobody asks for a while.
 */
import { nodeEnv } from '../../env.ts';
import type { StoredRecord } from '../broker/broker-port.ts';
import { NatsPull, type PullPlace } from './nats-pull.ts';

const PAGE_BYTES = 1024 * 1024;
const PAGE_MS = 5_000;
const IDLE_MS = 1_000;

/** Another record came than the one behind this number. */
export class HoleError extends Error {
  readonly after: number;

  constructor(after: number) {
    super(`another record came than the one behind ${after}`);
    this.name = 'HoleError';
    this.after = after;
  }
}

interface Wanted {
  readonly request: number;
  readonly count: number;
  readonly records: StoredRecord[];
  readonly settle: PromiseWithResolvers<readonly StoredRecord[]>;
}

export class NatsCursor {
  /** The number of the last record given. */
  after: number;
  /** It gives nothing any more. */
  isOver = false;
  #pull!: NatsPull;
  #wanted: Wanted | undefined;
  #cancelIdle: (() => void) | undefined;

  private constructor(after: number) {
    this.after = after;
  }

  /** Rejects with JetStream's error. */
  static async open(place: PullPlace, partition: number, after: number): Promise<NatsCursor> {
    const cursor = new NatsCursor(after);
    cursor.#pull = await NatsPull.open(place, partition, after, {
      onRecord: (record) => cursor.#take(record),
      onHole: () => cursor.#fail(new HoleError(cursor.after + (cursor.#wanted?.records.length ?? 0))),
      onRequestOver: (request) => cursor.#give(request),
      onHeartbeat: () => undefined,
      onEnd: (error) => cursor.#fail(error),
    });
    return cursor;
  }

  /**
   * The next records: fewer than `count` where a page is full or the partition ends, none where the first alone is
   * larger than a page. One page at a time. Rejects with a `HoleError` or the reason why nothing comes any more.
   */
  page(count: number): Promise<readonly StoredRecord[]> {
    this.#cancelIdle?.();
    const settle = Promise.withResolvers<readonly StoredRecord[]>();
    const wish = { records: count, bytes: PAGE_BYTES, expiresMs: PAGE_MS, heartbeatMs: PAGE_MS / 2 };
    this.#wanted = { request: this.#pull.request(wish), count, records: [], settle };
    return settle.promise;
  }

  close(): void {
    this.isOver = true;
    this.#cancelIdle?.();
    this.#pull.close();
  }

  #take(record: StoredRecord): void {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    wanted.records.push(record);
    if (wanted.records.length === wanted.count) this.#give(wanted.request);
  }

  #give(request: number): void {
    const wanted = this.#wanted;
    // The page of that request may have been given already.
    if (wanted?.request !== request) return;
    this.#wanted = undefined;
    this.after += wanted.records.length;
    this.#cancelIdle = nodeEnv.setTimer(IDLE_MS, () => this.close());
    wanted.settle.resolve(wanted.records);
  }

  #fail(error: Error): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    this.isOver = true;
    this.#cancelIdle?.();
    wanted?.settle.reject(error);
  }
}
