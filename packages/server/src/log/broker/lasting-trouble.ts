/** Something that is wrong, once it has lasted: a failover or a restart that is over in a moment is nobody's business. */
import type { Env } from '../../env.ts';

const GRACE_MS = 2_000;

export interface TroubleEvents {
  onLasting(error: Error): void;
  /** It lasted, and is over. */
  onOver(): void;
}

export class LastingTrouble {
  readonly #env: Env;
  readonly #events: TroubleEvents;
  #error: Error | undefined;
  #lasts = false;
  #cancelGrace: (() => void) | undefined;

  constructor(env: Env, events: TroubleEvents) {
    this.#env = env;
    this.#events = events;
  }

  get lasts(): boolean {
    return this.#lasts;
  }

  /** What is wrong now; `undefined` for nothing. */
  set(error: Error | undefined): void {
    this.#error = error;
    if (error === undefined) {
      this.stop();
      if (!this.#lasts) return;
      this.#lasts = false;
      this.#events.onOver();
      return;
    }
    if (this.#lasts || this.#cancelGrace !== undefined) return;
    this.#cancelGrace = this.#env.setTimer(GRACE_MS, () => {
      this.#cancelGrace = undefined;
      if (this.#error !== undefined) this.setLasting(this.#error);
    });
  }

  /** What will not pass by itself; said again where it is another one. */
  setLasting(error: Error): void {
    this.stop();
    this.#error = error;
    this.#lasts = true;
    this.#events.onLasting(error);
  }

  stop(): void {
    this.#cancelGrace?.();
    this.#cancelGrace = undefined;
  }
}
