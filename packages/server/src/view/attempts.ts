/** Tries something until it is done, one attempt at a time, with a pause behind each that failed. */
import type { Env } from '../env.ts';

const RETRY_MS = 1_000;

export class Attempts {
  readonly #env: Env;
  readonly #onFailed: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #isOver = false;

  constructor(env: Env, onFailed: (error: unknown) => void) {
    this.#env = env;
    this.#onFailed = onFailed;
  }

  begin(attempt: () => Promise<void>): void {
    if (this.#isOver) return;
    this.#running = attempt().catch((error: unknown) => {
      if (this.#isOver) return;
      this.#onFailed(error);
      this.#env.setTimer(RETRY_MS, () => this.begin(attempt));
    });
  }

  /** No attempt begins any more; resolves when the one under way has ended. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }
}
