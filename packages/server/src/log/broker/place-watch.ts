/** Looks, from time to time, whether an earlier place still holds: nothing else tells of a rewind without an end. */
import { randomFraction, type Env } from '../../env.ts';
import type { NumberedPlace } from './place-check.ts';

const CHECK_MS = 10_000;

export interface PlaceWatchEvents {
  /** Where the follower is now. */
  place(): NumberedPlace | undefined;
  /** Compares; true when the place holds. */
  compare(place: NumberedPlace): Promise<boolean>;
}

export class PlaceWatch {
  readonly #env: Env;
  readonly #events: PlaceWatchEvents;
  /** A place that was right some time ago. */
  #earlier: NumberedPlace | undefined;
  #cancel: (() => void) | undefined;
  /** Counts starts: what is compared over a stop is not used. */
  #turn = 0;

  constructor(env: Env, events: PlaceWatchEvents) {
    this.#env = env;
    this.#events = events;
  }

  /** `place` has just been compared, or is the first. */
  start(place: NumberedPlace): void {
    this.#earlier ??= place;
    this.#again(++this.#turn);
  }

  stop(): void {
    this.#turn++;
    this.#cancel?.();
  }

  /** The next place belongs to another history. */
  forget(): void {
    this.stop();
    this.#earlier = undefined;
  }

  #again(turn: number): void {
    this.#cancel = this.#env.setTimer(CHECK_MS * (0.75 + randomFraction(this.#env) / 2), () => {
      const [earlier, place] = [this.#earlier, this.#events.place()];
      if (earlier === undefined || place === undefined) return;
      void this.#events.compare(earlier).then((holds) => {
        if (turn !== this.#turn) return;
        if (holds) this.#earlier = place;
        this.#again(turn);
      });
    });
  }
}
