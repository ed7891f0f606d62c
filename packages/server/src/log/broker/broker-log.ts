/**
 * A log made of a broker: what the four drivers have in common, above their ports. Appends are queued, sent in order
 * and repeated where nobody knows what became of them; each partition is followed once and handed to all tails; the
 * connection is made again whenever it is lost.
 */
import { randomId, nodeEnv, type Env } from '../../env.ts';
import {
  TailError,
  type AppendOutcome,
  type Bounds,
  type Log,
  type LogConstants,
  type LogDeclaration,
  type NodeSignals,
  type PhysicalRecord,
  type Position,
  type Tail,
  type TailRecord,
  type TailStart,
} from '../log.ts';
import { positionNumber, positionOf } from '../position.ts';
import { recordFault } from '../record.ts';
import { BrokerLink } from './broker-link.ts';
import type { BrokerLogOptions, RememberedConstants } from './broker-log-options.ts';
import { BrokerError, type BrokerPort, type StoredConstants } from './broker-port.ts';
import { BrokerSignals } from './broker-signals.ts';
import { partitionOfChannel, textsFault } from './native-record.ts';
import { Outage } from './outage.ts';
import { PartitionFeed } from './partition-feed.ts';
import { PartitionKeeper } from './partition-keeper.ts';
import { PartitionWriter } from './partition-writer.ts';
import { unavailableError } from './place-check.ts';
import { AppendCall, QueueRoom } from './write-queue.ts';

export type { BrokerLogEvent, BrokerLogOptions, RememberedConstants } from './broker-log-options.ts';

interface Partition {
  readonly feed: PartitionFeed;
  readonly writer: PartitionWriter;
  readonly keeper: PartitionKeeper;
  epoch: string;
  /** Why it is not followed, although it should be. */
  trouble: Error | undefined;
}

const KEEP_WINDOWS = 4;
const QUEUE_RECORDS_MAX = 131_072;
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;

export class BrokerLog implements Log {
  readonly signals: NodeSignals;
  readonly #options: BrokerLogOptions;
  readonly #port: BrokerPort;
  readonly #env: Env;
  readonly #link: BrokerLink;
  readonly #opening = Promise.withResolvers<RememberedConstants>();
  /** The connection was lost while the log closes. */
  readonly #lost = Promise.withResolvers<void>();
  #partitions: readonly Partition[] = [];
  #state: 'new' | 'opening' | 'open' | 'closing' | 'closed' = 'new';
  #closing: Promise<void> | undefined;
  readonly #outage: Outage;

  constructor(options: BrokerLogOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#env = options.env ?? nodeEnv;
    const wanted = { partitions: options.partitions, window: options.window };
    this.#link = new BrokerLink(this.#port, this.#env, wanted, {
      onUp: (stored) => this.#onUp(stored),
      onDown: (error) => this.#onDown(error),
    });
    this.#outage = new Outage(this.#env, {
      onLasting: (partition) => this.#partitions[partition]?.writer.refuseWaiting(this.#awayRefusal(partition)),
      report: (event) => options.report?.(event),
    });
    this.signals = new BrokerSignals(this.#port, this.#link);
  }

  /** What the port declares: it may know more once it is connected. */
  get declares(): LogDeclaration {
    return this.#port.declares;
  }

  get seenIsStored(): boolean {
    return this.#port.seenIsStored;
  }

  /**
   * Waits for the broker, and tries again; with remembered constants it goes on trying behind the first failure.
   * Rejects where trying cannot help: a `BrokerError` that is final.
   */
  async open(): Promise<LogConstants> {
    if (this.#state !== 'new') throw new Error('a broker log is opened once');
    this.#state = 'opening';
    this.#assertRemembered();
    this.#link.start();
    const { epochs, window } = await this.#opening.promise;
    this.#state = 'open';
    const count = epochs.length;
    return { epochs, window, partitionOf: (channel) => partitionOfChannel(channel, count) };
  }

  append(records: readonly PhysicalRecord[]): Promise<readonly AppendOutcome[]> {
    const call = new AppendCall(records.length, this.#env.endOfTick);
    const partitions = this.#partitions;
    for (const [slot, record] of records.entries()) {
      const partition = partitionOfChannel(record.channel, partitions.length);
      const refusal = this.#refusal(record, partition);
      if (refusal !== undefined) call.answer(slot, refusal);
      else partitions[partition]?.writer.add(record, call, slot);
    }
    return call.answered;
  }

  async tail(
    partition: number,
    after: TailStart,
    onBatch: (batch: readonly TailRecord[]) => Promise<void> | undefined,
    onError: (error: TailError) => void,
  ): Promise<Tail> {
    return await this.#at(partition).feed.tail(after, { onBatch, onError });
  }

  async bounds(partition: number): Promise<Bounds> {
    const { keeper, feed } = this.#at(partition);
    if (!this.#link.isUp) throw unavailableError(this.#awayMessage(partition), this.#link.error);
    const { oldest, newest } = await feed.bounds();
    keeper.heard({ oldest });
    return { oldest: positionOf(oldest), newest: positionOf(newest), fromGenesis: oldest === 0 };
  }

  async settled(partition: number, position: Position): Promise<void> {
    const { keeper } = this.#at(partition);
    if (this.#isThere(partition)) await keeper.settled(positionNumber(position));
  }

  get wantsSettled(): boolean {
    return this.#partitions.some(({ keeper }, partition) => this.#isThere(partition) && keeper.wantsSettled);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const wasOpening = this.#state === 'opening';
    this.#state = 'closing';
    if (wasOpening) this.#opening.reject(new Error('the log was closed while it opened'));
    const writers = this.#partitions.map(({ writer }) => writer);
    const idle = Promise.all(writers.map((writer) => writer.idle()));
    // Nobody waits for a broker that is away, or for a partition, in order to end.
    const wanted = writers.filter((_, partition) => this.#isThere(partition)).map((writer) => writer.idle());
    if (this.#link.isUp) await Promise.race([Promise.all(wanted), this.#lost.promise]);
    const message = `the log was closed while ${this.#port.place} was away`;
    for (const writer of writers) writer.refuseWaiting({ state: 'refused', code: 'not_durable', message });
    this.#outage.stop();
    await Promise.all(this.#partitions.map(({ feed }) => feed.close()));
    await this.#link.close();
    for (const writer of writers) writer.giveUpWaiting();
    await idle;
    this.#state = 'closed';
  }

  // The connection

  #onUp(stored: StoredConstants): void {
    const epochs = stored.partitions.map(({ epoch }) => epoch);
    if (this.#state === 'opening') {
      this.#make(epochs, stored.window);
      this.#opening.resolve({ epochs, window: stored.window });
    }
    for (const [n, partition] of this.#partitions.entries()) {
      const epoch = epochs[n] as string;
      if (partition.epoch !== epoch) {
        partition.epoch = epoch;
        partition.keeper.forget();
        partition.feed.onEpoch(epoch);
      }
      partition.feed.onUp();
      partition.writer.start();
    }
    this.#look();
  }

  #onDown(error: Error): void {
    const isFinal = error instanceof BrokerError && error.isFinal;
    if (this.#state === 'opening') {
      const { remembered } = this.#options;
      if (isFinal) {
        this.#state = 'closed';
        this.#opening.reject(error);
        void this.#link.close();
        return;
      }
      if (remembered !== undefined) {
        this.#link.expect({ partitions: remembered.epochs.length, window: remembered.window });
        this.#make(remembered.epochs, remembered.window);
        this.#opening.resolve(remembered);
      }
      this.#outage.setLasting(error);
      return;
    }
    if (this.#state === 'closing') this.#lost.resolve();
    for (const { feed } of this.#partitions) feed.onDown(error);
    if (isFinal) this.#outage.setLasting(error);
    else this.#look();
  }

  #onHealth(partition: number, isWell: boolean, error: Error | undefined): void {
    const one = this.#partitions[partition];
    if (one === undefined) return;
    one.trouble = isWell ? undefined : (error ?? new Error('it is not followed'));
    this.#look();
  }

  /** Whether a partition is well; what is not gets some time to become well by itself. */
  #look(): void {
    if (this.#isClosing) return;
    const away = this.#link.isUp ? undefined : (this.#link.error ?? new Error('it is not connected'));
    for (const [n, { trouble }] of this.#partitions.entries()) this.#outage.set(n, away ?? trouble);
  }

  get #isClosing(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  #isThere(partition: number): boolean {
    return this.#link.isUp && this.#partitions[partition]?.trouble === undefined;
  }

  #awayMessage(partition: number): string {
    const { place } = this.#port;
    const { isUp, error } = this.#link;
    const [what, why] = isUp
      ? [`partition ${partition} of ${place}`, this.#outage.reason(partition)]
      : [`the broker ${place}`, error];
    return `${what} cannot be reached${why === undefined ? '' : `: ${why.message}`}`;
  }

  #awayRefusal(partition: number): AppendOutcome {
    return { state: 'refused', code: 'not_durable', message: this.#awayMessage(partition) };
  }

  // Small things

  #make(epochs: readonly string[], window: number): void {
    const { queueRecordsMax, queueBytesMax, keepRecords } = this.#options;
    const room = new QueueRoom(queueRecordsMax ?? QUEUE_RECORDS_MAX, queueBytesMax ?? QUEUE_BYTES_MAX);
    const keep = Math.max(window, keepRecords ?? KEEP_WINDOWS * window);
    const life = randomId(this.#env).slice(0, 8);
    let tickets = 0;
    const nextTicket = (): string => `${life}.${(tickets++).toString(36)}`;
    const shared = { port: this.#port, env: this.#env, link: this.#link };
    this.#partitions = epochs.map((epoch, partition) => {
      const onHealth = (isWell: boolean, error?: Error): void => this.#onHealth(partition, isWell, error);
      const feed = new PartitionFeed({ ...shared, partition }, { onHealth });
      const writer = new PartitionWriter({ ...shared, partition, feed, room, window, nextTicket });
      const keeper = new PartitionKeeper(this.#port, partition, keep, () => feed.newestKnown);
      return { feed, writer, keeper, epoch, trouble: undefined };
    });
    this.#outage.open(epochs.length);
  }

  #refusal(record: PhysicalRecord, partition: number): AppendOutcome | undefined {
    if (this.#state !== 'open') return { state: 'refused', code: 'going_away', message: 'the log is not open' };
    const { recordBytesMax } = this.declares;
    if (record.payload.length > recordBytesMax) {
      const message = `the payload has ${record.payload.length} bytes; at most ${recordBytesMax} can be stored`;
      return { state: 'refused', code: 'too_large', message };
    }
    const fault = recordFault(record) ?? textsFault(record);
    if (fault !== undefined) return { state: 'refused', code: 'invalid', message: fault };
    return this.#outage.reason(partition) === undefined ? undefined : this.#awayRefusal(partition);
  }

  /** Remembered constants and configured ones come from two places. */
  #assertRemembered(): void {
    const { remembered, partitions, window } = this.#options;
    if (remembered === undefined) return;
    const [epochs, known] = [remembered.epochs.length, remembered.window];
    if ((partitions ?? epochs) === epochs && (window ?? known) === known) return;
    const message = `what is kept here is of a log with ${epochs} partitions and a window of ${known} records, configured are ${partitions ?? epochs} and ${window ?? known}`;
    throw new BrokerError(message, { isFinal: true });
  }

  #at(partition: number): Partition {
    if (this.#state !== 'open') throw new Error('the log is not open');
    const found = this.#partitions[partition];
    if (found === undefined) {
      throw new RangeError(`the log has the partitions 0 to ${this.#partitions.length - 1}; got ${partition}`);
    }
    return found;
  }
}
