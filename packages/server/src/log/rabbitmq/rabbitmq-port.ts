/**
 * RabbitMQ as a log: one stream queue for each partition, over AMQP 0-9-1. What `stored` means there, and how other
 * services read and write the same streams, stands in docs/logs/rabbitmq.md.
 */
import type { ChannelModel } from 'amqplib';
import { limits } from '@tideway/protocol';
import { nodeEnv, randomFraction } from '../../env.ts';
import {
  BrokerError,
  type BrokerPort,
  type FollowEvents,
  type Following,
  type PortBounds,
  type StoredConstants,
  type StoredRecord,
} from '../broker/broker-port.ts';
import type { NativeRecord } from '../broker/native-record.ts';
import type { AppendOutcome, LogDeclaration } from '../log.ts';
import { ConstantsStream, type StreamConstants } from './constants-stream.ts';
import { within } from './deadline.ts';
import { StreamReader, type SeenEnd } from './stream-reader.ts';
import { StreamWriter } from './stream-writer.ts';
import type { RabbitmqAddress, RabbitmqHost } from './rabbitmq-address.ts';
import { commandFailure } from './rabbitmq-failure.ts';
import { DETECT_MS, RabbitmqLink } from './rabbitmq-link.ts';
import { RabbitmqSignals } from './rabbitmq-signals.ts';
import { StreamFollower } from './stream-follower.ts';

const CONNECT_MS = 9_500;
/** A node that comes back waits so long for its signals. */
const SIGNALS_MS = 1_000;

/** One partition, on the connection that is. */
interface Stream {
  readonly queue: string;
  readonly reading: ChannelModel;
  readonly seen: SeenEnd;
  readonly writer: StreamWriter;
  readonly reader: StreamReader;
}

export class RabbitmqPort implements BrokerPort {
  /** RabbitMQ keeps notes of its own among the messages. */
  readonly countsDensely = false;
  /** Consumers are given what is committed. */
  readonly seenIsStored = true;
  readonly place: string;
  onDown: ((error: Error) => void) | undefined;
  readonly #address: RabbitmqAddress;
  readonly #signals: RabbitmqSignals;
  /** RabbitMQ says what it takes only when it refuses. */
  #recordBytesMax: number = limits.recordBytesMax;
  #link: RabbitmqLink | undefined;
  /** Whose turn it is to be connected to; nodes begin with different ones. */
  #member = Math.floor(randomFraction(nodeEnv) * 1_000);
  /** By stream, over all connections. */
  readonly #seen = new Map<string, SeenEnd>();
  /** The streams that are bound to their exchange. */
  #bound = '';
  /** Those of the partitions, in order. */
  #streams: readonly Stream[] = [];

  constructor(address: RabbitmqAddress) {
    this.#address = address;
    this.place = address.place;
    this.#signals = new RabbitmqSignals(address.name);
  }

  get declares(): LogDeclaration {
    return {
      storedSurvives:
        'the end of every process; with replicas, the loss of fewer than half of them. Streams are not synced to disk: ' +
        'power lost by most replicas at once may take what was confirmed last',
      durable: true,
      mayRewind: true,
      recordBytesMax: this.#recordBytesMax,
      contiguity:
        'streams are trimmed oldest first: where offsets are not consecutive, what stands before the hole is still held',
      detectMs: DETECT_MS,
    };
  }

  async connect(wanted: StoredConstants): Promise<StoredConstants> {
    await this.#leave();
    const attempt = new Attempt();
    const late = (): Error => new Error(`RabbitMQ at ${this.place} did not get ready within ${CONNECT_MS} ms`);
    try {
      const { link, stored } = await within(this.#connect(attempt, wanted), CONNECT_MS, late);
      if (link.isOver) throw new Error(`the connection to ${this.place} was lost at once`);
      this.#link = link;
      this.#recordBytesMax = limits.recordBytesMax;
      this.#streams = stored.partitions.map(({ identity }) => this.#makeStream(link, identity));
      return stored;
    } catch (error) {
      this.#member++;
      this.#signals.detach();
      await attempt.giveUp();
      throw error;
    }
  }

  async #connect(
    attempt: Attempt,
    wanted: StoredConstants,
  ): Promise<{ readonly link: RabbitmqLink; readonly stored: StreamConstants }> {
    const link = await this.#reach(attempt);
    const constants = new ConstantsStream(this.#address, link.writing, link.looks);
    const stored = await constants.settle(wanted);
    await this.#dress(link, constants, stored);
    return { link, stored };
  }

  /**
   * What is there besides the streams: the exchange of plain clients, and signals. RabbitMQ makes queues and bindings on
   * all members at once, so while one of them hangs that takes until it goes on, or is given up. A node that comes back
   * from such a member reads and writes meanwhile: its streams were bound before, its signals begin later.
   */
  async #dress(link: RabbitmqLink, constants: ConstantsStream, stored: StreamConstants): Promise<void> {
    const names = stored.partitions.map(({ identity }) => identity).join();
    const attached = this.#signals.attach(link).catch((error: unknown) => {
      throw commandFailure(error, 'use the exchange for signals', this.#address);
    });
    if (names === this.#bound) {
      const settled = attached.catch((error: Error) => link.end(error));
      return within(settled, SIGNALS_MS, () => new Error('a member hangs')).catch(() => undefined);
    }
    await Promise.all([constants.bind(stored), attached]);
    this.#bound = names;
  }

  /** The first member that can be reached, beginning with the one whose turn it is. */
  async #reach(attempt: Attempt): Promise<RabbitmqLink> {
    const { hosts } = this.#address;
    for (let tries = 1; ; tries++) {
      const member = hosts[this.#member % hosts.length] as RabbitmqHost;
      try {
        return await attempt.open(this.#address, member, (link, error) => this.#lost(link, error));
      } catch (error) {
        const isFinal = error instanceof BrokerError && error.isFinal;
        if (isFinal || attempt.isGivenUp || tries === hosts.length) throw error;
        this.#member++;
      }
    }
  }

  #makeStream(link: RabbitmqLink, queue: string): Stream {
    const { writing, reading, looks } = link;
    const seen = this.#seen.get(queue) ?? { newest: 0 };
    this.#seen.set(queue, seen);
    const writer = new StreamWriter(writing, queue, (bytes) => (this.#recordBytesMax = bytes));
    const onBehind = (error: Error): void => link.end(error);
    const reader = new StreamReader({ model: reading, looks, queue, writer, seen, onBehind });
    return { queue, reading, seen, writer, reader };
  }

  async append(
    partition: number,
    records: readonly NativeRecord[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const writer = this.#streams[partition]?.writer;
    const link = this.#link;
    const refusal =
      writer === undefined || link === undefined ? 'there is no connection to RabbitMQ' : blockedReason(link);
    if (writer === undefined || refusal !== undefined) {
      return records.map(() => ({ state: 'refused', code: 'not_durable', message: String(refusal) }));
    }
    return writer.append(records, deadlineMs);
  }

  async read(partition: number, after: number, limit: number): Promise<readonly StoredRecord[]> {
    return await this.#stream(partition).reader.page(after, limit);
  }

  async at(partition: number, number: number): Promise<StoredRecord | undefined> {
    return await this.#stream(partition).reader.at(number);
  }

  async bounds(partition: number): Promise<PortBounds> {
    return await this.#stream(partition).reader.bounds();
  }

  async follow(partition: number, after: number, events: FollowEvents): Promise<Following> {
    const { reading, queue, reader, seen } = this.#stream(partition);
    const onRecords = (records: readonly StoredRecord[]): Promise<void> | undefined => {
      seen.newest = Math.max(seen.newest, records.at(-1)?.number ?? 0);
      return events.onRecords(records);
    };
    const onEnd = (error: Error): void => events.onEnd(error);
    return await StreamFollower.start(reading, queue, after, { onRecords, onEnd }, reader.oldest);
  }

  signal(subject: string, bytes: Buffer): void {
    this.#signals.send(subject, bytes);
  }

  onSignal(subject: string, listener: (bytes: Buffer) => void): Promise<() => void> {
    return this.#signals.listen(subject, listener);
  }

  close(): Promise<void> {
    return this.#leave();
  }

  async #leave(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    this.#streams = [];
    this.#signals.detach();
    await link?.close();
  }

  #lost(link: RabbitmqLink, error: Error): void {
    if (this.#link !== link) return;
    this.#member++;
    void this.#leave();
    this.onDown?.(new Error(`the connection to ${this.place} is lost: ${error.message}`, { cause: error }));
  }

  #stream(partition: number): Stream {
    if (this.#link === undefined) throw new Error(`there is no connection to ${this.place}`);
    const stream = this.#streams[partition];
    if (stream === undefined) throw new RangeError(`the log has ${this.#streams.length} partitions, no ${partition}`);
    return stream;
  }
}

/** One call of `connect`: what it opened is closed where nobody waits for it any more. */
class Attempt {
  #link: RabbitmqLink | undefined;
  isGivenUp = false;

  async open(
    address: RabbitmqAddress,
    member: RabbitmqHost,
    onDown: (link: RabbitmqLink, error: Error) => void,
  ): Promise<RabbitmqLink> {
    const link = await RabbitmqLink.open(address, member, (error) => onDown(link, error));
    this.#link = link;
    if (this.isGivenUp) await link.close();
    return link;
  }

  async giveUp(): Promise<void> {
    this.isGivenUp = true;
    await this.#link?.close();
  }
}

function blockedReason({ blocked }: RabbitmqLink): string | undefined {
  return blocked === undefined ? undefined : `RabbitMQ takes no records: ${blocked}`;
}
