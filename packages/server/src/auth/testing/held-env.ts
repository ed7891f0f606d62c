/**
 * An environment whose clock stands still until a test moves it; timers fire when it does. Randomness is real.
 */
import { type Env, nodeEnv } from '../../env.ts';

export interface HeldEnv extends Env {
  /** Moves both clocks and fires what has become due, in order. */
  advance(byMs: number): void;
  /** Steps the wall clock alone, as an administrator or NTP does. */
  stepWallClock(byMs: number): void;
  readonly timers: number;
}

/** 1 July 2026, noon. */
export const HELD_START_MS = Date.UTC(2026, 6, 1, 12);

export function createHeldEnv(startMs = HELD_START_MS): HeldEnv {
  let wallMs = startMs;
  let monotonicMs = 5_000;
  let timers: { readonly dueMs: number; readonly callback: () => void }[] = [];
  return {
    now: () => wallMs,
    monotonicMs: () => monotonicMs,
    randomBytes: nodeEnv.randomBytes,
    endOfTick: nodeEnv.endOfTick,
    setTimer(delayMs, callback) {
      const timer = { dueMs: monotonicMs + delayMs, callback };
      timers.push(timer);
      return () => void (timers = timers.filter((other) => other !== timer));
    },
    advance(byMs) {
      wallMs += byMs;
      monotonicMs += byMs;
      const due = timers.filter((timer) => timer.dueMs <= monotonicMs).sort((a, b) => a.dueMs - b.dueMs);
      timers = timers.filter((timer) => timer.dueMs > monotonicMs);
      for (const { callback } of due) callback();
    },
    stepWallClock: (byMs) => void (wallMs += byMs),
    get timers() {
      return timers.length;
    },
  };
}
