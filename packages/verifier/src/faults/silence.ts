/** What a fault cost readers in time: how long all of them were given nothing, and how far each fell behind the others. */
import type { HistoryChecker } from '../checker.ts';

/** How late each reader was given a record that another one had already, at worst; over all readers, in milliseconds. */
export interface Interruptions {
  readonly readers: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly longestMs: number;
}

/** For people: in test output and on the command line. */
export function describeInterruptions({ readers, p50Ms, p99Ms, longestMs }: Interruptions): string {
  return `longest interruption of each of ${readers} readers: p50 ${p50Ms} ms, p99 ${p99Ms} ms, most ${longestMs} ms`;
}

/** @param lateMs how late each reader was at worst */
export function interruptionsOf(lateMs: readonly number[]): Interruptions {
  const late = lateMs.map(Math.round).toSorted((a, b) => a - b);
  const at = (part: number): number => late[Math.max(0, Math.ceil(late.length * part) - 1)] ?? 0;
  return { readers: late.length, p50Ms: at(0.5), p99Ms: at(0.99), longestMs: at(1) };
}

/** Counts for records that arrived first between `begin` and `end`. */
export class Silence {
  /** The longest that no reader was given a record, in milliseconds. */
  longestMs = 0;
  readonly #clock: () => number;
  #lastMs: number | undefined;
  /** When the first reader was given a record, by channel and cursor. */
  readonly #firstMs = new Map<string, number>();
  readonly #lateMs = new Map<string, number>();

  /** @param clock in milliseconds, never going back */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** The same checker, watched. */
  listen(checker: HistoryChecker): HistoryChecker {
    const accept = checker.accept.bind(checker);
    checker.accept = (event) => {
      if (event.kind === 'record') this.#heard(event.reader, `${event.channel} ${event.cursor}`);
      accept(event);
    };
    return checker;
  }

  begin(): void {
    this.#lastMs = this.#clock();
  }

  end(): void {
    this.#look(this.#clock());
    this.#lastMs = undefined;
  }

  get interruptions(): Interruptions {
    return interruptionsOf([...this.#lateMs.values()]);
  }

  #heard(reader: string, record: string): void {
    const nowMs = this.#clock();
    this.#look(nowMs);
    if (this.#lastMs !== undefined && !this.#firstMs.has(record)) this.#firstMs.set(record, nowMs);
    const firstMs = this.#firstMs.get(record);
    if (firstMs !== undefined) this.#lateMs.set(reader, Math.max(this.#lateMs.get(reader) ?? 0, nowMs - firstMs));
  }

  #look(nowMs: number): void {
    if (this.#lastMs === undefined) return;
    this.longestMs = Math.max(this.longestMs, Math.round(nowMs - this.#lastMs));
    this.#lastMs = nowMs;
  }
}
