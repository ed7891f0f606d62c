/**
 * Follows one partition from a number on: keeps two requests under way, so that none is waited for, and asks for more
 * only as its consumer takes what came. What it holds is bounded by three requests, each of so many records and bytes.
 * A server that says nothing for some heartbeats ends it.
 */
import { nodeEnv, type Env } from '../../env.ts';
import type { FollowEvents, Following, StoredRecord } from '../broker/broker-port.ts';
import { NatsPull, type PullPlace } from './nats-pull.ts';

const REQUEST_RECORDS = 512;
const REQUEST_MS = 30_000;
const HEARTBEAT_MS = 1_000;
/** Three heartbeats and the time they take. */
const SILENCE_MS = 3_500;
const REQUESTS_MAX = 2;

interface OpenRequest {
  readonly id: number;
  left: number;
}

export interface FollowerOptions {
  readonly place: PullPlace;
  readonly partition: number;
  readonly after: number;
  /** Of one request; at least the largest record. */
  readonly requestBytes: number;
  readonly events: FollowEvents;
  /** Why a record with that number came when another was due. */
  readonly explainHole: (after: number) => Promise<Error>;
  /** Nothing was heard for a while: whoever owns the connection should look after it. */
  readonly onSilence: () => void;
  readonly env?: Env;
}

export class NatsFollower implements Following {
  readonly #options: FollowerOptions;
  readonly #env: Env;
  #pull: NatsPull | undefined;
  /** Requests that the server still serves, in the order it serves them. */
  #open: OpenRequest[] = [];
  #queue: StoredRecord[] = [];
  #queuedBytes = 0;
  #given: number;
  /** True while the consumer is awaited, or its next records are about to be given. */
  #isBusy = false;
  #isOver = false;
  #heardMs: number;
  #cancelWatch: (() => void) | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#env = options.env ?? nodeEnv;
    this.#given = options.after;
    this.#heardMs = this.#env.monotonicMs();
  }

  /** Begins; called once. Rejects with JetStream's error. */
  async start(): Promise<void> {
    const { place, partition, after } = this.#options;
    this.#pull = await NatsPull.open(place, partition, after, {
      onRecord: (record, bytes) => this.#take(record, bytes),
      onHole: () => void this.#endWithHole(),
      onRequestOver: (request) => this.#endRequest(request),
      onHeartbeat: () => this.#hear(),
      onEnd: (error) => this.end(error),
    });
    this.#request();
    this.#watch();
  }

  stop(): Promise<void> {
    this.#finish();
    return Promise.resolve();
  }

  /** Ends it from outside: the connection is gone. */
  end(error: Error): void {
    if (this.#isOver) return;
    this.#finish();
    this.#options.events.onEnd(error);
  }

  #finish(): void {
    this.#isOver = true;
    this.#cancelWatch?.();
    this.#queue = [];
    this.#pull?.close();
  }

  async #endWithHole(): Promise<void> {
    // What came before the hole is given first: it is whole.
    const after = this.#given + this.#queue.length;
    const error = await this.#options.explainHole(after);
    this.end(error);
  }

  #hear(): void {
    this.#heardMs = this.#env.monotonicMs();
  }

  #take(record: StoredRecord, bytes: number): void {
    if (this.#isOver) return;
    this.#hear();
    const first = this.#open[0];
    if (first !== undefined && --first.left === 0) this.#open.shift();
    this.#queue.push(record);
    this.#queuedBytes += bytes;
    if (this.#isBusy) return;
    this.#isBusy = true;
    // All records of one read of the socket come before this is called.
    queueMicrotask(() => this.#give());
  }

  #give(): void {
    while (!this.#isOver && this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      this.#queuedBytes = 0;
      this.#given += batch.length;
      const wait = this.#options.events.onRecords(batch);
      this.#request();
      if (wait === undefined) continue;
      wait.then(
        () => this.#give(),
        (error: unknown) => this.end(error instanceof Error ? error : new Error(String(error))),
      );
      return;
    }
    this.#isBusy = false;
    this.#request();
  }

  #endRequest(id: number): void {
    this.#hear();
    this.#open = this.#open.filter((request) => request.id !== id);
    this.#request();
  }

  #request(): void {
    if (this.#isOver || this.#pull === undefined) return;
    const { requestBytes } = this.#options;
    while (
      this.#open.length < REQUESTS_MAX &&
      this.#queue.length < REQUEST_RECORDS &&
      this.#queuedBytes < requestBytes
    ) {
      if (this.#open.length === 0) this.#hear();
      const id = this.#pull.request({
        records: REQUEST_RECORDS,
        bytes: requestBytes,
        expiresMs: REQUEST_MS,
        heartbeatMs: HEARTBEAT_MS,
      });
      this.#open.push({ id, left: REQUEST_RECORDS });
    }
  }

  /** Nothing is due while nothing is asked for. */
  #watch(): void {
    this.#cancelWatch = this.#env.setTimer(HEARTBEAT_MS, () => {
      const silentMs = this.#env.monotonicMs() - this.#heardMs;
      if (this.#open.length > 0 && silentMs > SILENCE_MS) {
        const stream = this.#options.place.names.stream(this.#options.partition);
        this.end(new Error(`nothing was heard from ${stream} for ${Math.round(silentMs)} ms`));
        this.#options.onSilence();
        return;
      }
      this.#watch();
    });
  }
}
