/** The order of each writer: its records must stand in the log as it sent them (APP-3). */
import { epochOf, lowerBound } from './cursor-order.ts';
import type { Report } from './verdict.ts';

interface WriterStep {
  readonly cursor: string;
  readonly sequence: number;
}

export class WriterOrder {
  /** By epoch and writer: what stands in two lives of a log has no order. */
  readonly #steps = new Map<string, WriterStep[]>();
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  /** A record of the writer is known to stand at `cursor`; its neighbours of the same writer must fit. */
  note(step: {
    readonly writer: string;
    readonly sequence: number;
    readonly cursor: string;
    readonly rid: string;
  }): void {
    const { writer, sequence, cursor, rid } = step;
    const key = `${epochOf(cursor)} ${writer}`;
    let steps = this.#steps.get(key);
    if (steps === undefined) this.#steps.set(key, (steps = []));
    const at = lowerBound(steps, cursor);
    const earlier = steps[at - 1];
    const later = steps[at];
    if (earlier !== undefined && earlier.sequence >= sequence) {
      const text = `${writer} sent its record ${sequence} before ${earlier.sequence}, but it is stored behind it, at ${cursor}`;
      this.#report('reordered', text, { cursor, rid });
    }
    if (later !== undefined && later.sequence <= sequence) {
      const text = `${writer} sent its record ${sequence} after ${later.sequence}, but it is stored before it, at ${cursor}`;
      this.#report('reordered', text, { cursor, rid });
    }
    steps.splice(at, 0, { cursor, sequence });
  }

  /** Forgets what lies below a place, but for the newest step of each writer: the next one is compared with it. */
  retire(below: string): void {
    for (const [key, steps] of this.#steps) {
      if (!key.startsWith(epochOf(below))) continue;
      const keep = Math.max(0, lowerBound(steps, below) - 1);
      if (keep > 0) this.#steps.set(key, steps.slice(keep));
    }
  }

  clear(): void {
    this.#steps.clear();
  }
}
