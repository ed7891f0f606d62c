/** Since when nothing was taken from the log, if so. That it waits for a moment is nothing out of the way. */
import type { Env } from '../env.ts';

/** A store that is slow takes something now and then; this long is out of the way. */
const LONG_MS = 2_000;

export class Standstill {
  readonly #env: Env;
  #sinceMs: number | undefined;

  constructor(env: Env) {
    this.#env = env;
  }

  get isOn(): boolean {
    return this.#sinceMs !== undefined;
  }

  get isLong(): boolean {
    return this.#sinceMs !== undefined && this.#env.monotonicMs() - this.#sinceMs > LONG_MS;
  }

  begin(): void {
    this.#sinceMs ??= this.#env.monotonicMs();
  }

  end(): void {
    this.#sinceMs = undefined;
  }
}
