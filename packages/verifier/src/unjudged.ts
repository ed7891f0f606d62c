/**
 * Acknowledgements that came while some reader was not told yet that its log was rewound: their records are of the history
 * that is gone, or lost, and only somebody who is given one says which (`Verdict.unjudged`). Bounded, and counted exactly.
 */
export class UnjudgedAcknowledgements {
  readonly #max: number;
  readonly #cursors = new Set<string>();
  /** Those that left the set. */
  #forgotten = 0;

  /** @param max how many are looked for; of more, the oldest ones stay unjudged */
  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#forgotten + this.#cursors.size;
  }

  add(cursor: string): void {
    this.#cursors.add(cursor);
    if (this.#cursors.size <= this.#max) return;
    const [oldest] = this.#cursors;
    this.#cursors.delete(oldest as string);
    this.#forgotten++;
  }

  /** A record is known there. */
  judged(cursor: string): void {
    this.#cursors.delete(cursor);
  }
}
