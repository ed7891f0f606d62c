/**
 * A queue of RabbitMQ as a source, or one of the bridge's own that is bound to an exchange. Its consumer is the only one,
 * so that one copy of the bridge reads at a time; what was not acknowledged comes again, in its old place. How many are
 * under way RabbitMQ asks once for each consumer, so that another number takes another consumer, when all are settled.
 */
import { isUtf8 } from 'node:buffer';
import type { Channel, ConsumeMessage } from 'amqplib';
import { BrokerError } from '../log/broker/broker-port.ts';
import { hostText } from '../log/rabbitmq/rabbitmq-address.ts';
import { commandFailure } from '../log/rabbitmq/rabbitmq-failure.ts';
import { RabbitmqLink } from '../log/rabbitmq/rabbitmq-link.ts';
import type { BridgeAddress } from './bridge-address.ts';
import { Inbox } from './inbox.ts';
import { type Message, type Source, StandBy, WAITING_BYTES_MAX } from './message.ts';
import { Prefetch } from './prefetch.ts';

type RabbitmqBridge = Extract<BridgeAddress, { broker: 'rabbitmq' }>;

interface RabbitmqMessage extends Message {
  readonly tag: number;
}

/** Messages that were small and are large all at once: the life ends before more of them are here. */
const HELD_BYTES_MAX = 4 * WAITING_BYTES_MAX;

export async function openRabbitmqSource(address: RabbitmqBridge, group: string): Promise<Source> {
  const inbox = new Inbox<RabbitmqMessage>();
  const link = await reachRabbitmq(address, (error) => inbox.fail(error));
  const queue = address.queue ?? group;
  try {
    const channel = await link.reading.createChannel();
    channel.on('error', (error: Error) => inbox.fail(error));
    channel.on('close', () => inbox.fail(new Error('RabbitMQ closed the channel')));
    if (address.exchange !== undefined) await bindQueue(channel, address, queue);
    const source = new RabbitmqSource({ link, channel, queue, inbox });
    await source.consume();
    return source;
  } catch (error) {
    await link.close();
    if (error instanceof StandBy) throw error;
    const { message } = error as Error;
    if (/NOT[_-]FOUND/.test(message))
      throw new BrokerError(`${address.place}: it is not there (${message})`, { isFinal: true });
    throw commandFailure(error, `consume the queue ${queue}`, address.at);
  }
}

/** The first member that can be reached. */
export async function reachRabbitmq({ at }: RabbitmqBridge, onDown: (error: Error) => void): Promise<RabbitmqLink> {
  const failures: Error[] = [];
  for (const host of at.hosts) {
    try {
      return await RabbitmqLink.open(at, host, onDown);
    } catch (error) {
      failures.push(error as Error);
    }
  }
  const isFinal = failures.every((error) => error instanceof BrokerError && error.isFinal);
  const said = failures.map(({ message }) => message).join('; ');
  throw new BrokerError(said === '' ? at.hosts.map(hostText).join(', ') : said, { isFinal, cause: failures[0] });
}

/** A queue that lasts, and gets from now on what the exchange hands to it; one that is there stays as it is. */
async function bindQueue(
  channel: Channel,
  { exchange = '', routingKeys }: RabbitmqBridge,
  queue: string,
): Promise<void> {
  await channel.checkExchange(exchange);
  await channel.assertQueue(queue, { durable: true });
  for (const key of routingKeys.length === 0 ? ['#'] : routingKeys) await channel.bindQueue(queue, exchange, key);
}

/** @throws BrokerError where the queue is none that can be bridged */
function messageOf({ fields, properties, content }: ConsumeMessage, queue: string): RabbitmqMessage {
  const headers = headersOf(properties.headers);
  if (headers.has('x-stream-offset')) {
    const message = `${queue} is a stream, which keeps no place of its consumers; bind a queue to its exchange`;
    throw new BrokerError(message, { isFinal: true });
  }
  const { messageId } = properties as { readonly messageId?: unknown };
  return {
    tag: fields.deliveryTag,
    subject: fields.routingKey,
    headers,
    body: content,
    ...(typeof messageId === 'string' && messageId !== '' && { id: messageId }),
    place: `queue ${queue}, exchange "${fields.exchange}", routing key "${fields.routingKey}"`,
  };
}

function headersOf(table: Readonly<Record<string, unknown>> | undefined): Map<string, string> {
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(table ?? {})) {
    if (Buffer.isBuffer(value)) {
      if (isUtf8(value)) headers.set(name, value.toString());
    } else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      headers.set(name, String(value));
    }
  }
  return headers;
}

interface SourceParts {
  readonly link: RabbitmqLink;
  readonly channel: Channel;
  readonly queue: string;
  readonly inbox: Inbox<RabbitmqMessage>;
}

class RabbitmqSource implements Source {
  readonly #link: RabbitmqLink;
  readonly #channel: Channel;
  readonly #queue: string;
  readonly #inbox: Inbox<RabbitmqMessage>;
  readonly #prefetch = new Prefetch();
  /** Absent while one with another prefetch is due. */
  #consumerTag: string | undefined;
  #given: readonly RabbitmqMessage[] = [];

  constructor({ link, channel, queue, inbox }: SourceParts) {
    this.#link = link;
    this.#channel = channel;
    this.#queue = queue;
    this.#inbox = inbox;
  }

  /** Rejects with `StandBy` where another has the queue. */
  async consume(): Promise<void> {
    const onMessage = (delivery: ConsumeMessage | null): void => this.#take(delivery);
    try {
      await this.#channel.prefetch(this.#prefetch.size);
      const { consumerTag } = await this.#channel.consume(this.#queue, onMessage, { exclusive: true });
      this.#consumerTag = consumerTag;
    } catch (error) {
      if (!/exclusive/.test((error as Error).message)) throw error;
      throw new StandBy(`another consumer has the queue ${this.#queue}`);
    }
  }

  async next(signal: AbortSignal): Promise<readonly Message[]> {
    if (this.#consumerTag === undefined && this.#inbox.length === 0) await this.consume();
    this.#given = await this.#inbox.take(signal);
    return this.#given;
  }

  /** The acknowledgement of the last one is that of all before it; what does not arrive comes again and is known. */
  async settled(): Promise<void> {
    const last = this.#given.at(-1);
    if (last !== undefined) this.#channel.ack({ fields: { deliveryTag: last.tag } } as ConsumeMessage, true);
    const size = this.#prefetch.after(this.#given);
    if (size === undefined || this.#consumerTag === undefined) return;
    this.#prefetch.size = size;
    // What came before its answer still waits, and is settled first.
    await this.#channel.cancel(this.#consumerTag);
    this.#consumerTag = undefined;
  }

  async close(): Promise<void> {
    // Behind the answer everything sent before it has arrived.
    await this.#channel.close().catch(() => undefined);
    await this.#link.close();
  }

  #take(delivery: ConsumeMessage | null): void {
    if (delivery === null) {
      return this.#inbox.fail(new Error(`the queue ${this.#queue} was deleted, or its node is away`));
    }
    try {
      this.#inbox.push(messageOf(delivery, this.#queue));
    } catch (error) {
      return this.#inbox.fail(error as Error);
    }
    if (this.#inbox.bytes > HELD_BYTES_MAX && this.#inbox.length > 1) {
      this.#link.end(
        new Error(`the messages of ${this.#queue} are large all at once, and are taken again, fewer at a time`),
      );
    }
  }
}
