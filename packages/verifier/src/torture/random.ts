/** `@tideway/verifier/random`: dice with a seed (mulberry32), so that what a run decides can be decided again. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let n = this.#state;
    n = Math.imul(n ^ (n >>> 15), n | 1);
    n ^= n + Math.imul(n ^ (n >>> 7), n | 61);
    return ((n ^ (n >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1));
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.between(0, items.length - 1)] as T;
  }

  /** True in so many of a hundred cases. */
  percent(chance: number): boolean {
    return this.fraction() * 100 < chance;
  }

  /** Other dice, thrown independently of these. */
  fork(): Random {
    return new Random(Math.floor(this.fraction() * 2 ** 32));
  }
}
