/** A world whose clock is held and whose dice are known: the same seed gives the same run, to the last turn. */
import { Random } from '@tideway/verifier/random';
import type { Env } from '../../../env.ts';

interface Timer {
  readonly atMs: number;
  readonly serial: number;
  readonly callback: () => void;
}

export class HeldWorld {
  nowMs = 0;
  #timers: Timer[] = [];
  #serial = 0;
  readonly #dice: Random;
  readonly env: Env = {
    now: () => 1_764_000_000_000 + this.nowMs,
    monotonicMs: () => this.nowMs,
    randomBytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(this.random() * 256)),
    setTimer: (delayMs, callback) => this.after(delayMs, callback),
    endOfTick: (callback) => void this.after(0, callback),
  };

  constructor(seed: number) {
    this.#dice = new Random(seed);
  }

  /** In [0, 1). */
  random(): number {
    return this.#dice.fraction();
  }

  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.nowMs + Math.max(0, delayMs), serial: this.#serial++, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Lets time pass until something holds. Throws where it does not within `limitMs` of this world's time. */
  async until(holds: () => boolean, what: string, limitMs = 60_000): Promise<void> {
    const endMs = this.nowMs + limitMs;
    for (;;) {
      await new Promise((resolve) => void setImmediate(resolve));
      if (holds()) return;
      const next = this.#next();
      if (next === undefined || next.atMs > endMs) {
        throw new Error(`waited ${limitMs} ms for ${what}${next === undefined ? '; nothing more will happen' : ''}`);
      }
      this.nowMs = next.atMs;
      next.callback();
    }
  }

  /** What the promise resolves with, once enough time passed. */
  async of<T>(promise: Promise<T>, what = 'an answer', limitMs = 60_000): Promise<T> {
    let isSettled = false;
    promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    await this.until(() => isSettled, what, limitMs);
    return await promise;
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    let isOver = false;
    this.after(ms, () => (isOver = true));
    await this.until(() => isOver, 'time', ms + 1);
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (next === undefined || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.serial < next.serial)) {
        next = timer;
      }
    }
    if (next !== undefined) this.#timers.splice(this.#timers.indexOf(next), 1);
    return next;
  }
}
