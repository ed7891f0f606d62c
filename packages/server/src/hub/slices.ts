/**
 * Work that may wait a moment, for those who come and those who come back: done in order, in a slice of each tick. So a
 * crowd that comes at once takes turns with whoever is there already, instead of holding them up.
 */
import { OncePerTick, type Env } from '../env.ts';

/**
 * Of a tick: the rest belongs to live work. An append waits for two ticks to end, so a crowd costs it 1 ms and a half at
 * most. A slice ends behind the job that uses it up.
 */
export const SLICE_MS = 0.5;

export class Slices {
  readonly #env: Pick<Env, 'monotonicMs' | 'endOfTick'>;
  readonly #first: (() => void)[] = [];
  readonly #rest: (() => void)[] = [];
  readonly #slice: OncePerTick;

  constructor(env: Pick<Env, 'monotonicMs' | 'endOfTick'>) {
    this.#env = env;
    this.#slice = new OncePerTick(env, () => this.#run());
  }

  /** Does a job at the end of this tick, or of a later one where those before it use up their slices. */
  add(job: () => void): void {
    this.#rest.push(job);
    this.#slice.schedule();
  }

  /** The same before all that was only added: who is nearly there is brought home before others begin. */
  addFirst(job: () => void): void {
    this.#first.push(job);
    this.#slice.schedule();
  }

  #run(): void {
    const until = this.#env.monotonicMs() + SLICE_MS;
    try {
      for (;;) {
        const job = this.#first.shift() ?? this.#rest.shift();
        if (job === undefined) return;
        job();
        if (this.#env.monotonicMs() >= until) return;
      }
    } finally {
      // Also behind a job that throws: what waits is not lost.
      if (this.#first.length + this.#rest.length > 0) this.#slice.schedule();
    }
  }
}
