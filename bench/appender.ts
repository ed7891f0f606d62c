/** The appender (floors/appender.c) as the bench sees it. */
import { Child, type ChildEvent } from './child.ts';
import { compile } from './floors/compile.ts';
import type { Latency } from './receiver.ts';

export interface AppenderOptions {
  readonly port: number;
  readonly path: string;
  readonly protocol?: string;
  /** Sent first on every connection; one `ok` must answer it. */
  readonly hello?: string;
  readonly connections?: number;
  /** The channel's name; with `channels`, the beginning of their names, a number follows. */
  readonly channel: string;
  readonly channels?: number;
  readonly payloadBytes: number;
  /** How: an open loop, a window of unanswered records on each connection, or batch after batch. */
  readonly pace:
    | { readonly ratePerSecond: number; readonly burst?: number }
    | { readonly window: number }
    | { readonly lockstep: number };
  /** Ends by itself after that many. */
  readonly records?: number;
  /** A file to write the cursor of each channel's first record to. */
  readonly cursorsPath?: string;
}

export interface Appended {
  /** Since the last lap, as all that follows. */
  readonly acked: number;
  readonly unanswered: number;
  readonly wallMs: number;
  readonly perSecond: number;
  readonly cpuMs: number;
  readonly latencyMs?: Latency;
}

function appended(event: ChildEvent): Appended {
  if (typeof event['acked'] !== 'number') throw new Error(`the appender reported no count: ${JSON.stringify(event)}`);
  // The appender is ours: a report that has its count has the other members, as `report` in appender.c prints them.
  return event as unknown as Appended;
}

export class Appender {
  readonly #child: Child;

  constructor(options: AppenderOptions) {
    const args = [
      ['--port', String(options.port)],
      ['--path', options.path],
      ['--channel', options.channel],
      ['--payload-bytes', String(options.payloadBytes)],
      ['--connections', String(options.connections ?? 1)],
    ];
    if (options.protocol !== undefined) args.push(['--protocol', options.protocol]);
    if (options.hello !== undefined) args.push(['--hello', options.hello]);
    if (options.channels !== undefined) args.push(['--channels', String(options.channels)]);
    if (options.records !== undefined) args.push(['--records', String(options.records)]);
    if (options.cursorsPath !== undefined) args.push(['--cursors', options.cursorsPath]);
    const { pace } = options;
    if ('window' in pace) args.push(['--window', String(pace.window)]);
    else if ('lockstep' in pace) args.push(['--lockstep', String(pace.lockstep)]);
    else args.push(['--rate', String(pace.ratePerSecond)], ['--burst', String(pace.burst ?? 1)]);
    this.#child = new Child(compile('appender'), args.flat(), { name: 'appender' });
  }

  get pid(): number {
    return this.#child.pid;
  }

  async ready(): Promise<void> {
    await this.#child.next('ready');
  }

  go(): void {
    this.#child.send('go');
  }

  async lap(): Promise<Appended> {
    this.#child.send('lap');
    return appended(await this.#child.next('lap'));
  }

  /** All records of `records` are answered. */
  async done(withinMs = 120_000): Promise<Appended> {
    return appended(await this.#child.next('done', withinMs));
  }

  /** Appends no more, waits for what is unanswered, ends. */
  async finish(): Promise<Appended> {
    this.#child.send('stop');
    return this.done();
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }
}
