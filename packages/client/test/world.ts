/**
 * A world in which time passes only when a test says so: one queue of events, repeatable dice, and an `Env` in which
 * clients live. Nothing in it is real, so a run with the same seed is the same run.
 */
import type { Env, Socket, SocketEvents } from '../src/env.ts';
import { Dice } from './random.ts';

/** Where the world's clients connect to. */
export interface Network {
  openSocket(url: string, protocol: string, events: SocketEvents): Socket;
  fetch(url: string, init: RequestInit): Promise<Response>;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  isCancelled: boolean;
}

export class World {
  readonly seed: number;
  readonly dice: Dice;
  /** Milliseconds since the world began. */
  nowMs = 0;
  /** What clients complained of. */
  readonly complaints: unknown[] = [];
  #events: Event[] = [];
  #order = 0;
  #wakes = new Set<() => void>();

  constructor(seed = 1) {
    this.seed = seed;
    this.dice = new Dice(seed);
  }

  env(network: Network): Env {
    return {
      now: () => 1_700_000_000_000 + this.nowMs,
      monotonicMs: () => this.nowMs,
      randomBytes: (count) => this.dice.bytes(count),
      setTimer: (delayMs, callback) => this.after(delayMs, callback),
      soon: (callback) => queueMicrotask(callback),
      openSocket: (url, protocol, events) => network.openSocket(url, protocol, events),
      fetch: (url, init) => network.fetch(url, init),
      onWake: (callback) => {
        this.#wakes.add(callback);
        return () => void this.#wakes.delete(callback);
      },
      complain: (error) => void this.complaints.push(error),
      baseUrl: undefined,
    };
  }

  after(delayMs: number, run: () => void): () => void {
    const event: Event = {
      atMs: this.nowMs + Math.max(0, Math.ceil(delayMs)),
      order: this.#order++,
      run,
      isCancelled: false,
    };
    let at = this.#events.length;
    while (at > 0 && isLater(this.#events[at - 1] as Event, event)) at--;
    this.#events.splice(at, 0, event);
    return () => {
      event.isCancelled = true;
    };
  }

  wake(): void {
    for (const wake of this.#wakes) wake();
  }

  /** Lets that much time pass. */
  async pass(durationMs: number): Promise<void> {
    const untilMs = this.nowMs + durationMs;
    await settled();
    while ((this.#events[0]?.atMs ?? Infinity) <= untilMs) await this.#step();
    this.nowMs = untilMs;
  }

  /** Lets time pass until the condition holds, or throws when it does not within that time. */
  async until(condition: () => boolean, what: string, deadlineMs = 600_000): Promise<void> {
    const untilMs = this.nowMs + deadlineMs;
    await settled();
    while (!condition()) {
      if ((this.#events[0]?.atMs ?? Infinity) > untilMs) {
        throw new Error(`seed ${this.seed}: not within ${deadlineMs} ms of the world's time: ${what}`);
      }
      await this.#step();
    }
  }

  async #step(): Promise<void> {
    const event = this.#events.shift() as Event;
    if (event.isCancelled) return;
    this.nowMs = event.atMs;
    event.run();
    await settled();
  }
}

function isLater(a: Event, b: Event): boolean {
  return a.atMs > b.atMs || (a.atMs === b.atMs && a.order > b.order);
}

/** Everything that promises have to do now is done. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
