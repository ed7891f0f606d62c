/**
 * One running tail of a log that numbers its records upwards: reads what is already there, then takes what is written,
 * without a hole or a duplicate between the two. A consumer that is slow waits in a bounded queue, then reads again
 * from the log; it never slows the log down.
 */
import { TailError, type Tail, type TailRecord } from './log.ts';
import { positionNumber } from './position.ts';

/** What a driver gives its tails. */
export interface TailSource {
  /** The number of the newest record that was handed to the tails. */
  newest(): number;
  /** Records after `after`, at least one, at most up to `upTo`, in order. Rejects with a `TailError`. */
  readAfter(after: number, upTo: number): Promise<readonly TailRecord[]>;
}

export interface TailConsumer {
  onBatch(batch: readonly TailRecord[]): Promise<void> | undefined;
  onError(error: TailError): void;
}

/** A tail this near to the end starts to keep what is written meanwhile, so that its next reads are its last. */
const JOIN_RECORDS = 8_192;
/** What a tail keeps while its consumer or its last read takes time; beyond it the log is read again. */
const QUEUE_RECORDS_MAX = 16_384;
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;

export class LiveTail implements Tail {
  readonly #source: TailSource;
  readonly #consumer: TailConsumer;
  readonly #onEnd: (tail: LiveTail) => void;
  /** The number of the last record given to the consumer. */
  #given: number;
  /** Everything up to here is read from the log, everything after it comes through `offer`. */
  #readTo: number;
  /** Takes what is offered; false while so far behind that it will be read from the log instead. */
  #attached = false;
  /** True while the consumer or a read is awaited. */
  #busy = false;
  #stopped = false;
  #queue: (readonly TailRecord[])[] = [];
  #queuedRecords = 0;
  #queuedBytes = 0;

  constructor(after: number, source: TailSource, consumer: TailConsumer, onEnd: (tail: LiveTail) => void) {
    this.#given = after;
    this.#readTo = after;
    this.#source = source;
    this.#consumer = consumer;
    this.#onEnd = onEnd;
  }

  /** Starts to give; called once. */
  start(): void {
    this.#rejoin();
    if (this.#given < this.#readTo) void this.#run(undefined);
  }

  /** Gives the records just written, or keeps them. Called once for each batch, in order; never throws. */
  offer(batch: readonly TailRecord[], bytes: number): void {
    if (this.#stopped || !this.#attached) return;
    if (!this.#busy) {
      const wait = this.#give(batch);
      if (wait !== undefined) void this.#run(wait);
      return;
    }
    this.#queuedRecords += batch.length;
    this.#queuedBytes += bytes;
    if (this.#queuedRecords > QUEUE_RECORDS_MAX || this.#queuedBytes > QUEUE_BYTES_MAX) {
      this.#attached = false;
      this.#emptyQueue();
      return;
    }
    this.#queue.push(batch);
  }

  stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#emptyQueue();
      this.#onEnd(this);
    }
    return Promise.resolve();
  }

  /** The log cannot give on: the consumer is told, once. */
  end(error: TailError): void {
    this.#fail(error);
  }

  async #run(wait: Promise<void> | undefined): Promise<void> {
    this.#busy = true;
    let ahead: Promise<readonly TailRecord[]> | undefined;
    try {
      await wait;
      while (!this.#stopped) {
        if (this.#given < this.#readTo) {
          const records: readonly TailRecord[] = await (ahead ?? this.#source.readAfter(this.#given, this.#readTo));
          if (this.#stopped) break;
          ahead = this.#readAhead(positionNumber((records.at(-1) as TailRecord).position));
          await this.#give(records);
          continue;
        }
        const queued = this.#queue.shift();
        if (queued !== undefined) {
          await this.#give(queued);
          continue;
        }
        this.#emptyQueue();
        if (this.#attached) break;
        this.#rejoin();
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#busy = false;
  }

  /** The next page comes while the last one is used: whoever reads and whoever gives are two programs, often two machines. */
  #readAhead(after: number): Promise<readonly TailRecord[]> | undefined {
    if (after >= this.#readTo) return undefined;
    const page = this.#source.readAfter(after, this.#readTo);
    // Whoever waits for it hears of its failure; where the tail is stopped first, nobody does.
    page.catch(() => undefined);
    return page;
  }

  /** Sets how far to read; from near enough, what is written from this moment on is kept. */
  #rejoin(): void {
    this.#readTo = this.#source.newest();
    this.#attached = this.#readTo - this.#given <= JOIN_RECORDS;
  }

  #give(batch: readonly TailRecord[]): Promise<void> | undefined {
    this.#given = positionNumber((batch.at(-1) as TailRecord).position);
    try {
      return this.#consumer.onBatch(batch);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #emptyQueue(): void {
    this.#queue = [];
    this.#queuedRecords = 0;
    this.#queuedBytes = 0;
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    void this.stop();
    this.#consumer.onError(
      error instanceof TailError
        ? error
        : new TailError('unavailable', `the tail's consumer failed at position ${this.#given}`, { cause: error }),
    );
  }
}
