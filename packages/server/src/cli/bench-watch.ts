/** What a bench counts at one subscriber: each record once, in order, and how late it came. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly 'p99.9': number;
  readonly max: number;
}

/** Times in milliseconds, kept to the microsecond. */
export class Latencies {
  readonly #histogram: RecordableHistogram = createHistogram();

  record(ms: number): void {
    this.#histogram.record(Math.max(1, Math.round(ms * 1_000)));
  }

  /** `undefined` where nothing was recorded. */
  get percentiles(): Percentiles | undefined {
    if (this.#histogram.count === 0) return undefined;
    const at = (percentile: number): number => this.#histogram.percentile(percentile) / 1_000;
    return { p50: at(50), p90: at(90), p99: at(99), 'p99.9': at(99.9), max: this.#histogram.max / 1_000 };
  }
}

/** One subscriber's count of numbered records. */
export class SubscriberCount {
  delivered = 0;
  twice = 0;
  outOfOrder = 0;
  /** Gaps it was told of. */
  gaps = 0;
  readonly #newest = new Map<number, number>();
  #seen = new Uint8Array(1_024);

  /** Takes the record with this number, counted from 0; the numbers of one writer ascend. */
  take(number: number, writer: number): void {
    const [byte, bit] = [number >> 3, 1 << (number & 7)];
    if (byte >= this.#seen.length) {
      const larger = new Uint8Array(Math.max(this.#seen.length * 2, byte + 1));
      larger.set(this.#seen);
      this.#seen = larger;
    }
    const seen = this.#seen[byte] as number;
    if ((seen & bit) !== 0) {
      this.twice++;
      return;
    }
    this.#seen[byte] = seen | bit;
    this.delivered++;
    if (number < (this.#newest.get(writer) ?? -1)) this.outOfOrder++;
    else this.#newest.set(writer, number);
  }
}
