/**
 * Where the records of a channel are read and go: the durable backbone has those of all channels, but for namespaces that
 * say `durable: false` where there is one in memory.
 */
import { randomId, type Env } from '../env.ts';
import type { Verdict, View } from '../view/view.ts';
import { Appender } from './appender.ts';
import type { Backbone, RemoteBackbone } from './backbone.ts';
import type { HubFigures } from './figures.ts';
import type { Policy } from './policy.ts';
import type { Appended, NewRecord, OnAnswered, RecordAppender } from './record-appender.ts';

/** A backbone as the hub uses it. */
interface Side {
  readonly view: View;
  readonly appender: RecordAppender;
}

export interface ChannelBackbonesOptions {
  readonly env: Env;
  readonly durable: Backbone | RemoteBackbone;
  /** Absent where the durable one has all namespaces. */
  readonly memory: Backbone | undefined;
  readonly policy: Policy;
  readonly onAppended: OnAnswered;
}

export class ChannelBackbones {
  /** Appends that were answered as stored, and how long those took from arrival to answer, together. */
  appended = 0;
  appendMsSum = 0;
  readonly #options: ChannelBackbonesOptions;
  readonly #figures: HubFigures;
  readonly #durable: Side;
  readonly #memory: Side | undefined;
  /** Those whose records the fold of this process judges. */
  readonly #judged: Appender[] = [];

  constructor(options: ChannelBackbonesOptions, figures: HubFigures) {
    this.#options = options;
    this.#figures = figures;
    const { env, durable, memory } = options;
    const node = randomId(env).slice(0, 8);
    const onAppended: OnAnswered = (record, result, durationMs) => this.#onAppended(record, result, durationMs);
    const open = (backbone: Backbone | RemoteBackbone, suffix: string): Side => {
      const { view } = backbone;
      if ('createAppender' in backbone) return { view, appender: backbone.createAppender(onAppended) };
      const appender = new Appender({ env, ...backbone, node: node + suffix, onAppended });
      this.#judged.push(appender);
      return { view, appender };
    };
    this.#durable = open(durable, '');
    this.#memory = memory && open(memory, 'm');
  }

  #onAppended(record: NewRecord, result: Appended, durationMs: number): void {
    if (result.state === 'ok') {
      this.appended++;
      this.appendMsSum += durationMs;
    } else if (result.code === 'overloaded') this.#figures.hit('logQueue');
    this.#options.onAppended(record, result, durationMs);
  }

  #of(channel: string): Side {
    return this.#memory !== undefined && this.#isTransient(channel) ? this.#memory : this.#durable;
  }

  #isTransient(channel: string): boolean {
    return this.#options.policy.rules(channel)?.durable === false;
  }

  view(channel: string): View {
    return this.#of(channel).view;
  }

  appender(channel: string): RecordAppender {
    return this.#of(channel).appender;
  }

  /** The partition of the durable log that holds a channel; `undefined` where another log does. */
  partitionOf(channel: string): number | undefined {
    return this.#isTransient(channel) ? undefined : this.#options.durable.partitionOf(channel);
  }

  /** How far back a repeated id is recognized now (HEL-2): the shorter of the two logs'. */
  ridWindowMs(): number {
    const durable = this.#durable.view.ridWindowMs();
    return Math.floor(Math.min(durable, this.#memory?.view.ridWindowMs() ?? durable));
  }

  /** How much of the log is still to be read before every place is answered, in positions. */
  get toFill(): number {
    return this.#durable.view.toFill;
  }

  get appendsInFlight(): number {
    return this.#durable.appender.inFlight + (this.#memory?.appender.inFlight ?? 0);
  }

  /** The fold of a backbone's view has judged a record of this node. */
  onVerdict(ticket: string, verdict: Verdict): void {
    for (const appender of this.#judged) appender.onVerdict(ticket, verdict);
  }

  /** The log does not go on from where the view was, for these channels. */
  onBroken(concerns: (channel: string) => boolean): void {
    for (const appender of this.#judged) appender.onBroken(concerns);
  }

  /** Every append has its answer. */
  async drained(): Promise<void> {
    await this.#durable.appender.drained();
    await this.#memory?.appender.drained();
  }
}
