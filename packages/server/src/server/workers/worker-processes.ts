/**
 * The processes of a server's workers: starts them, starts those again that end, and ends them. Each is this very program
 * with the same arguments; what it is told stands on its link.
 */
import cluster, { type Worker } from 'node:cluster';
import type { Socket } from 'node:net';
import type { Env } from '../../env.ts';
import type { Logger } from '../../ops/logger.ts';

/** Says to a process which of the workers it is. */
export const WORKER_VARIABLE = 'TIDEWAY_WORKER';
/** One that ends again and again is started after at most this. */
const RESTART_MS_MAX = 10_000;
const RESTART_MS_MIN = 250;
/** One that lived so long begins anew. */
const STEADY_MS = 30_000;
/** Workers say something once a second. One that says nothing for so many is stuck, and its clients with it. */
const SILENT_TURNS = 15;
const TURN_MS = 1_000;
/** Beyond its drain, for what is in flight. */
const END_MS = 5_000;

interface Running {
  readonly process: Worker;
  readonly tellDrain: (withinMs: number) => void;
  /** How many looks in a row found that it had said nothing; −1 until it has begun. */
  silentTurns: number;
}

/** A worker's process and its link, as whoever has the log sees it. */
export interface WorkerEvents {
  /** A worker has begun; returns who takes what it says. */
  onStarted(
    number: number,
    pid: number | undefined,
    socket: Socket,
  ): { tellDrain(withinMs: number): void; ended(): void };
}

export class WorkerProcesses {
  readonly #env: Env;
  readonly #logger: Logger;
  readonly #events: WorkerEvents;
  readonly #running = new Map<number, Running>();
  readonly #failures = new Map<number, number>();
  #isEnding = false;
  #onAllEnded = (): void => {};
  /** Told of one that could not begin, by its own word: another attempt would end alike. */
  onFailed: (number: number, why: string) => void = () => {};

  constructor(parts: { readonly env: Env; readonly logger: Logger; readonly events: WorkerEvents }) {
    this.#env = parts.env;
    this.#logger = parts.logger;
    this.#events = parts.events;
    this.#look();
    cluster.setupPrimary({ stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'] });
  }

  /** A worker has said something; the first time, that it has begun. */
  heard(number: number, hasBegun = false): void {
    const running = this.#running.get(number);
    if (running !== undefined && (hasBegun || running.silentTurns > 0)) running.silentTurns = 0;
  }

  /** Counts looks, not time: a machine that slept is no reason. */
  #look(): void {
    this.#env.setTimer(TURN_MS, () => this.#look());
    for (const [number, running] of this.#running) {
      if (running.silentTurns < 0 || ++running.silentTurns <= SILENT_TURNS) continue;
      running.silentTurns = -1;
      this.#logger.log('worker.stuck', { worker: number, pid: running.process.process.pid });
      running.process.process.kill('SIGKILL');
    }
  }

  start(number: number): void {
    const startedMs = this.#env.monotonicMs();
    const process = cluster.fork({ [WORKER_VARIABLE]: String(number) });
    const socket = process.process.stdio[4] as Socket;
    const { tellDrain, ended } = this.#events.onStarted(number, process.process.pid, socket);
    this.#running.set(number, { process, tellDrain, silentTurns: -1 });
    process.on('error', ({ message }) => this.#logger.log('worker.ended', { worker: number, message }));
    process.on('exit', (exitCode: number | null, signal: string | null) => {
      const why = signal === null ? `it ended with code ${exitCode}` : `it was ended by ${signal}`;
      socket.destroy();
      ended();
      this.#running.delete(number);
      if (!this.#isEnding || exitCode !== 0) this.#logger.log('worker.ended', { worker: number, message: why });
      if (exitCode !== null && exitCode !== 0) this.onFailed(number, why);
      if (this.#isEnding) {
        if (this.#running.size === 0) this.#onAllEnded();
        return;
      }
      this.#startAgain(number, exitCode === 0 || this.#env.monotonicMs() - startedMs > STEADY_MS);
    });
  }

  #startAgain(number: number, isFirst: boolean): void {
    const failures = isFirst ? 0 : (this.#failures.get(number) ?? 0);
    this.#failures.set(number, failures + 1);
    this.#env.setTimer(Math.min(RESTART_MS_MAX, RESTART_MS_MIN * 2 ** failures), () => {
      if (!this.#isEnding) this.start(number);
    });
  }

  /** Tells all to drain, and resolves when all have ended; those that do not are killed. */
  async end(drainMs: number): Promise<void> {
    this.#isEnding = true;
    if (this.#running.size === 0) return;
    const ended = new Promise<void>((resolve) => (this.#onAllEnded = resolve));
    for (const { tellDrain } of this.#running.values()) tellDrain(drainMs);
    const cancel = this.#env.setTimer(drainMs + END_MS, () => {
      for (const { process } of this.#running.values()) process.process.kill('SIGKILL');
    });
    await ended;
    cancel();
  }
}
