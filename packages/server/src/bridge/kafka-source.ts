/**
 * A topic of Kafka as a source. A consumer group keeps the offsets and gives each partition to one copy of the bridge; an
 * offset is committed when everything before it is stored.
 */
import { isUtf8 } from 'node:buffer';
import type { Consumer, Message as KafkaRecord, MessagesStream } from '@platformatic/kafka';
import { BrokerError } from '../log/broker/broker-port.ts';
import { connectError, faultCode } from '../log/kafka/kafka-fault.ts';
import { loadKafka } from '../log/kafka/kafka-library.ts';
import { within } from '../log/rabbitmq/deadline.ts';
import type { BridgeAddress } from './bridge-address.ts';
import { Inbox } from './inbox.ts';
import { kafkaClientOptions, KAFKA_CLOSE_MS } from './kafka-client.ts';
import { type Message, type Source, WAITING_BYTES_MAX } from './message.ts';

type KafkaBridge = Extract<BridgeAddress, { broker: 'kafka' }>;

interface KafkaMessage extends Message {
  readonly partition: number;
  readonly offset: bigint;
  readonly leaderEpoch: number;
}

/** A copy that is gone without a word keeps its partitions for so long; brokers allow 6 s and more. */
const SESSION_MS = 10_000;
const HEARTBEAT_MS = 2_500;
const WAIT_MS = 1_000;
/** ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS: partitions are being given out anew, and are read from their offsets again. */
const rebalances: readonly (number | undefined)[] = [22, 27];

export async function openKafkaSource(address: KafkaBridge, group: string): Promise<Source> {
  const { at, topic } = address;
  const kafka = await loadKafka();
  const consumer = new kafka.Consumer({
    ...kafkaClientOptions(at),
    groupId: group,
    sessionTimeout: SESSION_MS,
    rebalanceTimeout: SESSION_MS,
    heartbeatInterval: HEARTBEAT_MS,
    maxWaitTime: WAIT_MS,
    maxBytes: WAITING_BYTES_MAX,
    // In messages: nothing is fetched while any waits.
    highWaterMark: 1,
    autocommit: false,
  });
  try {
    const metadata = await consumer.metadata({ topics: [topic], forceUpdate: true });
    const id = metadata.topics.get(topic)?.id ?? '';
    const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' });
    return new KafkaSource(address, consumer, stream, Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url'));
  } catch (error) {
    await close(consumer);
    const { message, isFinal } = connectError(error, at.tls, at.login);
    throw new BrokerError(`${address.place}: ${message}`, { isFinal, cause: error });
  }
}

class KafkaSource implements Source {
  readonly #address: KafkaBridge;
  readonly #consumer: Consumer;
  readonly #topicId: string;
  readonly #inbox = new Inbox<KafkaMessage>();
  #given: readonly KafkaMessage[] = [];

  constructor(
    address: KafkaBridge,
    consumer: Consumer,
    stream: MessagesStream<Buffer, Buffer, Buffer, Buffer>,
    topicId: string,
  ) {
    this.#address = address;
    this.#consumer = consumer;
    this.#topicId = topicId;
    this.#pump(stream).catch((error: unknown) => {
      const { message } = connectError(error, address.at.tls, address.at.login);
      this.#inbox.fail(new Error(`${address.place}: ${message}`, { cause: error }));
    });
  }

  async next(signal: AbortSignal): Promise<readonly Message[]> {
    this.#given = await this.#inbox.take(signal);
    return this.#given;
  }

  async settled(): Promise<void> {
    const { topic } = this.#address;
    const newest = new Map(this.#given.map((message) => [message.partition, message]));
    const offsets = [...newest.values()].map(({ partition, offset, leaderEpoch }) => {
      return { topic, partition, offset: offset + 1n, leaderEpoch };
    });
    await this.#consumer.commit({ offsets }).catch((error: unknown) => {
      if (!rebalances.includes(faultCode(error))) throw error;
    });
  }

  close(): Promise<void> {
    return close(this.#consumer);
  }

  async #pump(stream: MessagesStream<Buffer, Buffer, Buffer, Buffer>): Promise<void> {
    for await (const record of stream) {
      this.#inbox.push(this.#message(record));
      await this.#inbox.room();
    }
    throw new Error('the broker gives no more');
  }

  #message(record: KafkaRecord): KafkaMessage {
    const { topic } = this.#address;
    const { key, value, partition, offset, leaderEpoch, headerEntries } = record;
    const headers = new Map<string, string>();
    for (const [name, text] of headerEntries as readonly (readonly [Buffer?, Buffer?])[]) {
      if (name === undefined || text === undefined || !isUtf8(text) || headers.has(name.toString())) continue;
      headers.set(name.toString(), text.toString());
    }
    return {
      partition,
      offset,
      leaderEpoch: leaderEpoch ?? -1,
      subject: topic,
      headers,
      // A deletion of a compacted topic has no value.
      body: value ?? Buffer.alloc(0),
      ...((key as Buffer | undefined) !== undefined && { key }),
      id: `${this.#topicId}/${partition}/${offset}`,
      place: `topic ${topic}, partition ${partition}, offset ${offset}`,
    };
  }
}

async function close(consumer: Consumer): Promise<void> {
  const late = (): Error => new Error('Kafka did not say goodbye');
  await within(consumer.close(true), KAFKA_CLOSE_MS, late).catch(() => undefined);
}
