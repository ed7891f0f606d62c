/**
 * The demo's leash: a process that outlives it for a moment, however it ends, and then ends what the demo had started and
 * removes what it had written. Told over its standard input, of which only the newest line counts.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { programBeside } from '../program-beside.ts';

/** What has to go with the demo. */
interface Held {
  readonly pids: readonly number[];
  readonly folders: readonly string[];
}

export class DemoLeash {
  readonly #process: ChildProcess;
  readonly #gone: Promise<void>;
  readonly #pids = new Set<number>();
  readonly #folders = new Set<string>();

  constructor() {
    // Ctrl-C goes to the whole group of a terminal; this one must not hear it.
    this.#process = spawn(process.execPath, [...process.execArgv, programBeside('demo/demo-leash')], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#gone = new Promise((resolve) => this.#process.once('close', () => resolve()));
    this.#process.on('error', () => {});
    this.#process.stdin?.on('error', () => {});
    this.#process.unref();
  }

  /** Holds a process until it ends. */
  hold(child: ChildProcess): void {
    const { pid } = child;
    if (pid === undefined) return;
    this.#pids.add(pid);
    child.once('exit', () => {
      this.#pids.delete(pid);
      this.#tell();
    });
    this.#tell();
  }

  /** Removes a folder at the end, when nobody is left who writes there. */
  holdFolder(folder: string): void {
    this.#folders.add(folder);
    this.#tell();
  }

  /** Ends what it still holds, as it would if the demo were killed now. */
  async release(): Promise<void> {
    this.#process.ref();
    this.#process.stdin?.end();
    await this.#gone;
  }

  #tell(): void {
    const held: Held = { pids: [...this.#pids], folders: [...this.#folders] };
    this.#process.stdin?.write(`${JSON.stringify(held)}\n`);
  }
}

async function outlive(): Promise<void> {
  let held: Held = { pids: [], folders: [] };
  for await (const line of createInterface({ input: process.stdin })) held = JSON.parse(line) as Held;
  for (const pid of held.pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
  for (const folder of held.folders) await rm(folder, { recursive: true, force: true, maxRetries: 20 });
}

if (import.meta.main) await outlive();
