/** Dice with a seed (mulberry32), and what is thrown with them: the same seed gives the same plan of a simulation. */

export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to 1, without 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  /** How long until the next of events that come at random, so many a second. */
  gapMs(perSecond: number): number {
    return (-Math.log(1 - this.fraction()) * 1_000) / perSecond;
  }

  /** How many of many hit here, where so many do on average (Poisson; beyond 50 by its normal limit). */
  count(mean: number): number {
    if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * this.#normal()));
    const limit = Math.exp(-mean);
    let count = 0;
    for (let product = this.fraction(); product > limit; product *= this.fraction()) count++;
    return count;
  }

  #normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.fraction())) * Math.cos(2 * Math.PI * this.fraction());
  }
}

/** Channels of which the n-th is as popular as 1 / n^exponent: each throw gives a channel, 0-based. */
export class Popularity {
  /** Of each channel, of all that is thrown. */
  readonly shares: Float64Array;
  readonly #sums: Float64Array;

  constructor(channels: number, exponent: number) {
    this.shares = Float64Array.from({ length: channels }, (_, n) => (n + 1) ** -exponent);
    const total = this.shares.reduce((sum, one) => sum + one, 0);
    let sum = 0;
    this.#sums = this.shares.map((one, n) => {
      this.shares[n] = one / total;
      return (sum += one / total);
    });
  }

  throw(dice: Dice): number {
    const at = dice.fraction();
    let [from, to] = [0, this.#sums.length - 1];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#sums[middle] as number) > at) to = middle;
      else from = middle + 1;
    }
    return from;
  }
}
