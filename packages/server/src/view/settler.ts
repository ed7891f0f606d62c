/**
 * Tells the log what it may let go of: only what a freshly opened handle of the store was seen to hold. Opening it anew
 * takes a moment in which reads wait, so that is done no more often than it is worth.
 */
import type { Env } from '../env.ts';
import { trouble, type ViewOptions } from './life.ts';
import type { ViewLog } from './view-log.ts';
import type { Writer } from './writer.ts';

/** Opening the store anew takes at most this part of the time. */
const SETTLE_SHARE = 1 / 50;

export class Settler {
  readonly #options: ViewOptions;
  readonly #env: Env;
  readonly #log: ViewLog;
  readonly #partition: number;
  #againMs = Number.NEGATIVE_INFINITY;

  constructor(options: ViewOptions, partition: number) {
    this.#options = options;
    this.#env = options.env;
    this.#log = options.log;
    this.#partition = partition;
  }

  /** Opens the store anew if the log would let go of something, and tells it unless `isOver` meanwhile. */
  settleIfWanted(writer: Writer, isOver: () => boolean): void {
    this.#settle(writer, isOver).catch((error: unknown) =>
      trouble(this.#options, 'upkeep_failed', 'the log could not be told what is settled', error),
    );
  }

  async #settle(writer: Writer, isOver: () => boolean): Promise<void> {
    if (!this.#log.wantsSettled) return;
    const startedMs = this.#env.monotonicMs();
    if (startedMs < this.#againMs) return;
    this.#againMs = Number.POSITIVE_INFINITY;
    const applied = await writer.reopened();
    const nowMs = this.#env.monotonicMs();
    this.#againMs = nowMs + (nowMs - startedMs) / SETTLE_SHARE;
    if (applied !== undefined && !isOver()) await this.#log.settled(this.#partition, applied.position);
  }
}
