/**
 * Reads a stream page after page for who catches up: one consumer that stays, so that the broker sends the next page
 * while this one is used. Closes by itself when nobody asks for a while.
 */
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { nodeEnv } from '../../env.ts';
import { within } from './deadline.ts';
import { isGone } from './rabbitmq-failure.ts';
import { offsetOf } from './rabbitmq-record.ts';
import { goneError, SilentStreamError } from './stream-looks.ts';

export const PAGE_BYTES = 1024 * 1024;
const SILENT_MS = 5_000;
const IDLE_MS = 1_000;

export class StreamCursor {
  readonly #queue: string;
  /** About how many messages come before they are asked for; the broker sends whole chunks. */
  readonly ahead: number;
  /** Of those that were used. */
  #unacknowledged = 0;
  /** The last message that was taken; the next one taken is the one behind it. */
  #after: number;
  /** What came and was not taken yet; offsets ascend. */
  #waiting: ConsumeMessage[] = [];
  #channel: Channel | undefined;
  #error: Error | undefined;
  #look: (() => void) | undefined;
  #cancelIdle: (() => void) | undefined;

  private constructor(queue: string, after: number, ahead: number) {
    this.#queue = queue;
    this.#after = after;
    this.ahead = ahead;
  }

  static async open(model: ChannelModel, queue: string, after: number, ahead: number): Promise<StreamCursor> {
    const cursor = new StreamCursor(queue, after, ahead);
    const channel = await model.createChannel();
    cursor.#channel = channel;
    channel.on('error', (error) => cursor.#fail(error));
    channel.on('close', () => cursor.#fail(new Error(`the reader of ${queue} was cut off`)));
    try {
      await channel.prefetch(ahead);
      // From the message of the place itself: that it comes shows that nothing behind it is gone.
      await channel.consume(queue, (message) => cursor.#take(message), { arguments: { 'x-stream-offset': after } });
    } catch (error) {
      cursor.close();
      throw isGone(error) ? goneError(queue, error) : error;
    }
    return cursor;
  }

  get after(): number {
    return this.#after;
  }

  get isOver(): boolean {
    return this.#error !== undefined;
  }

  /** The next messages, as many as a page holds; the stream must hold at least so many. */
  async page(limit: number): Promise<readonly ConsumeMessage[]> {
    this.#cancelIdle?.();
    const messages: ConsumeMessage[] = [];
    let bytes = 0;
    for (;;) {
      let count = 0;
      for (const message of this.#waiting) {
        if (messages.length === limit) break;
        bytes += message.content.length;
        // One that is larger than a page is a page.
        if (messages.length > 0 && bytes > PAGE_BYTES) break;
        messages.push(message);
        count++;
      }
      const isFull = count < this.#waiting.length || messages.length === limit;
      this.#waiting = this.#waiting.slice(count);
      const last = messages.at(-1);
      if (count > 0) this.#used(count, last as ConsumeMessage);
      if (isFull) {
        this.#after = offsetOf(last as ConsumeMessage);
        this.#cancelIdle = nodeEnv.setTimer(IDLE_MS, () => this.close());
        return messages;
      }
      await this.#more();
    }
  }

  close(): void {
    this.#fail(new Error(`the reader of ${this.#queue} is closed`));
    this.#channel?.close().catch(() => undefined);
    this.#channel = undefined;
    this.#waiting = [];
  }

  #take(message: ConsumeMessage | null): void {
    if (message === null) return this.#fail(goneError(this.#queue));
    if (this.#error !== undefined) return;
    // A chunk begins before the message that was asked for.
    if (offsetOf(message) <= this.#after) return this.#used(1, message);
    this.#waiting.push(message);
    this.#look?.();
  }

  /** Acknowledged are many at once, and before the broker has to wait for it. Never what still waits: no more comes than was asked for. */
  #used(count: number, last: ConsumeMessage): void {
    this.#unacknowledged += count;
    if (this.#unacknowledged < this.ahead / 2 || this.#error !== undefined) return;
    this.#unacknowledged = 0;
    this.#channel?.ack(last, true);
  }

  async #more(): Promise<void> {
    this.#assertOpen();
    const came = new Promise<void>((resolve) => (this.#look = resolve));
    await within(came, SILENT_MS, () => new SilentStreamError(this.#queue, SILENT_MS));
    this.#look = undefined;
    this.#assertOpen();
  }

  #assertOpen(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  #fail(error: Error): void {
    this.#cancelIdle?.();
    this.#error ??= error;
    this.#look?.();
  }
}
