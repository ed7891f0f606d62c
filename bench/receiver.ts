/** The receiver (floors/receiver.c) as the bench sees it: how it talks to each kind of server, and what it reports. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, type ChildEvent } from './child.ts';
import { compile, outFolder } from './floors/compile.ts';

/** How a receiver follows a server of some kind. */
export interface Dialect {
  readonly path: string;
  readonly protocol?: string;
  /** The frames each connection sends; connection i sends list i % length. */
  readonly scripts?: readonly (readonly string[])[];
  /** True when the server speaks first and the script must wait for it. */
  readonly waitForGreeting?: boolean;
  /** A connection is ready after this many messages with that beginning; without it, after the upgrade. */
  readonly ready?: { readonly prefix: string; readonly count: number };
  /** What is counted: messages with this beginning. */
  readonly countPrefix: string;
  readonly ping?: { readonly prefix: string; readonly pong: string };
  readonly failPrefix?: string;
}

export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Received {
  readonly connections: number;
  readonly counted: number;
  readonly bytes: number;
  /** The least and the most any connection has counted. */
  readonly least: number;
  readonly most: number;
  /** On the connections that are read closely. */
  readonly lost: number;
  readonly repeated: number;
  /** Since the last reset. */
  readonly wallMs: number;
  readonly cpuMs: number;
  /** Since the first connection was opened. */
  readonly sinceOpenMs: number;
  readonly latencyMs?: Latency;
}

export interface ReceiverOptions {
  readonly port: number;
  readonly connections: number;
  readonly dialect: Dialect;
  /** Connections that may be on their way at once. */
  readonly opening?: number;
  /** Every how manieth connection is read closely; by default one in fifty. */
  readonly sampleEvery?: number;
  /** Gives way to others where cores are scarce. */
  readonly polite?: boolean;
}

function received(event: ChildEvent): Received {
  if (typeof event['counted'] !== 'number') throw new Error(`the receiver reported no count: ${JSON.stringify(event)}`);
  // The receiver is ours: a report that has its count has the other members, as `report` in receiver.c prints them.
  return event as unknown as Received;
}

export class Receiver {
  readonly #child: Child;
  readonly #scriptPath: string;

  constructor(options: ReceiverOptions) {
    const { dialect } = options;
    this.#scriptPath = join(outFolder, `script-${process.pid}-${options.port}`);
    const args = [
      ['--port', String(options.port)],
      ['--path', dialect.path],
      ['--connections', String(options.connections)],
      ['--opening', String(options.opening ?? 128)],
      ['--count-prefix', dialect.countPrefix],
    ];
    if (options.sampleEvery !== undefined) args.push(['--sample-every', String(options.sampleEvery)]);
    if (dialect.protocol !== undefined) args.push(['--protocol', dialect.protocol]);
    if (dialect.waitForGreeting) args.push(['--wait-for-greeting', '1']);
    if (dialect.ready)
      args.push(['--ready-prefix', dialect.ready.prefix], ['--ready-count', String(dialect.ready.count)]);
    if (dialect.ping) args.push(['--ping-prefix', dialect.ping.prefix], ['--pong', dialect.ping.pong]);
    if (dialect.failPrefix !== undefined) args.push(['--fail-prefix', dialect.failPrefix]);
    const program = compile('receiver');
    if (dialect.scripts) {
      writeFileSync(this.#scriptPath, `${dialect.scripts.map((frames) => frames.join('\t')).join('\n')}\n`);
      args.push(['--script', this.#scriptPath]);
    }
    const [command, ...rest] = [...(options.polite ? ['nice', '-n', '5'] : []), program, ...args.flat()];
    this.#child = new Child(command!, rest, { name: 'receiver' });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** All connections are open and follow. */
  async ready(withinMs = 60_000): Promise<Received> {
    return received(await this.#child.next('ready', withinMs));
  }

  /** Counts from zero; resolved once it does. */
  async reset(): Promise<void> {
    this.#child.send('reset');
    await this.report();
  }

  async report(): Promise<Received> {
    this.#child.send('report');
    return received(await this.#child.next('report'));
  }

  /** Resolves when that many messages have been counted. */
  async until(count: number, withinMs = 120_000): Promise<Received> {
    this.#child.send(`until ${count}`);
    try {
      return received(await this.#child.next('reached', withinMs));
    } catch (error) {
      const had = await this.report().then(
        (report) => `; counted ${report.counted} of ${count}`,
        () => '',
      );
      throw new Error(`${(error as Error).message}${had}`, { cause: error });
    }
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    rmSync(this.#scriptPath, { force: true });
  }
}
