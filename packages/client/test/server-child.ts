/**
 * A real server in a process of its own, to be killed and started again on the same port and folder.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { freePort } from '@tideway/verifier/free-ports';

const MAIN = join(import.meta.dirname, '../../server/src/cli/main.ts');
/** A server that outlives whoever started it would run for ever. */
const LEASH =
  "data:text/javascript,process.on('disconnect',()=>process.kill(process.pid,'SIGKILL'));process.channel.unref();";

export class ServerChild {
  readonly #flags: readonly string[];
  #port = 0;
  #child: ChildProcess | undefined;

  constructor(flags: readonly string[]) {
    this.#flags = flags;
  }

  /** The same after every start. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    if (this.#port === 0) this.#port = await freePort();
    const node = ['--conditions=tideway-source', '--disable-warning=ExperimentalWarning', '--import', LEASH];
    const dev = ['dev', '--port', String(this.#port), '--json', '--log-level', 'error', ...this.#flags];
    const child = spawn(process.execPath, [...node, MAIN, ...dev], { stdio: ['ignore', 'pipe', 'ignore', 'ipc'] });
    this.#child = child;
    assert.ok(child.stdout !== null);
    // Ends without a line when the server ends before it is ready.
    for await (const line of createInterface(child.stdout)) {
      const { event, url } = JSON.parse(line) as { event: string; url: string };
      if (event !== 'ready') continue;
      this.#port = Number(new URL(url).port);
      child.stdout.resume();
      return;
    }
    throw new Error('the server ended before it was ready');
  }

  /** `kill -9`, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

/** Started, in a folder that goes when the test ends. */
export async function startServerChild(t: TestContext, flags: readonly string[] = []): Promise<ServerChild> {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-client-'));
  const server = new ServerChild(['--data', folder.path, ...flags]);
  t.after(async () => {
    await server.kill();
    await folder.remove();
  });
  await server.start();
  return server;
}
