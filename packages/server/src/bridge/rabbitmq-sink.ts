/** A queue or an exchange of RabbitMQ as a sink: a message is a native record, its `message-id` the record's cursor. */
import type { ConfirmChannel, Message } from 'amqplib';
import { BrokerError } from '../log/broker/broker-port.ts';
import { commandFailure } from '../log/rabbitmq/rabbitmq-failure.ts';
import type { RabbitmqLink } from '../log/rabbitmq/rabbitmq-link.ts';
import { toProperties } from '../log/rabbitmq/rabbitmq-record.ts';
import type { BridgeAddress } from './bridge-address.ts';
import { reachRabbitmq } from './rabbitmq-source.ts';
import type { Outgoing, Sink } from './sink.ts';

type RabbitmqBridge = Extract<BridgeAddress, { broker: 'rabbitmq' }>;

export async function openRabbitmqSink(address: RabbitmqBridge): Promise<Sink> {
  const sink = new RabbitmqSink(address);
  await sink.open();
  return sink;
}

class RabbitmqSink implements Sink {
  readonly #address: RabbitmqBridge;
  /** Messages that no queue took; told before their confirmation. */
  readonly #returned = new Set<string>();
  #link: RabbitmqLink | undefined;
  #channel: ConfirmChannel | undefined;
  #failure: Error | undefined;

  constructor(address: RabbitmqBridge) {
    this.#address = address;
  }

  async open(): Promise<void> {
    const { queue, exchange, place, at } = this.#address;
    const link = await reachRabbitmq(this.#address, (error) => (this.#failure ??= error));
    try {
      const channel = await link.writing.createConfirmChannel();
      channel.on('error', (error: Error) => (this.#failure ??= error));
      channel.on('return', ({ properties }: Message) => this.#returned.add(String(properties.messageId)));
      if (queue !== undefined) await channel.checkQueue(queue);
      if (exchange !== undefined) await channel.checkExchange(exchange);
      this.#link = link;
      this.#channel = channel;
    } catch (error) {
      await link.close();
      const { message } = error as Error;
      if (/NOT[_-]FOUND/.test(message)) {
        throw new BrokerError(`${place}: it is not there (${message})`, { isFinal: true, cause: error });
      }
      throw commandFailure(error, 'write there', at);
    }
  }

  async put(record: Outgoing): Promise<void> {
    const { queue, exchange = '', routingKeys, place } = this.#address;
    const { channel, id, value } = record;
    if (this.#failure !== undefined) throw this.#failure;
    const routingKey = queue ?? routingKeys[0] ?? channel;
    await new Promise<void>((resolve, reject) => {
      const options = { ...toProperties(record), messageId: id };
      this.#channel?.publish(exchange, routingKey, value, options, (error: unknown) => {
        if (error === null || error === undefined) resolve();
        else reject(this.#failure ?? new Error(`${place}: RabbitMQ did not take the message`, { cause: error }));
      });
    });
    if (!this.#returned.delete(id)) return;
    throw new Error(`${place}: no queue is bound for the routing key ${routingKey}`);
  }

  async close(): Promise<void> {
    await this.#link?.close();
  }
}
