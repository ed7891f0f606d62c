/** A topic of Kafka as a sink: the channel is the key, so that a channel stays in one partition, in order. */
import type { Producer } from '@platformatic/kafka';
import { BrokerError } from '../log/broker/broker-port.ts';
import { connectError, faultCode, faults } from '../log/kafka/kafka-fault.ts';
import { loadKafka } from '../log/kafka/kafka-library.ts';
import { within } from '../log/rabbitmq/deadline.ts';
import type { BridgeAddress } from './bridge-address.ts';
import { kafkaClientOptions, KAFKA_CLOSE_MS } from './kafka-client.ts';
import { type Outgoing, type Sink, Unwritable } from './sink.ts';

type KafkaBridge = Extract<BridgeAddress, { broker: 'kafka' }>;

/** INVALID_RECORD: the topic's own rules. */
const INVALID_RECORD = 87;
const unwritable: readonly (number | undefined)[] = [faults.tooLarge, faults.listTooLarge, INVALID_RECORD];
/** Every replica in sync has it. */
const ACKS_ALL = -1;

export async function openKafkaSink(address: KafkaBridge): Promise<Sink> {
  const { at, topic, place } = address;
  const kafka = await loadKafka();
  const producer = new kafka.Producer({ ...kafkaClientOptions(at), acks: ACKS_ALL });
  try {
    await producer.metadata({ topics: [topic], forceUpdate: true });
    return new KafkaSink(address, producer);
  } catch (error) {
    await close(producer);
    const { message, isFinal } = connectError(error, at.tls, at.login);
    throw new BrokerError(`${place}: ${message}`, { isFinal, cause: error });
  }
}

class KafkaSink implements Sink {
  readonly #address: KafkaBridge;
  readonly #producer: Producer;

  constructor(address: KafkaBridge, producer: Producer) {
    this.#address = address;
    this.#producer = producer;
  }

  async put({ channel, value, headers }: Outgoing): Promise<void> {
    const { at, topic, place } = this.#address;
    const named = new Map([...headers].map(([name, text]) => [Buffer.from(name), Buffer.from(text)]));
    try {
      await this.#producer.send({ messages: [{ topic, key: Buffer.from(channel), value, headers: named }] });
    } catch (error) {
      const { message } = connectError(error, at.tls, at.login);
      if (unwritable.includes(faultCode(error))) throw new Unwritable(`${place}: ${message}`, error);
      throw new Error(`${place}: ${message}`, { cause: error });
    }
  }

  close(): Promise<void> {
    return close(this.#producer);
  }
}

async function close(producer: Producer): Promise<void> {
  const late = (): Error => new Error('Kafka did not say goodbye');
  await within(producer.close(true), KAFKA_CLOSE_MS, late).catch(() => undefined);
}
