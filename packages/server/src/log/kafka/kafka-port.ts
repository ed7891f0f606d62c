/**
 * A log's partitions on Kafka: one topic, its partitions fixed when it is made, key = channel, value = payload. A
 * record's number is its offset and one. Kafka gives every record of a partition an offset, the markers of foreign
 * transactions too, so consecutive offsets are the witness of contiguity (record-batch.ts).
 */
import { limits } from '@tideway/protocol';
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
import { TailError, type AppendOutcome, type LogDeclaration } from '../log.ts';
import type { KafkaAddress } from './kafka-address.ts';
import { ANSWER_MS, KafkaCluster, WAIT_MS_MAX } from './kafka-cluster.ts';
import { settleConstants } from './kafka-constants.ts';
import { codeText, faults, leaderFaults } from './kafka-fault.ts';
import type { FetchAsk } from './kafka-fetch.ts';
import { KafkaFollows } from './kafka-follow.ts';
import { batchTools, loadKafka, type Kafka } from './kafka-library.ts';
import {
  anotherTopic,
  deleteUpTo,
  fromLeader,
  isAnother,
  outOfRange,
  readAfter,
  readAt,
  readBounds,
  RecordSizes,
  unavailable,
  type ReadPlace,
} from './kafka-reads.ts';
import { SignalListeners, SignalSender, SignalTail } from './kafka-signals.ts';
import { makeTopics, readSettings, topicNames, type TopicNames, type TopicSettings } from './kafka-topics.ts';
import { KafkaWriter } from './kafka-writer.ts';
import type { BatchTools } from './record-batch.ts';

/** Beside its payload a record has a channel and headers, and its batch a head. */
const AROUND_PAYLOAD_BYTES = 64 * 1024;
const CONNECT_MS = 10_000;
/** A fetch is not answered, then no broker says who leads. */
const DETECT_MS = 2 * ANSWER_MS + WAIT_MS_MAX;

/** What lasts from a connect to the next. */
interface Life {
  readonly cluster: KafkaCluster;
  readonly tools: BatchTools;
  /** Of the topic of records. */
  readonly topicId: string;
  readonly follows: KafkaFollows;
  readonly sender: SignalSender;
  readonly signals: SignalTail;
}

export class KafkaPort implements BrokerPort {
  readonly place: string;
  readonly countsDensely = true;
  /** Absent where nothing is ever deleted. */
  readonly trim?: (partition: number, upTo: number) => Promise<void>;
  onDown: ((error: Error) => void) | undefined;
  readonly #address: KafkaAddress;
  readonly #names: TopicNames;
  readonly #load: () => Promise<Kafka>;
  readonly #listeners = new SignalListeners();
  readonly #sizes = new RecordSizes();
  #declares: LogDeclaration;
  #seenIsStored = false;
  #life: Life | undefined;
  /** They outlive a connection, so that what is still under way on the old one stays fenced off. */
  #writers: { readonly topicId: string; readonly ofPartition: readonly KafkaWriter[] } | undefined;
  /** Counts connects, so that one that was given up never comes into use. */
  #attempt = 0;
  #isClosed = false;

  constructor(address: KafkaAddress, load: () => Promise<Kafka> = loadKafka) {
    this.#address = address;
    this.#names = topicNames(address.name);
    this.#load = load;
    this.place = address.place;
    if (Number.isFinite(address.retentionMs)) this.trim = (partition, upTo) => this.#trim(partition, upTo);
    const replication = address.replication ?? 1;
    const batchBytesMax = limits.recordBytesMax + AROUND_PAYLOAD_BYTES;
    this.#declares = declare({ replication, minInSync: replication > 2 ? 2 : 1, isUnclean: false, batchBytesMax });
  }

  /** Once connected, by what the topic really is. */
  get declares(): LogDeclaration {
    return this.#declares;
  }

  /** A follower is given what all replicas in sync have; on older brokers those may be fewer than an append waits for. */
  get seenIsStored(): boolean {
    return this.#seenIsStored;
  }

  async connect(wanted: StoredConstants): Promise<StoredConstants> {
    const kafka = await this.#load();
    await this.#life?.cluster.close();
    this.#life = undefined;
    const names = Object.values(this.#names) as string[];
    const attempt = ++this.#attempt;
    let cluster: KafkaCluster | undefined;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const message = `${this.place}: it does not answer within ${CONNECT_MS / 1_000} s`;
      timer = setTimeout(() => reject(new Error(message)), CONNECT_MS);
    });
    const opening = KafkaCluster.connect(kafka, this.#address, names).then((connected) => {
      cluster = connected;
      return this.#begin(connected, wanted, attempt);
    });
    try {
      return await Promise.race([opening, late]);
    } catch (error) {
      opening
        .catch(() => undefined)
        .then(
          () => cluster?.close(),
          () => undefined,
        );
      await cluster?.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async append(
    partition: number,
    records: readonly NativeRecord[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const [life, writer] = [this.#life, this.#writers?.ofPartition[partition]];
    if (life === undefined || writer === undefined) {
      const message = `${this.place} is not connected`;
      return records.map(() => ({ state: 'refused', code: 'not_durable', message }));
    }
    return writer.append(life.cluster, life.tools, records, deadlineMs);
  }

  async read(partition: number, after: number, limit: number): Promise<readonly StoredRecord[]> {
    const { cluster, tools, place } = this.#at(partition);
    return readAfter(cluster, tools, place, after, limit, this.#sizes);
  }

  async at(partition: number, number: number): Promise<StoredRecord | undefined> {
    const { cluster, tools, place } = this.#at(partition);
    return number < 1 ? undefined : readAt(cluster, tools, place, number);
  }

  async bounds(partition: number): Promise<PortBounds> {
    const { cluster, place } = this.#at(partition);
    return readBounds(cluster, place);
  }

  async follow(partition: number, after: number, events: FollowEvents): Promise<Following> {
    const { cluster, follows, place } = this.#at(partition);
    const leader = await fromLeader(cluster, place, () => Promise.resolve(cluster.leader(place.topic, partition)));
    const { topicId } = place;
    if (leader === undefined) throw unavailable(cluster, place, new Error('no leader is known'));
    return follows.follow(leader.leader, { topicId, partition, epoch: leader.epoch, offset: after }, events);
  }

  signal(subject: string, bytes: Buffer): void {
    this.#life?.sender.send(subject, bytes);
  }

  async onSignal(subject: string, listener: (bytes: Buffer) => void): Promise<() => void> {
    const remove = this.#listeners.add(subject, listener);
    try {
      await this.#life?.signals.start();
    } catch (error) {
      remove();
      throw error;
    }
    return remove;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const life = this.#life;
    this.#life = undefined;
    if (life === undefined) return;
    life.cluster.onDown = undefined;
    life.follows.end(new TailError('unavailable', `${this.place} is closed`));
    await life.cluster.close();
  }

  /** Makes what is missing, agrees on the constants, and takes the connection into use. */
  async #begin(cluster: KafkaCluster, wanted: StoredConstants, attempt: number): Promise<StoredConstants> {
    const tools = batchTools(cluster.kafka);
    await makeTopics(cluster, wanted.partitions.length, limits.recordBytesMax);
    const settings = await readSettings(cluster);
    const stored = await settleConstants(cluster, tools, wanted);
    const asked = this.#address.partitions;
    if (asked !== undefined && asked !== stored.partitions.length) {
      const message = `${this.place} has ${stored.partitions.length} partitions, fixed when it was made; the address asks for ${asked}`;
      throw new BrokerError(message, { isFinal: true });
    }
    const topicId = cluster.topic(this.#names.records)?.id ?? '';
    const follows = new KafkaFollows(cluster, tools, (ask, code) => this.#explain(cluster, ask, code));
    const signals = new SignalTail(cluster, this.#listeners, (events) => followSignals(cluster, follows, events));
    if (this.#listeners.size > 0) await signals.start();
    if (cluster.ended !== undefined) throw cluster.ended;
    if (this.#isClosed || attempt !== this.#attempt) throw new Error(`${this.place}: this attempt was given up`);
    cluster.onDown = (error) => {
      follows.end(new TailError('unavailable', error.message, { cause: error }));
      this.#life = undefined;
      this.onDown?.(error);
    };
    this.#declares = declare(settings);
    this.#seenIsStored = settings.minInSync === 1 || cluster.holdsBack;
    this.#life = { cluster, tools, topicId, follows, signals, sender: new SignalSender(cluster, tools) };
    if (this.#writers?.topicId !== topicId) {
      const topic = this.#names.records;
      const ofPartition = stored.partitions.map((_, partition) => new KafkaWriter({ topic, partition }));
      this.#writers = { topicId, ofPartition };
    }
    return stored;
  }

  async #trim(partition: number, upTo: number): Promise<void> {
    const { cluster, tools, place } = this.#at(partition);
    await deleteUpTo(cluster, tools, place, upTo, this.#address.retentionMs);
  }

  #at(partition: number): Life & { readonly place: ReadPlace } {
    const life = this.#life;
    if (life === undefined) throw new TailError('unavailable', `${this.place} is not connected`);
    return { ...life, place: { topic: this.#names.records, topicId: life.topicId, partition } };
  }

  /** What it means for a follower that its partition answers with an error. */
  async #explain(cluster: KafkaCluster, { topicId, partition, offset }: FetchAsk, code: number): Promise<Error> {
    const topic = cluster.topic(this.#names.signals)?.id === topicId ? this.#names.signals : this.#names.records;
    const place = { topic, topicId, partition };
    try {
      if (code === faults.offsetOutOfRange) return await outOfRange(cluster, place, offset);
      if (await isAnother(cluster, place)) return anotherTopic(cluster);
    } catch (error) {
      return unavailable(cluster, place, error);
    }
    const why = leaderFaults.has(code) ? 'its leader changed' : codeText(cluster.kafka, code);
    return unavailable(cluster, place, new Error(why));
  }
}

async function followSignals(cluster: KafkaCluster, follows: KafkaFollows, events: FollowEvents): Promise<Following> {
  const topic = topicNames(cluster.address.name).signals;
  const topicId = cluster.topic(topic)?.id;
  if (topicId === undefined) throw new Error(`${cluster.address.place}: the topic ${topic} is gone`);
  const { newest } = await readBounds(cluster, { topic, topicId, partition: 0 });
  const leader = cluster.leader(topic, 0);
  if (leader === undefined) throw new Error(`${cluster.address.place}: the topic ${topic} has no leader`);
  return follows.follow(leader.leader, { topicId, partition: 0, epoch: leader.epoch, offset: newest }, events);
}

function declare({ replication, minInSync, isUnclean, batchBytesMax }: TopicSettings): LogDeclaration {
  const copies = Math.min(replication, minInSync);
  const survives =
    copies > 1
      ? `the loss of any ${copies - 1 === 1 ? 'one broker' : `${copies - 1} brokers`}: it is in the memory of at least ${copies}, which write it to disk by and by`
      : "the end of the broker's process: it is in the memory of its machine, which writes it to disk by and by; with more replicas it would survive the machine";
  return {
    storedSurvives: survives,
    durable: true,
    // One copy in memory goes with its machine's power; more only where somebody allows a stale one to lead.
    mayRewind: isUnclean || copies < 2,
    contiguity:
      'consecutive offsets: whatever Kafka puts into a partition has one, and a fetch from a place that is gone is an error',
    detectMs: DETECT_MS,
    recordBytesMax: Math.max(1_024, Math.min(limits.recordBytesMax, batchBytesMax - AROUND_PAYLOAD_BYTES)),
  };
}
