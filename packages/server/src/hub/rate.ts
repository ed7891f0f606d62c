/** A session's allowance for appends and signals: two token buckets that hold one second's worth. */
export class Rate {
  readonly #recordsPerSecond: number;
  readonly #signalsPerSecond: number;
  #records: number;
  #signals: number;
  #atMs: number | undefined;

  constructor(recordsPerSecond: number, signalsPerSecond: number) {
    this.#recordsPerSecond = recordsPerSecond;
    this.#signalsPerSecond = signalsPerSecond;
    this.#records = recordsPerSecond;
    this.#signals = signalsPerSecond;
  }

  /** Takes one append out of the allowance; false when there is none left. */
  takeRecord(nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#records < 1) return false;
    this.#records--;
    return true;
  }

  /** Takes one signal out of the allowance; false when there is none left. */
  takeSignal(nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#signals < 1) return false;
    this.#signals--;
    return true;
  }

  #fill(nowMs: number): void {
    const seconds = this.#atMs === undefined ? 0 : (nowMs - this.#atMs) / 1_000;
    this.#atMs = nowMs;
    this.#records = Math.min(this.#recordsPerSecond, this.#records + seconds * this.#recordsPerSecond);
    this.#signals = Math.min(this.#signalsPerSecond, this.#signals + seconds * this.#signalsPerSecond);
  }
}
