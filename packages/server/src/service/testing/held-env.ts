/** Clock, dice, timers and network that a test holds. */
import type { ServiceEnv } from '../env.ts';

export class HeldEnv implements ServiceEnv {
  nowMs = 0;
  readonly complaints: unknown[] = [];
  answer: (url: URL, init: RequestInit) => Promise<Response> = () => Promise.reject(new TypeError('no network'));
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  /** Dice that always fall alike: the middle of what is possible. */
  randomBytes(count: number): Uint8Array {
    return new Uint8Array(count).fill(0x80);
  }

  setTimer(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  fetch(url: string, init: RequestInit): Promise<Response> {
    return this.answer(new URL(url), init);
  }

  complain(error: unknown): void {
    this.complaints.push(error);
  }

  /** Lets time pass, timer by timer, and what waits for it happen. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    await settle();
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.nowMs = next.atMs;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      next.callback();
      await settle();
    }
    this.nowMs = untilMs;
  }
}

/** What is ready happens. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
