/** How long to wait before the next try: exponential, with jitter, so that many who failed together do not come together. */
import { randomFraction, type ServiceEnv } from './env.ts';

export interface BackoffRange {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Milliseconds before the try that follows `failures` failed ones: between half of `min · 2^(failures−1)` and all of
 * it, and never more than `max`.
 */
export function backoffMs(env: ServiceEnv, { minMs, maxMs }: BackoffRange, failures: number): number {
  const fullMs = Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 30));
  return fullMs / 2 + (fullMs / 2) * randomFraction(env);
}

/** For calls of the server that failed. */
export const CALLS: BackoffRange = { minMs: 100, maxMs: 5_000 };
