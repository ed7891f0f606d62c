/**
 * Notices that the other side says nothing any more (CLI-2), without touching a timer for each frame it does say.
 */
import type { Env } from './env.ts';

/** How long a side that was asked to speak may stay silent. */
const PROBE_MS = 5_000;

export class Silence {
  readonly #env: Env;
  readonly #onSilence: () => void;
  #allowedMs = 0;
  #heardMs = 0;
  #cancel = () => {};

  constructor(env: Env, onSilence: () => void) {
    this.#env = env;
    this.#onSilence = onSilence;
  }

  heard(): void {
    this.#heardMs = this.#env.monotonicMs();
  }

  /** From now on so much silence is allowed. */
  watch(allowedMs: number): void {
    this.#allowedMs = allowedMs;
    this.heard();
    this.#check(allowedMs);
  }

  /** The other side was asked to speak: it has little time for it. */
  probe(): void {
    const sinceMs = this.#heardMs;
    this.#setTimer(PROBE_MS, () => {
      if (this.#heardMs === sinceMs) this.#onSilence();
      else this.#check(this.#allowedMs);
    });
  }

  stop(): void {
    this.#cancel();
  }

  #check(leftMs: number): void {
    if (leftMs <= 0) this.#onSilence();
    else {
      this.#setTimer(leftMs, () => this.#check(this.#heardMs + this.#allowedMs - this.#env.monotonicMs()));
    }
  }

  #setTimer(delayMs: number, callback: () => void): void {
    this.#cancel();
    this.#cancel = this.#env.setTimer(delayMs, callback);
  }
}
