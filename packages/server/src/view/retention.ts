/**
 * What a namespace's retention lets go of, and by which clock age is judged. Retention is "at least": a channel is
 * trimmed by whole runs, in the background, and only once it is well over its limit.
 */
import type { Env } from '../env.ts';
import { RUN_BYTES, RUN_RECORDS } from './run.ts';
import type { Retention } from './view.ts';

/** What a channel holds. */
export interface Held {
  readonly records: number;
  readonly bytes: number;
}

/** One run, oldest first. */
export interface RunHeld extends Held {
  /** When its newest record was appended. */
  readonly newestMs: number;
}

/** True when it is worth looking for runs to let go of: over a limit by a run, or by an eighth. */
export function isOverLimit(held: Held, retention: Retention): boolean {
  const { records, bytes } = retention;
  return (
    (records !== undefined && held.records > records + Math.max(RUN_RECORDS, records / 8)) ||
    (bytes !== undefined && held.bytes > bytes + Math.max(RUN_BYTES, bytes / 8))
  );
}

/**
 * How many of the oldest runs may go, so that what remains is at least what the retention promises.
 *
 * @param ageNowMs the time by which age is judged; `undefined` while it is not
 */
export function countRunsToDrop(
  runs: readonly RunHeld[],
  held: Held,
  retention: Retention,
  ageNowMs: number | undefined,
): number {
  let { records, bytes } = held;
  let count = 0;
  let drop = 0;
  for (const run of runs) {
    records -= run.records;
    bytes -= run.bytes;
    count++;
    const overCount = retention.records !== undefined && records >= retention.records;
    const overBytes = retention.bytes !== undefined && bytes >= retention.bytes;
    // A run behind a younger one still tells: order is the log's, and one writer's clock may have been ahead.
    const overAge =
      retention.ageMs !== undefined && ageNowMs !== undefined && run.newestMs < ageNowMs - retention.ageMs;
    if (overCount || overBytes || overAge) drop = count;
  }
  return drop;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Longer than this a server is seldom down; a clock that says so may be wrong. */
const DOWN_MS_MAX = 30 * DAY_MS;

/**
 * The clock that age is judged by. A wall clock may step by a year, and then everything would be trimmed at once: when
 * it goes away from the time this process has lived by more than an hour, age is not judged for a day (or until the
 * clock comes back). After that day the wall clock is believed.
 */
export class AgeClock {
  readonly #env: Env;
  readonly #report: (message: string) => void;
  #wallMs: number;
  #monotonicMs: number;
  #doubtSinceMs: number | undefined;

  /** @param lastMs what the wall clock said when it was last used, before this process */
  constructor(env: Env, lastMs: number | undefined, report: (message: string) => void) {
    this.#env = env;
    this.#report = report;
    this.#monotonicMs = env.monotonicMs();
    const now = env.now();
    const plausible = lastMs === undefined || (now >= lastMs - HOUR_MS && now <= lastMs + DOWN_MS_MAX);
    this.#wallMs = plausible ? now : lastMs;
  }

  /** True when what is from `sinceMs` is surely older than `ageMs`; 0 stands for nothing, no age for none. */
  isOlder(sinceMs: number, ageMs: number | undefined): boolean {
    if (sinceMs === 0 || ageMs === undefined) return false;
    const now = this.now();
    return now !== undefined && sinceMs < now - ageMs;
  }

  /** The time to judge age by; `undefined` while the clock is in doubt. */
  now(): number | undefined {
    const monotonicMs = this.#env.monotonicMs();
    const wallMs = this.#env.now();
    const expectedMs = this.#wallMs + (monotonicMs - this.#monotonicMs);
    if (Math.abs(wallMs - expectedMs) <= HOUR_MS) {
      this.#doubtSinceMs = undefined;
      return Math.min(wallMs, expectedMs);
    }
    if (this.#doubtSinceMs === undefined) {
      this.#doubtSinceMs = monotonicMs;
      this.#report(
        `the clock says ${iso(wallMs)} where ${iso(expectedMs)} was expected: no record is trimmed for its age until the clock comes back, or for 24 hours`,
      );
    }
    if (monotonicMs - this.#doubtSinceMs < DAY_MS) return undefined;
    this.#report(`the clock has said ${iso(wallMs)} for 24 hours: records are trimmed for their age by it again`);
    this.#doubtSinceMs = undefined;
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
    return wallMs;
  }
}

function iso(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : String(ms);
}
