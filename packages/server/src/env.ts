/**
 * What the outside world gives: clock, randomness, timers. Hub, session and view take it from here only, so that a
 * test can hold the clock and replay the dice (ARCHITECTURE.md, Determinism).
 */
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';

export interface Env {
  /** Wall clock, milliseconds since 1970; may step. Never used for order or for durations. */
  now(): number;
  /** Monotonic clock in milliseconds; never steps, starts anywhere. */
  monotonicMs(): number;
  /** Fresh unpredictable bytes. */
  randomBytes(count: number): Uint8Array;
  /** Calls back once after `delayMs`; the returned function takes it back. A timer never keeps the process alive. */
  setTimer(delayMs: number, callback: () => void): () => void;
  /** Calls back at the end of this turn of the event loop: the end of a tick. */
  endOfTick(callback: () => void): void;
}

/** Drawn from the system at once: a call for each session of a crowd would take more time than most else it needs. */
const DRAWN_BYTES = 4_096;
const drawn = new Uint8Array(DRAWN_BYTES);
let given = DRAWN_BYTES;

/** Fresh random bytes, of those drawn for several; none is given twice, or stays here when it is given. */
function randomBytes(count: number): Uint8Array {
  if (count > DRAWN_BYTES) return randomFillSync(new Uint8Array(count));
  if (given + count > DRAWN_BYTES) {
    randomFillSync(drawn);
    given = 0;
  }
  const bytes = drawn.slice(given, given + count);
  drawn.fill(0, given, given + count);
  given += count;
  return bytes;
}

/** The real world. */
export const nodeEnv: Env = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  randomBytes,
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  endOfTick: (callback) => void setImmediate(callback),
};

/** One thing to do at the end of a tick, once, however often it was asked for in it. */
export class OncePerTick {
  readonly #env: Pick<Env, 'endOfTick'>;
  readonly #run: () => void;
  #isScheduled = false;

  constructor(env: Pick<Env, 'endOfTick'>, callback: () => void) {
    this.#env = env;
    // What is asked for meanwhile is the next tick's.
    this.#run = () => {
      this.#isScheduled = false;
      callback();
    };
  }

  /** Calls back at the end of this tick. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#env.endOfTick(this.#run);
  }
}

/** A random number in [0, 1), from 32 bits of the environment's randomness. */
export function randomFraction(env: Env): number {
  const bytes = env.randomBytes(4);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) / 2 ** 32;
}

/** A random id: 128 bits, base64url, 22 characters. */
export function randomId(env: Env): string {
  return Buffer.from(env.randomBytes(16)).toString('base64url');
}

/** Resolves after a time with true, with false as soon as the signal is aborted. */
export function pause(env: Pick<Env, 'setTimer'>, ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  if (signal?.aborted === true) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = (isOver: boolean): void => {
      cancel();
      signal?.removeEventListener('abort', onAbort);
      resolve(isOver && signal?.aborted !== true);
    };
    const onAbort = (): void => end(false);
    const cancel = env.setTimer(ms, () => end(true));
    signal?.addEventListener('abort', onAbort);
  });
}
