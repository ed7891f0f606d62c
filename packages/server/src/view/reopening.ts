/** Opens the view's store anew: what it then says is what the disk holds. Tries until it can, or is told to stop. */
import type { Env } from '../env.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { isDamage, StoreError } from './store.ts';

/** How often it is tried again. */
const RETRY_MS = 1_000;

export class Reopening {
  readonly #env: Env;
  readonly #keeper: StoreKeeper;
  readonly #onFailed: (error: unknown) => void;
  #isStopped = false;
  #endWait: (() => void) | undefined;

  constructor(env: Env, keeper: StoreKeeper, onFailed: (error: unknown) => void) {
    this.#env = env;
    this.#keeper = keeper;
    this.#onFailed = onFailed;
  }

  /** True once the store is open anew; false when it was stopped before. Rejects when the store is damaged. */
  async run(): Promise<boolean> {
    for (;;) {
      // The old handle goes on serving reads until opening anew is likely to succeed.
      if (await this.#keeper.hasRoom()) {
        try {
          await this.#keeper.reopen();
          return true;
        } catch (error) {
          if (!(error instanceof StoreError) || isDamage(error)) throw error;
          this.#onFailed(error);
        }
      }
      if (!this.#isStopped) await this.#wait();
      if (this.#isStopped) return false;
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#endWait?.();
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#env.setTimer(RETRY_MS, resolve);
      this.#endWait = () => {
        cancel();
        resolve();
      };
    });
  }
}
