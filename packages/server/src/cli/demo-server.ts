/**
 * The server of the demo as a child process: started, killed for real, started again on the same port. The supervisor
 * outlives it, so the page does too.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

export interface DemoServerStatus {
  readonly state: 'starting' | 'up' | 'down' | 'stopped';
  readonly pid: number | undefined;
  readonly url: string | undefined;
  readonly restarts: number;
  /** How long the last start took, from the death before it. */
  readonly backMs: number | undefined;
}

/** Between a death and the next start: time to see it, short enough to wait for. */
const PAUSE_MS = 400;
/** A child that dies at once again and again is not restarted faster than this. */
const PAUSE_MAX_MS = 5_000;

export class DemoServer {
  status: DemoServerStatus = { state: 'starting', pid: undefined, url: undefined, restarts: 0, backMs: undefined };
  readonly #command: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #onStatus: (status: DemoServerStatus) => void;
  readonly #onTalk: (text: string) => void;
  #child: ChildProcess | undefined;
  #port = 0;
  #isStopping = false;
  #diedMs: number | undefined;
  #failures = 0;

  constructor(options: {
    /** Program and arguments of `tideway dev`; `--port` is added. */
    readonly command: readonly string[];
    readonly environment: NodeJS.ProcessEnv;
    readonly onStatus: (status: DemoServerStatus) => void;
    /** What the child says on stderr. */
    readonly onTalk: (text: string) => void;
  }) {
    this.#command = options.command;
    this.#environment = options.environment;
    this.#onStatus = options.onStatus;
    this.#onTalk = options.onTalk;
  }

  /** Starts it; resolves when it is ready for the first time, rejects when it ends before. */
  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => this.#spawn(resolve, reject));
  }

  /** `kill -9`; false when there is nothing to kill. */
  kill(): boolean {
    return this.#child?.kill('SIGKILL') ?? false;
  }

  /** Stops it gracefully. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    await gone;
  }

  #spawn(onFirstReady: () => void, onFirstFailure: (error: Error) => void): void {
    const [program, ...args] = this.#command as readonly [string, ...string[]];
    const child = spawn(program, [...args, '--port', String(this.#port)], {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#tell({ state: 'starting', pid: child.pid });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#onTalk(text));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const url = readyUrl(line);
      if (url === undefined) return;
      // The port it was given once is its port from now on: the page's clients come back to it.
      this.#port = Number(new URL(url).port);
      this.#failures = 0;
      const backMs = this.#diedMs === undefined ? undefined : Math.round(performance.now() - this.#diedMs);
      this.#tell({ state: 'up', url, backMs });
      onFirstReady();
    });
    child.once('error', onFirstFailure);
    child.once('exit', (code, signal) => {
      if (this.#isStopping) return this.#tell({ state: 'stopped', pid: undefined });
      if (this.#port === 0)
        return onFirstFailure(new Error(`the server ended before it was ready (${signal ?? code})`));
      if (this.status.state === 'starting') this.#failures++;
      this.#diedMs = performance.now();
      this.#tell({ state: 'down', pid: undefined, restarts: this.status.restarts + 1 });
      void delay(Math.min(PAUSE_MS * 2 ** this.#failures, PAUSE_MAX_MS)).then(() => {
        if (!this.#isStopping) this.#spawn(onFirstReady, onFirstFailure);
      });
    });
  }

  #tell(change: Partial<DemoServerStatus>): void {
    this.status = { ...this.status, ...change };
    this.#onStatus(this.status);
  }
}

function readyUrl(line: string): string | undefined {
  try {
    const { event, url } = JSON.parse(line) as { readonly event?: string; readonly url?: string };
    return event === 'ready' ? url : undefined;
  } catch {
    return undefined;
  }
}
