/** What the outside world gives a consumer: clock, randomness, timers, network. A test can hold them all. */
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';

export interface ServiceEnv {
  /** Monotonic clock in milliseconds; starts anywhere. */
  monotonicMs(): number;
  /** Fresh unpredictable bytes. */
  randomBytes(count: number): Uint8Array;
  /** Calls back once after `delayMs`; the returned function takes it back. It keeps the process alive. */
  setTimer(delayMs: number, callback: () => void): () => void;
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Says an error that nobody else took. */
  complain(error: unknown): void;
}

/** The real world. */
export const serviceEnv: ServiceEnv = {
  monotonicMs: () => performance.now(),
  randomBytes: (count) => randomFillSync(new Uint8Array(count)),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  fetch: (url, init) => fetch(url, init),
  complain: (error) => process.emitWarning(error instanceof Error ? error : String(error)),
};

/** A random id of 22 characters. */
export function randomId(env: ServiceEnv): string {
  return Buffer.from(env.randomBytes(16)).toString('base64url');
}

/** A random number in [0, 1). */
export function randomFraction(env: ServiceEnv): number {
  return Buffer.from(env.randomBytes(4)).readUInt32BE() / 2 ** 32;
}

/** Resolves after a time, or as soon as the signal is aborted. */
export function pause(env: ServiceEnv, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = env.setTimer(delayMs, end);
    signal.addEventListener('abort', end);
  });
}
