/**
 * When the next write to the store begins: what is applied until then goes along, since a write costs the same for one
 * record as for a hundred. It waits a moment for company, unless somebody waits for it or enough has come.
 */
import type { Env } from '../env.ts';

export class Gathering {
  readonly #env: Env;
  readonly #waitMs: () => number;
  readonly #isUrgent: () => boolean;
  #endNow: (() => void) | undefined;

  /**
   * @param waitMs how long a moment is
   * @param isUrgent true when nothing more is to be waited for
   */
  constructor(env: Env, waitMs: () => number, isUrgent: () => boolean) {
    this.#env = env;
    this.#waitMs = waitMs;
    this.#isUrgent = isUrgent;
  }

  /** Resolves at the end of the moment, or of this tick. */
  async wait(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#isUrgent()) return this.#env.endOfTick(resolve);
      const cancel = this.#env.setTimer(this.#waitMs(), resolve);
      this.#endNow = () => {
        this.#endNow = undefined;
        cancel();
        this.#env.endOfTick(resolve);
      };
    });
    this.#endNow = undefined;
  }

  /** Something has come: it may be urgent now. */
  look(): void {
    if (this.#endNow !== undefined && this.#isUrgent()) this.#endNow();
  }

  end(): void {
    this.#endNow?.();
  }
}
