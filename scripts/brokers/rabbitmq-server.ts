/**
 * The processes of one RabbitMQ: the Erlang machine, and the epmd by which such machines find each other. Both are
 * stopped by process id.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { hold } from '../leash.ts';

export const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const CONTROL = '/usr/lib/rabbitmq/bin/rabbitmqctl';
export const EPMD = '/usr/bin/epmd';
const START_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 10_000;
/**
 * What RabbitMQ notes of the first stream of its life reaches its disk a little later: killed before that, it never
 * serves a stream again (3.10). So there is one from the beginning, and a start that makes it takes this longer.
 */
const FIRST_STREAM_MS = 1_000;
const LINES_KEPT = 40;

/** One Erlang machine, again and again on the same folder. */
export class RabbitmqServer {
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;
  #machine: ChildProcess | undefined;

  constructor(folder: string, env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#env = env;
  }

  get pid(): number {
    const pid = this.#machine?.pid;
    if (pid === undefined) throw new Error('RabbitMQ is not running');
    return pid;
  }

  async start(): Promise<void> {
    const isFresh = !existsSync(join(this.#folder, 'data'));
    await this.#run();
    if (isFresh) await settleFirstStream();
  }

  async #run(): Promise<void> {
    const machine = spawn(SERVER, [], { env: this.#env, cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#machine = machine;
    hold(machine);
    const lines: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`RabbitMQ ${why}:\n${lines.join('\n')}`));
      const timer = setTimeout(() => fail(`was not ready after ${START_DEADLINE_MS} ms`), START_DEADLINE_MS);
      const take = (line: string): void => {
        lines.push(line);
        if (lines.length > LINES_KEPT) lines.shift();
        if (!line.includes('Server startup complete')) return;
        clearTimeout(timer);
        resolve();
      };
      for (const stream of [machine.stdout, machine.stderr]) createInterface({ input: stream }).on('line', take);
      machine.once('error', reject);
      machine.once('exit', (code, signal) => {
        clearTimeout(timer);
        fail(`ended (${signal ?? code}) before it was ready`);
      });
    }).catch(async (error: unknown) => {
      await this.end('SIGKILL');
      throw error;
    });
  }

  async control(words: readonly string[]): Promise<void> {
    const child = spawn(CONTROL, words, { env: this.#env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`rabbitmqctl ${words.join(' ')} ended with ${code}: ${said}`);
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const machine = this.#machine;
    this.#machine = undefined;
    if (machine !== undefined) await endChild(machine, signal);
  }
}

export function settleFirstStream(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, FIRST_STREAM_MS));
}

/** By which the machines of one RabbitMQ find each other. Returns what ends it. */
export function startEpmd(env: Readonly<Record<string, string>>): () => Promise<void> {
  const epmd = spawn(EPMD, [], { env, stdio: 'ignore' });
  epmd.on('error', () => undefined);
  hold(epmd);
  return () => endChild(epmd, 'SIGKILL');
}

async function endChild(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  // One that was stopped would not even hear that it shall end.
  child.kill('SIGCONT');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await gone;
  clearTimeout(timer);
}
