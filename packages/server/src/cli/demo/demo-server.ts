/**
 * The server of the demo as a child process: started, killed for real, started again on the same port. The supervisor
 * outlives it, so the page does too.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface DemoServerStatus {
  readonly state: 'starting' | 'up' | 'paused' | 'down' | 'stopped';
  readonly pid: number | undefined;
  readonly url: string | undefined;
  /** How often it was started again. */
  readonly restarts: number;
  /** How long it has been up, when this was said. */
  readonly upMs: number | undefined;
}

export interface DemoServerOptions {
  /** Program and arguments; `--port` is added. It must say `{"event":"ready","url":…}` on stdout. */
  readonly command: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly onStatus: (status: DemoServerStatus) => void;
  /** What the child says on stderr. */
  readonly onTalk: (text: string) => void;
  /** Told of each process. */
  readonly onSpawn?: (child: ChildProcess) => void;
  /** Between a death and the next start. */
  readonly pauseMs?: number;
}

/** Time to see it dead, short enough to wait for. */
const PAUSE_MS = 400;
/** A child that dies at once again and again is not started faster than this. */
const PAUSE_MAX_MS = 5_000;
/** A child that does not end when asked is killed after this time. */
const STOP_MS = 10_000;

export class DemoServer {
  readonly #options: DemoServerOptions;
  readonly #ready = Promise.withResolvers<string>();
  #state: DemoServerStatus['state'] = 'starting';
  #child: ChildProcess | undefined;
  #url: string | undefined;
  #restarts = 0;
  #upSinceMs: number | undefined;
  /** Starts in a row that were not ready before they ended. */
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped: (() => void) | undefined;

  constructor(options: DemoServerOptions) {
    this.#options = options;
    this.#ready.promise.catch(() => {});
  }

  get status(): DemoServerStatus {
    const isThere = this.#state === 'starting' || this.#state === 'up' || this.#state === 'paused';
    return {
      state: this.#state,
      pid: isThere ? this.#child?.pid : undefined,
      url: this.#url,
      restarts: this.#restarts,
      upMs: this.#upSinceMs === undefined ? undefined : Math.round(performance.now() - this.#upSinceMs),
    };
  }

  /** Its address, once it was ready for the first time; rejects when it ended before. */
  get url(): Promise<string> {
    return this.#ready.promise;
  }

  /** Starts it; resolves with its address. */
  start(): Promise<string> {
    this.#spawn();
    return this.url;
  }

  /** `kill -9`; returns the process that was killed, if there was one. */
  kill(): number | undefined {
    const { pid } = this.status;
    return this.#child?.kill('SIGKILL') === true ? pid : undefined;
  }

  /** `SIGSTOP`: it keeps everything and does nothing; false where it is not up, or the system has no such thing. */
  pause(): boolean {
    if (this.#state !== 'up' || !this.#signal('SIGSTOP')) return false;
    this.#tell('paused');
    return true;
  }

  /** `SIGCONT` after a pause. */
  resume(): boolean {
    if (this.#state !== 'paused' || !this.#signal('SIGCONT')) return false;
    this.#tell('up');
    return true;
  }

  /** Stops it for good, gracefully if it can. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    const child = this.#child;
    const isGone = new Promise<void>((resolve) => (this.#stopped = resolve));
    if (child === undefined || !isRunning(child)) return this.#tell('stopped');
    child.kill('SIGTERM');
    // One that is paused, by whomever, would not even hear that it shall end.
    this.#signal('SIGCONT');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await isGone;
    clearTimeout(timer);
  }

  #signal(signal: 'SIGSTOP' | 'SIGCONT'): boolean {
    try {
      return this.#child?.kill(signal) === true;
    } catch {
      return false;
    }
  }

  #spawn(): void {
    const [program = '', ...args] = this.#options.command;
    // The port it was given once is its port from now on: the page's clients come back to it.
    const port = this.#url === undefined ? '0' : new URL(this.#url).port;
    const child = spawn(program, [...args, '--port', port], {
      env: this.#options.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#options.onSpawn?.(child);
    this.#tell('starting');
    let refusal: string | undefined;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      // Whoever started it is told why it ended; once.
      if (this.#url === undefined) refusal ??= /^error: (.*)$/m.exec(text)?.[1];
      if (refusal === undefined) this.#options.onTalk(text);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const url = readyUrl(line);
      if (url === undefined || child !== this.#child || this.#state !== 'starting') return;
      this.#url = url;
      this.#failures = 0;
      this.#upSinceMs = performance.now();
      this.#tell('up');
      this.#ready.resolve(url);
    });
    child.once('error', (error) => this.#ended(child, error.message));
    child.once('exit', (code, signal) => {
      const reason = String(signal ?? code);
      if (this.#url !== undefined) return this.#ended(child, reason);
      // What it said last may come behind its end.
      child.once('close', () => this.#ended(child, reason, refusal));
    });
  }

  #ended(child: ChildProcess, reason: string, refusal = `the server ended before it was ready (${reason})`): void {
    // What could not be started may tell so twice.
    if (child !== this.#child || this.#state === 'down' || this.#state === 'stopped') return;
    if (this.#state === 'starting') this.#failures++;
    this.#upSinceMs = undefined;
    if (this.#stopped !== undefined) {
      this.#tell('stopped');
      return this.#stopped();
    }
    this.#tell('down');
    // Nobody could reach what was never ready: that is no death, it cannot run here.
    if (this.#url === undefined) return this.#ready.reject(new Error(refusal));
    this.#restarts++;
    const pauseMs = (this.#options.pauseMs ?? PAUSE_MS) * 2 ** this.#failures;
    this.#timer = setTimeout(() => this.#spawn(), Math.min(pauseMs, PAUSE_MAX_MS));
  }

  #tell(state: DemoServerStatus['state']): void {
    this.#state = state;
    this.#options.onStatus(this.status);
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

function readyUrl(line: string): string | undefined {
  try {
    const { event, url } = JSON.parse(line) as { readonly event?: unknown; readonly url?: unknown };
    return event === 'ready' && typeof url === 'string' ? url : undefined;
  } catch {
    return undefined;
  }
}
