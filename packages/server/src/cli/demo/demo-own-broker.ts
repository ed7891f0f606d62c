/**
 * A broker that the demo starts itself, from the programs this machine has: on loopback, on a free port, with its data in
 * a folder of the demo. Stopping it is a `kill -9`; it comes back on the same port and data.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { freePorts } from '@tideway/verifier/free-ports';
import { CliError, exitCodes } from '../exit-codes.ts';
import type { BrokerPlace, BrokerProgram } from './demo-broker-program.ts';
import type { BrokerStatus, DemoBroker } from './demo-broker.ts';
import type { DemoLeash } from './demo-leash.ts';

export interface OwnBrokerOptions {
  readonly program: BrokerProgram;
  readonly folder: string;
  readonly leash: DemoLeash;
  readonly onChange: () => void;
}

/** A Kafka on a busy machine takes its time. */
const START_MS = 120_000;
const LINES_KEPT = 20;

export class OwnBroker implements DemoBroker {
  readonly address: string;
  readonly #options: OwnBrokerOptions;
  readonly #place: BrokerPlace;
  #helper: ChildProcess | undefined;
  #state: BrokerStatus['state'] = 'starting';
  #child: ChildProcess | undefined;
  #isWanted = true;

  private constructor(options: OwnBrokerOptions, place: BrokerPlace) {
    this.#options = options;
    this.#place = place;
    this.address = options.program.address(place);
  }

  static async start(options: OwnBrokerOptions): Promise<OwnBroker> {
    const { program, folder } = options;
    const broker = new OwnBroker(options, { folder, ports: await freePorts(program.portCount) });
    await mkdir(folder, { recursive: true });
    await program.prepare?.(broker.#place);
    const [helper, ...args] = program.helper?.(broker.#place) ?? [];
    if (helper !== undefined) broker.#helper = broker.#spawn(helper, args);
    await broker.start();
    await program.settle?.();
    return broker;
  }

  get status(): BrokerStatus {
    return {
      name: this.#options.program.name,
      place: `127.0.0.1:${this.#place.ports[0]}`,
      state: this.#state,
      pid: this.#child?.pid,
      isOwn: true,
      refusal: undefined,
    };
  }

  async stop(): Promise<void> {
    this.#isWanted = false;
    const child = this.#child;
    if (child === undefined) return;
    const isGone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await isGone;
  }

  /** @throws CliError when it cannot be started, with its last words */
  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    this.#isWanted = true;
    const [file = '', ...args] = this.#options.program.command(this.#place);
    const child = this.#spawn(file, args);
    this.#child = child;
    child.once('exit', () => this.#ended(child));
    this.#tell('starting');
    try {
      await this.#untilReady(child);
    } catch (error) {
      child.kill('SIGKILL');
      this.#ended(child);
      throw error;
    }
    if (child === this.#child) this.#tell('up');
  }

  async close(): Promise<void> {
    await this.stop();
    this.#helper?.kill('SIGKILL');
  }

  #spawn(file: string, args: readonly string[]): ChildProcess {
    const { program, folder, leash } = this.#options;
    const environment = { ...process.env, ...program.environment?.(this.#place) };
    // It is the demo that ends it, not the Ctrl-C of the terminal: the nodes still need it to end well.
    const child = spawn(file, args, {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    child.on('error', () => {});
    leash.hold(child);
    return child;
  }

  #untilReady(child: ChildProcess): Promise<void> {
    const { name, ready, install } = this.#options.program;
    const lines: string[] = [];
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new CliError(exitCodes.failed, `${child.spawnfile} ${why}`, install));
      const timer = setTimeout(() => fail(`was not ready after ${START_MS / 1_000} s`), START_MS);
      const end = (): void => clearTimeout(timer);
      for (const stream of [child.stdout, child.stderr]) {
        if (stream === null) continue;
        createInterface({ input: stream }).on('line', (line) => {
          if (lines.push(line) > LINES_KEPT) lines.shift();
          if (!ready.test(line)) return;
          end();
          resolve();
        });
      }
      child.once('error', (error: NodeJS.ErrnoException) => {
        end();
        fail(error.code === 'ENOENT' ? `is not on this machine; ${name} needs it` : error.message);
      });
      child.once('exit', (code, signal) => {
        end();
        // Stopped while it started: somebody has pressed the button again.
        if (!this.#isWanted) return resolve();
        fail(`ended (${signal ?? code}) before it was ready:\n${lines.join('\n')}`);
      });
    });
  }

  #ended(child: ChildProcess): void {
    if (child !== this.#child) return;
    this.#child = undefined;
    this.#tell('down');
  }

  #tell(state: BrokerStatus['state']): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onChange();
  }
}
