/** A histogram of latencies that are counted with a weight: 64 steps for each power of two of microseconds. */

const STEPS = 64;
const BUCKETS = 40 * STEPS;

export class Latencies {
  readonly #weights = new Float64Array(BUCKETS);
  #total = 0;

  add(ms: number, weight: number): void {
    const at = Math.floor(Math.log2(Math.max(1, ms * 1e3)) * STEPS);
    const bucket = Math.min(BUCKETS - 1, at);
    this.#weights[bucket] = (this.#weights[bucket] as number) + weight;
    this.#total += weight;
  }

  /** The latency in ms below which a share (0–1) of the weight lies; NaN where nothing was added. */
  percentile(share: number): number {
    if (this.#total === 0) return Number.NaN;
    let sum = 0;
    const bucket = this.#weights.findIndex((weight) => (sum += weight) >= share * this.#total);
    return 2 ** ((bucket + 0.5) / STEPS) / 1e3;
  }
}
