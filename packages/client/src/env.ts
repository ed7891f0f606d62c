/**
 * What the outside world gives the client: clock, randomness, timers, network. Everything else in this package takes
 * them from here, so that a test can hold the clock, replay the dice and cut the cable (ARCHITECTURE.md, Determinism).
 */

/** What a socket tells; `onClose` comes once and last. */
export interface SocketEvents {
  onOpen(): void;
  onMessage(message: string | Uint8Array): void;
  onClose(close: number): void;
}

export interface Socket {
  send(message: string | Uint8Array): void;
  /** Ends the connection; no event follows. */
  close(): void;
}

export interface Env {
  /** Wall clock, milliseconds since 1970; may step. */
  now(): number;
  /** Monotonic clock in milliseconds; starts anywhere, may stand still while the machine sleeps. */
  monotonicMs(): number;
  /** Fresh unpredictable bytes. */
  randomBytes(count: number): Uint8Array;
  /** Calls back once after `delayMs`; the returned function takes it back. */
  setTimer(delayMs: number, callback: () => void): () => void;
  /** Calls back when the code that is running now has returned. */
  soon(callback: () => void): void;
  openSocket(url: string, protocol: string, events: SocketEvents): Socket;
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Calls back when the machine or the page wakes or the network is back; the returned function takes it back. */
  onWake(callback: () => void): () => void;
  /** Says an error that nobody else took. */
  complain(error: unknown): void;
  /** What relative URLs are relative to; `undefined` outside a page. */
  readonly baseUrl: string | undefined;
}

/** Calls a function that belongs to the user: what it throws is said and harms nobody else. */
export function callUser(report: (error: unknown) => void, callback: () => void): void {
  try {
    callback();
  } catch (error) {
    report(error);
  }
}

/** A random number in [0, 1), from 32 bits of the environment's randomness. */
export function randomFraction(env: Env): number {
  return env.randomBytes(4).reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 32;
}

/** A random id: 128 bits as 32 hexadecimal digits. */
export function randomId(env: Env): string {
  return Array.from(env.randomBytes(16), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A moment on both clocks. */
export interface Stamp {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export function stampNow(env: Env): Stamp {
  return { wallMs: env.now(), monotonicMs: env.monotonicMs() };
}

/** How long ago that was, by the clock that says more: one may step back, the other stands still in sleep. */
export function ageMs(env: Env, stamp: Stamp): number {
  return Math.max(0, env.now() - stamp.wallMs, env.monotonicMs() - stamp.monotonicMs);
}
