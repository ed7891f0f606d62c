/**
 * A child process of the bench that says events as lines of JSON on stdout and takes commands as lines on stdin.
 * Every child is remembered until it has ended, so that an interrupted bench leaves none behind.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export type ChildEvent = Readonly<Record<string, unknown>> & { readonly event: string };

export interface ChildOptions {
  /** What errors call it. */
  readonly name: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** It has children of its own, and ends them and itself when its stdin ends: on the way out it is not killed. */
  readonly endsWithStdin?: boolean;
}

interface Waiter {
  readonly event: string;
  resolve(event: ChildEvent): void;
  reject(error: Error): void;
}

/** Enough to see what was wrong. */
const WARNINGS_MAX = 5;

const living = new Set<Child>();

/** Kills every child that still lives; for the way out. */
export function killChildren(): void {
  for (const child of living) if (!child.endsWithStdin) child.kill('SIGKILL');
}

export class Child {
  readonly name: string;
  readonly pid: number;
  readonly endsWithStdin: boolean;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  #process: ChildProcess;
  #events: ChildEvent[] = [];
  #waiters: Waiter[] = [];
  #failure: Error | undefined;
  #stderr = '';
  #warnings: string[] = [];

  constructor(command: string, args: readonly string[], options: ChildOptions) {
    this.name = options.name;
    this.endsWithStdin = options.endsWithStdin ?? false;
    this.#process = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.pid = this.#process.pid ?? 0;
    living.add(this);
    this.ended = new Promise((resolve) => {
      const end = (why: string): void => {
        living.delete(this);
        this.#fail(new Error(`${this.name} ${why}${this.#lastWords()}`));
        resolve();
      };
      this.#process.once('error', (error) => end(`did not start: ${error.message}`));
      this.#process.once('close', (code, signal) => end(`ended with ${signal ?? `exit code ${code}`}`));
    });
    createInterface({ input: this.#process.stdout! }).on('line', (line) => this.#take(line));
    createInterface({ input: this.#process.stderr! }).on('line', (line) => {
      this.#stderr = `${this.#stderr}${line}\n`.slice(-2_000);
      if (/"level":"(warn|error)"/.test(line)) this.#warnings = [...this.#warnings, line].slice(-WARNINGS_MAX);
    });
    // A child that ends while it is written to is reported by its end.
    this.#process.stdin!.on('error', () => {});
  }

  /** The latest lines of its own log that were warnings or errors. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  send(line: string): void {
    this.#process.stdin!.write(`${line}\n`);
  }

  /**
   * The next event of this name; events that came before the call count. Fails when the child says `failed`, ends, or
   * stays silent for `withinMs`.
   */
  next(event: string, withinMs = 60_000): Promise<ChildEvent> {
    const at = this.#events.findIndex((one) => one.event === event);
    if (at >= 0) return Promise.resolve(this.#events.splice(at, 1)[0]!);
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiters = this.#waiters.filter((one) => one !== waiter);
        reject(new Error(`${this.name} did not say "${event}" within ${withinMs} ms`));
      }, withinMs);
      const waiter: Waiter = {
        event,
        resolve(found) {
          clearTimeout(late);
          resolve(found);
        },
        reject(error) {
          clearTimeout(late);
          reject(error);
        },
      };
      this.#waiters.push(waiter);
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Ends it: `SIGTERM`, and `SIGKILL` if that is not enough. */
  async stop(withinMs = 20_000): Promise<void> {
    this.kill('SIGTERM');
    const late = setTimeout(() => this.kill('SIGKILL'), withinMs);
    await this.ended;
    clearTimeout(late);
  }

  #take(line: string): void {
    let event: ChildEvent;
    try {
      event = JSON.parse(line) as ChildEvent;
    } catch {
      return;
    }
    if (event.event === 'failed') {
      this.#fail(new Error(`${this.name}: ${String(event['reason'])}`));
      return;
    }
    const at = this.#waiters.findIndex((one) => one.event === event.event);
    if (at >= 0) this.#waiters.splice(at, 1)[0]!.resolve(event);
    else this.#events.push(event);
  }

  /** What an error says, without where: enough for one line. */
  #lastWords(): string {
    const lines = this.#stderr.split('\n').filter((line) => line.trim() !== '');
    const telling = lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1);
    return telling === undefined ? '' : `; it said: ${telling.trim().slice(0, 300)}`;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#failure);
  }
}
