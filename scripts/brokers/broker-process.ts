/**
 * The process of one broker: started until it says that it serves, stopped by its id, and started again on the same
 * folder, where `data` is what it keeps.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { hold } from '../leash.ts';
import { pauseProcess } from './pause.ts';

export interface BrokerProgram {
  /** As errors call it. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs. */
  readonly folder: string;
  /** The line that says that it serves. */
  readonly ready: RegExp;
  readonly startMs?: number;
  /** One that does not end by itself in this time is killed. */
  readonly stopMs?: number;
}

/** Somebody who waits for a line. */
interface Wait {
  readonly pattern: RegExp;
  resolve(): void;
  reject(error: Error): void;
}

const START_MS = 120_000;
const STOP_MS = 10_000;
const LINES_KEPT = 60;

export class BrokerProcess {
  readonly folder: string;
  readonly #program: BrokerProgram;
  readonly #lines: string[] = [];
  readonly #waits = new Set<Wait>();
  #child: ChildProcess | undefined;

  constructor(program: BrokerProgram) {
    this.folder = program.folder;
    this.#program = program;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#program.name} is not running`);
    return pid;
  }

  async restart(): Promise<void> {
    await this.shutDown();
    const { command, args, env, folder, ready, startMs = START_MS } = this.#program;
    this.#lines.length = 0;
    const child = spawn(command, args, { env: env ?? process.env, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    hold(child);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#take(line));
    }
    child.once('error', ({ message }) => this.#fail(message));
    child.once('exit', (code, signal) => this.#fail(`ended (${signal ?? code})`));
    try {
      await this.says(ready, startMs);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Resolves at the next line like that; rejects when it ends or the time is over before. */
  async says(pattern: RegExp, deadlineMs = START_MS): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wait = { pattern, resolve, reject };
    this.#waits.add(wait);
    const late = (): void => reject(this.#error(`did not say ${pattern} within ${deadlineMs} ms`));
    const timer = setTimeout(late, deadlineMs);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waits.delete(wait);
    }
  }

  /** The same, or at once where it has said so since its start. */
  async said(pattern: RegExp): Promise<void> {
    if (!this.#lines.some((line) => pattern.test(line))) await this.says(pattern);
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async shutDown(): Promise<void> {
    await this.#end('SIGTERM');
  }

  pause(): void {
    pauseProcess(this.pid);
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  async wipe(): Promise<void> {
    await rm(join(this.folder, 'data'), { recursive: true, force: true, maxRetries: 20 });
  }

  /** Keeps a copy of its data, or puts that copy back; only while it is stopped. */
  async saveData(): Promise<void> {
    await cp(join(this.folder, 'data'), join(this.folder, 'saved'), { recursive: true });
  }

  async restoreData(): Promise<void> {
    await this.wipe();
    await cp(join(this.folder, 'saved'), join(this.folder, 'data'), { recursive: true });
  }

  async stop(): Promise<void> {
    await this.shutDown();
    // What it forked may still write.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20 });
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    await endChild(child, signal, this.#program.stopMs);
    // What it forked may hold them for a while.
    for (const stream of [child.stdout, child.stderr]) stream?.destroy();
  }

  #take(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > LINES_KEPT) this.#lines.shift();
    for (const { pattern, resolve } of this.#waits) if (pattern.test(line)) resolve();
  }

  #fail(why: string): void {
    for (const { reject } of this.#waits) reject(this.#error(why));
  }

  #error(why: string): Error {
    return new Error(`${this.#program.name} ${why}:\n${this.#lines.join('\n')}`);
  }
}

/** Ends a process that may have been paused, or not have been started at all, and waits until it is gone. */
export async function endChild(
  child: ChildProcess,
  signal: 'SIGTERM' | 'SIGKILL',
  stopMs: number = STOP_MS,
): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  // One that was stopped would not even hear that it shall end.
  child.kill('SIGCONT');
  const late = setTimeout(() => child.kill('SIGKILL'), stopMs);
  await gone;
  clearTimeout(late);
}
