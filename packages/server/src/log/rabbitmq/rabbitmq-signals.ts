/**
 * Signals from node to node: a direct exchange, and for each node one queue that belongs to its connection and dies
 * with it. At most once; what is listened to outlives the connection.
 */
import type { Channel } from 'amqplib';
import { nodeEnv, randomId } from '../../env.ts';
import type { RabbitmqLink } from './rabbitmq-link.ts';

type Listener = (bytes: Buffer) => void;

/** What waits for a node that does not read is dropped, oldest first. */
const WAITING_MAX = 10_000;
const WAITING_MS = 10_000;

export class RabbitmqSignals {
  readonly exchange: string;
  readonly #listeners = new Map<string, Set<Listener>>();
  #sender: Channel | undefined;
  #receiver: Channel | undefined;
  #queue: string | undefined;

  constructor(name: string) {
    this.exchange = `${name}.signals`;
  }

  /** Takes the place of the connection before, with all that is listened to; nothing of one that was left meanwhile. */
  async attach(link: RabbitmqLink): Promise<void> {
    this.detach();
    const sender = await link.writing.createChannel();
    sender.on('error', () => undefined);
    sender.on('close', () => {
      if (this.#sender === sender) this.#sender = undefined;
    });
    await sender.assertExchange(this.exchange, 'direct', { durable: true });
    const receiver = await link.reading.createChannel();
    receiver.on('error', (error) => link.end(error));
    const { queue } = await receiver.assertQueue(`${this.exchange}.${randomId(nodeEnv)}`, {
      exclusive: true,
      autoDelete: true,
      durable: false,
      arguments: { 'x-max-length': WAITING_MAX, 'x-message-ttl': WAITING_MS },
    });
    if (link.isOver) return;
    this.#receiver = receiver;
    this.#queue = queue;
    for (const subject of this.#listeners.keys()) await receiver.bindQueue(queue, this.exchange, subject);
    await receiver.consume(
      queue,
      (message) => {
        if (message === null) return link.end(new Error('the queue for signals was deleted'));
        for (const listener of this.#listeners.get(message.fields.routingKey) ?? []) listener(message.content);
      },
      { noAck: true },
    );
    if (!link.isOver) this.#sender = sender;
  }

  detach(): void {
    this.#sender = undefined;
    this.#receiver = undefined;
    this.#queue = undefined;
  }

  send(subject: string, bytes: Buffer): void {
    try {
      this.#sender?.publish(this.exchange, subject, bytes, { persistent: false });
    } catch {
      // Between the end of a connection and the word of it: a signal is lost like any other.
    }
  }

  async listen(subject: string, listener: Listener): Promise<() => void> {
    const listeners = this.#listeners.get(subject) ?? new Set();
    this.#listeners.set(subject, listeners);
    listeners.add(listener);
    if (listeners.size === 1) await this.#bind(subject);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(subject) !== listeners) return;
      this.#listeners.delete(subject);
      this.#unbind(subject);
    };
  }

  /** Without a connection there is nothing to do: the next one begins with all that is listened to. */
  async #bind(subject: string): Promise<void> {
    const [receiver, queue] = [this.#receiver, this.#queue];
    if (receiver === undefined || queue === undefined) return;
    try {
      await receiver.bindQueue(queue, this.exchange, subject);
    } catch (error) {
      if (this.#receiver === receiver) throw error;
    }
  }

  #unbind(subject: string): void {
    const [receiver, queue] = [this.#receiver, this.#queue];
    if (receiver === undefined || queue === undefined) return;
    receiver.unbindQueue(queue, this.exchange, subject).catch(() => undefined);
  }
}
