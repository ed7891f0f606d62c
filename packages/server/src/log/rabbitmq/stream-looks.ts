/**
 * Short looks into streams: a consumer from a place until there is enough or the stream ends. AMQP never says that a
 * stream ends, but it can be known: who acknowledges makes the broker send what else there is before it answers the
 * next command of that channel. Channels are kept for the next look, since the first use of a stream on a channel costs
 * the broker a write to the log of its cluster.
 */
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { TailError } from '../log.ts';
import { within } from './deadline.ts';
import { isGone } from './rabbitmq-failure.ts';

const LOOK_MS = 5_000;
const CHANNELS_KEPT = 4;

/** A place before the oldest begins there, one behind the newest waits; `last` begins somewhat before the end. */
export type LookFrom = number | 'first' | 'last';

/** Given the messages in order; returns false when it has enough, and is still given what was on its way. */
export type LookTake = (message: ConsumeMessage) => boolean;

/** A stream that was deleted: what is made in its place is another one. */
export function goneError(queue: string, cause?: unknown): TailError {
  return new TailError('epoch', `the stream ${queue} is not there any more`, { cause });
}

/** The stream gave nothing at all, though there should be something. */
export class SilentStreamError extends Error {
  constructor(queue: string, silentMs: number) {
    super(`the stream ${queue} gave nothing within ${silentMs} ms`);
    this.name = 'SilentStreamError';
  }
}

export class StreamLooks {
  readonly #model: ChannelModel;
  readonly #idle: LookChannel[] = [];

  constructor(model: ChannelModel) {
    this.#model = model;
  }

  /**
   * Looks from a place on, until there is enough or the stream ends.
   *
   * @param ahead about how many messages the broker sends before it is asked for more; it sends whole chunks
   */
  async look(queue: string, from: LookFrom, ahead: number, take: LookTake, silentMs = LOOK_MS): Promise<void> {
    const channel = this.#idle.pop() ?? (await LookChannel.open(this.#model));
    try {
      await channel.look(queue, from, ahead, take, silentMs);
    } catch (error) {
      channel.close();
      throw isGone(error) ? goneError(queue, error) : error;
    }
    if (channel.isOver || this.#idle.length === CHANNELS_KEPT) channel.close();
    else this.#idle.push(channel);
  }
}

interface Look {
  readonly tag: string;
  readonly take: LookTake;
  readonly began: PromiseWithResolvers<void>;
  count: number;
  isEnough: boolean;
}

/** One channel, for one look at a time. */
class LookChannel {
  readonly #channel: Channel;
  #current: Look | undefined;
  #looks = 0;
  isOver = false;

  private constructor(channel: Channel) {
    this.#channel = channel;
    channel.on('error', (error) => this.#current?.began.reject(error));
    channel.on('close', () => {
      this.isOver = true;
      this.#current?.began.reject(new Error('the connection was cut off'));
    });
    // The client knows a consumer only once the broker has said that it is accepted, and takes a message before or
    // behind that for an error; on a channel that has been used, RabbitMQ sends such.
    channel.removeAllListeners('delivery').on('delivery', (message) => this.#take(message));
    channel.removeAllListeners('cancel').on('cancel', ({ consumerTag }) => {
      if (this.#current?.tag === consumerTag) this.#current.began.reject(goneError(consumerTag));
    });
  }

  static async open(model: ChannelModel): Promise<LookChannel> {
    return new LookChannel(await model.createChannel());
  }

  close(): void {
    if (!this.isOver) this.#channel.close().catch(() => undefined);
    this.isOver = true;
  }

  async look(queue: string, from: LookFrom, ahead: number, take: LookTake, silentMs: number): Promise<void> {
    const channel = this.#channel;
    const tag = `look ${++this.#looks} into ${queue}`;
    const look: Look = { tag, take, began: Promise.withResolvers(), count: 0, isEnough: false };
    // It is waited for below, if at all.
    look.began.promise.catch(() => undefined);
    this.#current = look;
    const late = (): Error => new SilentStreamError(queue, silentMs);
    await channel.prefetch(ahead);
    await channel.consume(queue, () => undefined, { consumerTag: tag, arguments: { 'x-stream-offset': from } });
    await within(look.began.promise, silentMs, late);
    for (let came = ahead; !look.isEnough && came >= ahead;) {
      const before = look.count;
      channel.ackAll();
      await within(channel.prefetch(ahead), silentMs, late);
      // Fewer than it may send: the stream had no more, however much is written to it since.
      came = look.count - before;
    }
    await within(channel.cancel(tag), silentMs, late);
    this.#current = undefined;
    channel.ackAll();
  }

  #take(message: ConsumeMessage): void {
    const look = this.#current;
    if (look === undefined || message.fields.consumerTag !== look.tag) return;
    look.count++;
    if (!look.take(message)) look.isEnough = true;
    look.began.resolve();
  }
}
