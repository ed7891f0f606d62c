/** How many messages RabbitMQ, which counts them, may have under way to a bridge: few at first, and more as they are small. */
import { type Message, sizeOf, TAKEN_MAX, WAITING_BYTES_MAX } from './message.ts';

/** Twice what is taken at once: the next are here when these are done. */
const PREFETCH_MAX = 2 * TAKEN_MAX;
/** Each step is proven by as many messages as the one before it allowed. */
const GROWTH = 10;

export class Prefetch {
  /** At first one: it may be of any size. */
  size = 1;
  #count = 0;
  #bytes = 0;

  /**
   * Takes note of what has come. What the size should be, once a full measure was seen since it was changed and twice as
   * many, or half, would weigh what a bridge may hold; `undefined` while it is right.
   */
  after(messages: readonly Message[]): number | undefined {
    this.#count += messages.length;
    for (const message of messages) this.#bytes += sizeOf(message);
    if (this.#count < this.size) return undefined;
    const fits = Math.floor((WAITING_BYTES_MAX * this.#count) / Math.max(this.#bytes, 1));
    const size = Math.max(1, Math.min(fits, GROWTH * this.size, PREFETCH_MAX));
    this.#count = 0;
    this.#bytes = 0;
    return size >= 2 * this.size || size <= this.size / 2 ? size : undefined;
  }
}
