/**
 * The connections of one node to a Kafka cluster, and what it knows of it: brokers, topics, leaders. A connection has
 * one use, since a broker answers a connection's requests one after another. Whoever meets a broker that does not answer
 * says so; when none answers any more the cluster is down, once and for good: the port makes another.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { BrokerError } from '../broker/broker-port.ts';
import type { BrokerAddress, KafkaAddress } from './kafka-address.ts';
import { connectError, faults, faultText, isTimeout, responseOf } from './kafka-fault.ts';
import type { Connection, ConnectionOptions, Kafka } from './kafka-library.ts';
import { TopicMap, type KafkaPartition, type KafkaTopic, type TopicRound } from './topic-map.ts';

type MetadataResponse = Awaited<ReturnType<Kafka['metadataV12']['api']['async']>>;

/** How long a broker may take to let a connection in. */
const CONNECT_MS = 3_000;
/** How long it may take to answer; a fetch may wait on top of it. */
export const ANSWER_MS = 4_000;
/** How long a fetch waits at the broker for something to come. */
export const WAIT_MS_MAX = 250;
/** A broker's answer is never this long: who sends such a length speaks something else. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

/** The calls the driver makes, each by a number and the version it writes; all of Kafka 3.1 and newer know them. */
const calls: readonly (readonly [name: string, key: number, version: number])[] = [
  ['Produce', 0, 9],
  ['Fetch', 1, 13],
  ['ListOffsets', 2, 7],
  ['Metadata', 3, 12],
  ['CreateTopics', 19, 7],
  ['DeleteRecords', 21, 2],
  ['InitProducerId', 22, 4],
  ['DescribeConfigs', 32, 4],
];

export class KafkaCluster {
  readonly kafka: Kafka;
  readonly address: KafkaAddress;
  /** Called once, when no broker answers any more. */
  onDown: ((error: Error) => void) | undefined;
  readonly #topicNames: readonly string[];
  readonly #options: ConnectionOptions;
  readonly #connections = new Map<string, Promise<Connection>>();
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map();
  readonly #topics = new TopicMap();
  /** No record is given to anybody before as many replicas have it as an append waits for (Kafka 4). */
  holdsBack = false;
  #refreshing: Promise<void> | undefined;
  /** Everybody who was asked has answered or failed. */
  #roundOver: Promise<void> = Promise.resolve();
  #ended: Error | undefined;

  private constructor(kafka: Kafka, address: KafkaAddress, topicNames: readonly string[]) {
    this.kafka = kafka;
    this.address = address;
    this.#topicNames = topicNames;
    this.#options = connectionOptions(address);
  }

  /** Reaches one of the brokers and learns the rest from it. Rejects in words, one sentence for each broker. */
  static async connect(kafka: Kafka, address: KafkaAddress, topicNames: readonly string[]): Promise<KafkaCluster> {
    const cluster = new KafkaCluster(kafka, address, topicNames);
    try {
      await cluster.refresh();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** Why it is over; `undefined` while it is not. */
  get ended(): Error | undefined {
    return this.#ended;
  }

  /** `undefined` where there is no such topic. */
  topic(name: string): KafkaTopic | undefined {
    return this.#topics.get(name);
  }

  get brokerCount(): number {
    return this.#brokers.size;
  }

  /** The leader of a partition, where one is known. */
  leader(name: string, partition: number): KafkaPartition | undefined {
    const known = this.#topics.get(name)?.partitions[partition];
    return known !== undefined && this.#brokers.has(known.leader) ? known : undefined;
  }

  /** Any broker: for calls that each of them answers or hands on. */
  anyBroker(): number {
    for (const [id, at] of this.#brokers) if (this.#connections.has(`${text(at)} ask`)) return id;
    const [first] = this.#brokers.keys();
    if (first === undefined) throw new Error('no broker is known');
    return first;
  }

  /** The connection to a broker for one use, made when it is first wanted. Rejects in words. */
  connection(broker: number, use: string): Promise<Connection> {
    const at = this.#brokers.get(broker);
    if (at === undefined) return Promise.reject(new Error(`broker ${broker} is not known (any more)`));
    return this.#open(at, use);
  }

  /** Sends one request and resolves with its answer; rejects when the answer is an error or does not come. */
  async call<T>(broker: number, use: string, send: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = await this.connection(broker, use);
    if (this.#ended !== undefined) throw this.#ended;
    return send(connection);
  }

  /**
   * Reads brokers, topics and leaders again, from whichever broker answers first. When none does, the cluster is down:
   * it rejects, and `onDown` is called.
   */
  refresh(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  /** The same, and waits until every broker has answered or failed: only then is a topic known to be gone. */
  async refreshAll(): Promise<void> {
    await this.refresh();
    await this.#roundOver;
  }

  /** Says that it is over; what is under way fails. */
  async end(error: Error): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.onDown?.(error);
    await this.close();
  }

  async close(): Promise<void> {
    this.#ended ??= new Error('the connection to Kafka is closed');
    const open = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.all(
      open.map(async (opening) => {
        const connection = await opening.catch(() => undefined);
        // Not closed politely: what is under way shall fail now.
        connection?.socket.destroy();
      }),
    );
  }

  async #refresh(): Promise<void> {
    const round = this.#topics.round();
    const asked = new Map<string, Promise<void>>();
    for (const at of [...this.#brokers.values(), ...this.address.brokers]) {
      if (!asked.has(text(at))) asked.set(text(at), this.#ask(at, round));
    }
    this.#roundOver = Promise.allSettled(asked.values()).then(() => round.end());
    try {
      await Promise.any(asked.values());
    } catch (failed) {
      const errors: unknown[] = failed instanceof AggregateError ? failed.errors : [failed];
      const each = [...asked.keys()].map((at, n) => `${at}: ${faultText(errors[n])}`);
      const isFinal = errors.every((one) => one instanceof BrokerError && one.isFinal);
      const error = new BrokerError(`${this.address.place}: ${each.join('; ')}`, { isFinal, cause: failed });
      await this.end(error);
      throw error;
    }
  }

  async #ask(at: BrokerAddress, round: TopicRound): Promise<void> {
    const isOld = this.#connections.has(`${text(at)} ask`);
    const answer = await this.#askOnce(at).catch((error: unknown) => {
      // The connection may be gone where the broker is not; one that does not answer is not asked again.
      const isGone = isOld && !isTimeout(error) && this.#ended === undefined;
      if (isGone) return this.#askOnce(at);
      throw error;
    });
    if (answer.brokers.length === 0) throw new Error('it does not know a broker yet');
    if (this.address.ignoresAdvertised && answer.brokers.length > 1) {
      const message = `advertised=ignore is for one broker; this cluster has ${answer.brokers.length}`;
      throw new BrokerError(message, { isFinal: true });
    }
    this.#brokers = new Map(
      answer.brokers.map(({ nodeId, host, port }) => [nodeId, this.address.ignoresAdvertised ? at : { host, port }]),
    );
    const topics = new Map<string, KafkaTopic>();
    for (const { name, topicId, partitions, errorCode } of answer.topics) {
      if (errorCode === faults.topicForbidden) {
        throw new BrokerError(`this login may not use the topic ${name}`, { isFinal: true });
      }
      if (typeof name !== 'string' || partitions.length === 0) continue;
      const known: KafkaPartition[] = [];
      for (const { partitionIndex, leaderId, leaderEpoch } of partitions) {
        known[partitionIndex] = { leader: leaderId, epoch: leaderEpoch };
      }
      topics.set(name, { id: topicId, replication: partitions[0]?.replicaNodes.length ?? 1, partitions: known });
    }
    round.take(topics);
  }

  async #askOnce(at: BrokerAddress): Promise<MetadataResponse> {
    const connection = await this.#open(at, 'ask');
    const { api } = this.kafka.metadataV12;
    return api.async(connection, [...this.#topicNames], false, false).catch((error: unknown) => {
      // A topic that is not there, or has no leader just now, is an answer too.
      const response = responseOf(error);
      if (response === undefined) throw connectError(error, this.address.tls, this.address.login);
      return response as MetadataResponse;
    });
  }

  #open(at: BrokerAddress, use: string): Promise<Connection> {
    const key = `${text(at)} ${use}`;
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const known = this.#connections.get(key);
    if (known !== undefined) return known;
    const opening = this.#connect(at, () => {
      if (this.#connections.get(key) === opening) this.#connections.delete(key);
    });
    this.#connections.set(key, opening);
    return opening;
  }

  async #connect(at: BrokerAddress, onClose: () => void): Promise<Connection> {
    const name = isIP(at.host) === 0 ? at.host : false;
    const connection = new this.kafka.Connection('tideway', { ...this.#options, tlsServerName: name });
    let failed: unknown;
    connection.on('error', (error) => (failed ??= error));
    connection.once('close', onClose);
    try {
      await connection.connect(at.host, at.port);
      connection.socket.once('data', (chunk: Buffer) => {
        const isKafka = chunk.length < 4 || chunk.readUInt32BE() <= ANSWER_BYTES_MAX;
        if (!isKafka) connection.socket.destroy(new BrokerError('what answers there is not Kafka', { isFinal: true }));
      });
      const versions = await this.kafka.apiVersionsV3.api.async(connection, 'tideway', '1');
      this.holdsBack = (versions.finalizedFeatures ?? []).some(
        ({ name, maxVersionLevel }) => name === 'eligible.leader.replicas.version' && maxVersionLevel > 0,
      );
      for (const [call, key, version] of calls) {
        const has = versions.apiKeys.find(({ apiKey }) => apiKey === key);
        if (has !== undefined && version >= has.minVersion && version <= has.maxVersion) continue;
        const message = `it does not know ${call} version ${version}; Kafka 3.1 or newer is needed`;
        throw new BrokerError(message, { isFinal: true });
      }
      return connection;
    } catch (error) {
      onClose();
      connection.socket?.destroy();
      throw connectError(failed ?? error, this.address.tls, this.address.login);
    }
  }
}

function text({ host, port }: BrokerAddress): string {
  return `${host}:${port}`;
}

export function connectionOptions({ tls, login }: KafkaAddress): ConnectionOptions {
  const read = (file: string | undefined): Buffer | undefined => (file === undefined ? undefined : readFileSync(file));
  const [ca, cert, key] = [read(tls?.ca), read(tls?.cert), read(tls?.key)];
  return {
    connectTimeout: CONNECT_MS,
    requestTimeout: ANSWER_MS + WAIT_MS_MAX,
    maxInflights: 64,
    ...(tls === undefined
      ? {}
      : {
          tls: {
            ...(ca === undefined ? {} : { ca }),
            ...(cert === undefined || key === undefined ? {} : { cert, key }),
          },
        }),
    ...(login === undefined
      ? {}
      : { sasl: { mechanism: login.mechanism, username: login.user, password: login.password } }),
  };
}
