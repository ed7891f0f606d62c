/**
 * How long to wait before the next attempt to connect (CLI-1): jitter everywhere, so that ten thousand clients
 * that lost the same server do not come back in the same moment.
 */
import { codes } from '@tideway/protocol';
import { type Env, randomFraction } from './env.ts';

const FIRST_MS = 250;
const LONGEST_MS = 30_000;
/** The first try after a session that was answered comes within this. */
const AFTER_SESSION_MS = 500;
/** A server that goes away in order (1001, 1012, `going_away`) is back soon, or another one is there. */
const AFTER_GOING_MS = 1_000;
const GOING = [1001, 1012, codes.going_away.close];

/** Full jitter: anything up to 250 ms × 2^failures, at most 30 s. */
export function backoffMs(env: Env, failures: number): number {
  return randomFraction(env) * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 16));
}

/** `failures`: attempts in a row that ended before `hello` was answered; `close`: how the last connection ended. */
export function reconnectDelayMs(env: Env, failures: number, close: number): number {
  if (failures > 0) return backoffMs(env, failures);
  return randomFraction(env) * (GOING.includes(close) ? AFTER_GOING_MS : AFTER_SESSION_MS);
}
