/**
 * Signals between nodes: a topic with one partition and a short memory, which every node follows from its end. At most
 * once: what cannot be sent, and what comes while a node is not connected, is gone.
 */
import type { FollowEvents, Following } from '../broker/broker-port.ts';
import type { KafkaCluster } from './kafka-cluster.ts';
import { topicNames } from './kafka-topics.ts';
import { produce } from './kafka-writer.ts';
import { encodeBatch, noProducer, type BatchTools } from './record-batch.ts';
import type { NativeRecord } from '../broker/native-record.ts';

/** What waits while a request is under way; beyond it signals are dropped. */
const WAITING_MAX = 4_096;
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** Of one request, unless one signal is larger: far below what brokers take in a batch by default, 1 MiB. */
const BATCH_BYTES_MAX = 256 * 1024;
const LEADER_ONLY = 1;

const noHeaders: ReadonlyMap<string, string> = new Map();

export class SignalSender {
  readonly #cluster: KafkaCluster;
  readonly #tools: BatchTools;
  #waiting: NativeRecord[] = [];
  #waitingBytes = 0;
  #isSending = false;

  constructor(cluster: KafkaCluster, tools: BatchTools) {
    this.#cluster = cluster;
    this.#tools = tools;
  }

  send(subject: string, bytes: Buffer): void {
    const isFull = this.#waiting.length >= WAITING_MAX || this.#waitingBytes + bytes.length > WAITING_BYTES_MAX;
    if (isFull || this.#cluster.ended !== undefined) return;
    this.#waiting.push({ channel: subject, value: bytes, headers: noHeaders });
    this.#waitingBytes += bytes.length;
    if (!this.#isSending) void this.#run();
  }

  /** One request at a time, so that the order holds. */
  async #run(): Promise<void> {
    this.#isSending = true;
    while (this.#waiting.length > 0) {
      await this.#send(this.#take()).catch(() => this.#cluster.refresh().catch(() => undefined));
    }
    this.#isSending = false;
  }

  /** The oldest that fit one request. */
  #take(): NativeRecord[] {
    let count = 0;
    let bytes = 0;
    for (const { value } of this.#waiting) {
      if (count > 0 && bytes + value.length > BATCH_BYTES_MAX) break;
      bytes += value.length;
      count++;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  async #send(signals: readonly NativeRecord[]): Promise<void> {
    const topic = topicNames(this.#cluster.address.name).signals;
    const leader = this.#cluster.leader(topic, 0);
    if (leader === undefined) return;
    const connection = await this.#cluster.connection(leader.leader, 'signal');
    const batch = encodeBatch(signals, noProducer, Date.now(), this.#tools);
    await produce(this.#cluster, connection, topic, 0, batch, LEADER_ONLY);
  }
}

/** Who listens to what; outlives the cluster's connections. */
export class SignalListeners {
  readonly #bySubject = new Map<string, Set<(bytes: Buffer) => void>>();

  get size(): number {
    return this.#bySubject.size;
  }

  add(subject: string, listener: (bytes: Buffer) => void): () => void {
    let listeners = this.#bySubject.get(subject);
    if (listeners === undefined) this.#bySubject.set(subject, (listeners = new Set()));
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#bySubject.get(subject) === listeners) this.#bySubject.delete(subject);
    };
  }

  hear({ channel, value }: NativeRecord): void {
    if (channel === undefined) return;
    for (const listener of this.#bySubject.get(channel) ?? []) listener(value);
  }
}

/** Keeps one follower at the end of the signals' topic while the cluster lives. */
export class SignalTail {
  readonly #start: (events: FollowEvents) => Promise<Following>;
  readonly #listeners: SignalListeners;
  readonly #cluster: KafkaCluster;
  #started: Promise<void> | undefined;

  /** @param start follows from the topic's end */
  constructor(cluster: KafkaCluster, listeners: SignalListeners, start: (events: FollowEvents) => Promise<Following>) {
    this.#cluster = cluster;
    this.#listeners = listeners;
    this.#start = start;
  }

  /** Resolves once what is sent from now on will be heard. */
  start(): Promise<void> {
    this.#started ??= this.#follow();
    return this.#started;
  }

  async #follow(): Promise<void> {
    await this.#start({
      onRecords: (records) => {
        for (const record of records) this.#listeners.hear(record);
        return undefined;
      },
      onEnd: () => void this.#again(),
    });
  }

  async #again(): Promise<void> {
    while (this.#cluster.ended === undefined) {
      await new Promise((resolve) => void setTimeout(resolve, AGAIN_MS));
      const isFollowing = await this.#follow().then(
        () => true,
        () => false,
      );
      if (isFollowing) return;
    }
  }
}

const AGAIN_MS = 200;
