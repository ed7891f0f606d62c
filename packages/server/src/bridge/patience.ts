/** How long a bridge waits before it tries again. */
import { type Env, randomFraction } from '../env.ts';

const FIRST_MS = 250;
/** Of a bridge there is one, and everybody behind it waits for it. */
const LONGEST_MS = 5_000;

/** Full jitter: anything up to 250 ms × 2^failures, at most 5 s. */
export function backOffMs(env: Env, failures: number): number {
  return randomFraction(env) * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 16));
}
