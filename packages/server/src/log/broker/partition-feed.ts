/** What one partition gives to this node: its follower's records, handed to every tail, and what tails read behind it. */
import { randomFraction } from '../../env.ts';
import { LiveTail } from '../live-tail.ts';
import { TailError, type Tail, type TailRecord, type TailStart } from '../log.ts';
import { positionNumber, positionOf } from '../position.ts';
import { recordTag } from '../record.ts';
import type { PortBounds, StoredRecord } from './broker-port.ts';
import { fromNative, LOG_TICKET } from './native-record.ts';
import { PartitionFollower } from './partition-follower.ts';
import type { PartitionParts } from './partition-parts.ts';
import { checkPlace, countContiguous, holeError, isFinal, trimmedError, unavailableError } from './place-check.ts';

export interface FeedEvents {
  /** The follower runs, or has ended and is being replaced. */
  onHealth(isWell: boolean, error?: Error): void;
}

export interface TailEvents {
  readonly onBatch: (batch: readonly TailRecord[]) => Promise<void> | undefined;
  readonly onError: (error: TailError) => void;
}

/** What one read gives a tail that catches up. */
const READ_RECORDS = 1_024;
const RETRY_MS = 50;

export class PartitionFeed {
  readonly #parts: PartitionParts;
  readonly #follower: PartitionFollower;
  readonly #tails = new Set<LiveTail>();
  /** The partition's new epoch, as long as no tail was told. */
  #epochUntold: string | undefined;

  /** Everything of these was offered to every tail; the tickets are those on the broker. */
  onHanded: ((tickets: readonly (string | undefined)[]) => void) | undefined;
  /** The last tail ended. */
  onNoTails: (() => void) | undefined;
  /** The partition does not go on from where it was; the tails are about to end. */
  onFail: (() => void) | undefined;

  constructor(parts: PartitionParts, events: FeedEvents) {
    this.#parts = parts;
    this.#follower = new PartitionFollower(parts, {
      onRecords: (records) => this.#hand(records),
      onHealth: (isWell, error) => events.onHealth(isWell, error),
      onFail: (error) => this.#end(error),
    });
  }

  get hasTails(): boolean {
    return this.#tails.size > 0;
  }

  /** The follower runs, behind a place that was compared. */
  get isAttached(): boolean {
    return this.#follower.isAttached;
  }

  /** How often the follower was interrupted. */
  get interruptions(): number {
    return this.#follower.interruptions;
  }

  /** What the partition holds, as far as this node has heard. */
  get newestKnown(): number {
    return this.#follower.newest ?? 0;
  }

  async bounds(): Promise<PortBounds> {
    try {
      return await this.#follower.bounds();
    } catch (error) {
      throw readError(this.#parts.port.place, error);
    }
  }

  /** The broker confirmed a record, and then gave everything that it has without it. */
  missed(): void {
    const { port, partition } = this.#parts;
    this.#follower.diverged(`${port.place}, partition ${partition}, does not have a record that it confirmed`);
  }

  /** A number that was the newest before now: what is appended from now on comes behind it. */
  async newestBefore(): Promise<number> {
    if (this.#follower.newest === undefined) await this.bounds().catch(() => undefined);
    return this.newestKnown;
  }

  async tail(after: TailStart, events: TailEvents): Promise<Tail> {
    if (this.#epochUntold !== undefined) throw this.#takeEpochError();
    const from = await this.#begin(after);
    if (this.#follower.isClosed) throw new TailError('unavailable', 'the log is closed');
    const tail: LiveTail = new LiveTail(
      from,
      {
        newest: () => this.#follower.number ?? from,
        readAfter: (number, upTo) => this.#readAfter(number, upTo),
      },
      events,
      (ended) => this.#onTailEnd(ended),
    );
    this.#tails.add(tail);
    tail.start();
    return tail;
  }

  /**
   * Resolves once this node has seen everything that the partition holds by now, where it has tails; with the newest
   * number. `undefined`: not until then.
   */
  async caughtUp(untilMs: number): Promise<number | undefined> {
    const { env, link } = this.#parts;
    const late = Promise.withResolvers<undefined>();
    const cancel = env.setTimer(Math.max(0, untilMs - env.monotonicMs()), () => late.resolve(undefined));
    const look = async (): Promise<number | undefined> => {
      for (;;) {
        try {
          await link.whenUp();
          if (this.hasTails) await this.#follower.attached(() => this.hasTails);
          const { newest } = await this.bounds();
          if (this.hasTails) await this.#follower.reached(newest);
          return newest;
        } catch {
          if (this.#follower.isClosed || env.monotonicMs() >= untilMs) return undefined;
          await this.#pause();
        }
      }
    };
    try {
      return await Promise.race([look(), late.promise]);
    } finally {
      cancel();
    }
  }

  onUp(): void {
    this.#follower.onUp();
  }

  onDown(error: Error): void {
    this.#follower.onDown(error);
  }

  /** The partition is another one from now on. */
  onEpoch(epoch: string): void {
    this.#epochUntold = epoch;
    this.#follower.forget();
    if (this.hasTails) this.#end(this.#takeEpochError());
    else this.onFail?.();
  }

  async close(): Promise<void> {
    for (const tail of [...this.#tails]) void tail.stop();
    await this.#follower.close();
  }

  #hand(records: readonly StoredRecord[]): string {
    let bytes = 0;
    const tickets: (string | undefined)[] = [];
    const batch = records.map((stored) => {
      bytes += stored.value.length;
      return toTailRecord(stored, tickets);
    });
    for (const tail of this.#tails) tail.offer(batch, bytes);
    this.onHanded?.(tickets);
    return (batch.at(-1) as TailRecord).tag;
  }

  #end(error: TailError): void {
    this.onFail?.();
    for (const tail of [...this.#tails]) tail.end(error);
  }

  #onTailEnd(ended: LiveTail): void {
    this.#tails.delete(ended);
    if (!this.hasTails) this.onNoTails?.();
  }

  #takeEpochError(): TailError {
    const epoch = this.#epochUntold as string;
    this.#epochUntold = undefined;
    const { port, partition } = this.#parts;
    return new TailError('epoch', `partition ${partition} of ${port.place} is another one now`, { epoch });
  }

  /** Where a tail starts: behind this number, up to which the follower has come. */
  async #begin(after: TailStart): Promise<number> {
    const { port, partition } = this.#parts;
    try {
      await this.#follower.attachNow();
      let from: number;
      if (after === 'oldest') from = (await this.bounds()).oldest;
      else {
        from = positionNumber(after.position);
        await checkPlace(port, partition, { number: from, tag: after.tag });
      }
      await this.#follower.reached(from);
      return from;
    } catch (error) {
      throw readError(port.place, error);
    }
  }

  /** Waits while the broker is away: whatever is read, is read behind a place that the follower has compared. */
  async #readAfter(after: number, upTo: number): Promise<readonly TailRecord[]> {
    for (;;) {
      await this.#follower.attached();
      try {
        const records = await this.#readOnce(after, upTo);
        if (records.length > 0) return records.map((stored) => toTailRecord(stored));
      } catch (error) {
        if (isFinal(error)) throw error;
      }
      await this.#pause();
    }
  }

  async #readOnce(after: number, upTo: number): Promise<readonly StoredRecord[]> {
    const { port, partition, link } = this.#parts;
    try {
      const records = await port.read(partition, after, READ_RECORDS);
      const count = countContiguous(port, after, records);
      if (count === 0) {
        await checkPlace(port, partition, { number: records.length === 0 ? upTo : after, tag: undefined });
        if (records.length > 0) throw holeError(port, partition, after, records);
      }
      return records.slice(0, count).filter(({ number }) => number <= upTo);
    } catch (error) {
      if (!(error instanceof TailError)) throw error;
      if (error.reason === 'epoch') {
        link.lost(error);
        throw new TailError('unavailable', error.message, { cause: error });
      }
      if (error.reason !== 'trimmed' || error.oldest !== undefined) throw error;
      throw trimmedError(port, partition, after, (await port.bounds(partition)).oldest);
    }
  }

  #pause(): Promise<void> {
    const { env } = this.#parts;
    return new Promise((resolve) => env.setTimer(RETRY_MS * (1 + randomFraction(env)), resolve));
  }
}

function toTailRecord(stored: StoredRecord, tickets?: (string | undefined)[]): TailRecord {
  const record = fromNative(stored);
  const { ticket } = record;
  tickets?.push(ticket);
  const isOurs = ticket?.startsWith(LOG_TICKET) === true;
  return {
    position: positionOf(stored.number),
    tag: recordTag(record),
    record: isOurs ? { ...record, ticket: undefined } : record,
  };
}

/** A fault of the connection says that the log is away, whatever its driver calls it. */
function readError(place: string, error: unknown): Error {
  if (error instanceof TailError || error instanceof RangeError) return error;
  const message = `${place} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  return unavailableError(message, error);
}
