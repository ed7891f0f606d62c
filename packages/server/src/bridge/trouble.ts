/** What keeps a bridge from going on, told once it has lasted, again where it is something else, and when it is over. */
import type { Env } from '../env.ts';
import { LastingTrouble } from '../log/broker/lasting-trouble.ts';

export class Trouble {
  readonly #lasting: LastingTrouble;
  #said: string | undefined;

  /** @param tell `undefined` when what was told is over */
  constructor(env: Env, tell: (why: string | undefined) => void) {
    const say = (why: string | undefined): void => {
      this.#said = why;
      tell(why);
    };
    this.#lasting = new LastingTrouble(env, { onLasting: ({ message }) => say(message), onOver: () => say(undefined) });
  }

  set(why: string): void {
    if (!this.#lasting.lasts) this.#lasting.set(new Error(why));
    else if (why !== this.#said) this.#lasting.setLasting(new Error(why));
  }

  over(): void {
    this.#lasting.set(undefined);
  }

  stop(): void {
    this.#lasting.stop();
  }
}
