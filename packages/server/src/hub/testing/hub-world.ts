/** A hub on a log and a view in memory, with connections that a test holds in its hands. */
import assert from 'node:assert/strict';
import { limits } from '@tideway/protocol';
import type { Identity } from '../../auth/identity.ts';
import { createTurnstile } from '../../auth/turnstile.ts';
import { nodeEnv, type Env } from '../../env.ts';
import type { AppendOutcome, Log, PhysicalRecord } from '../../log/log.ts';
import { MemoryLog } from '../../log/memory/memory-log.ts';
import { createView, type LogView, type ViewOptions } from '../../view/log-view.ts';
import { MemoryStore } from '../../view/store-memory.ts';
import type { Retention } from '../../view/view.ts';
import { methodUnknown, type CallHost } from '../call-taker.ts';
import { Commands } from '../commands.ts';
import { Hub, STARTS_AT_ONCE } from '../hub.ts';
import type { Measures } from '../measures.ts';
import type { NamespaceRules, Policy } from '../policy.ts';
import { Talk } from './talk.ts';

export interface WorldOptions {
  /** The hub's clock and dice; by default the real ones. */
  readonly env?: Env;
  readonly outboxBytesMax?: number;
  readonly outboxBytesTotal?: number;
  readonly ringBytesTotal?: number;
  readonly retention?: Retention;
  readonly appendsPerSecond?: number;
  readonly may?: Policy['may'];
  /** Where a channel lies, as far as the news of the log go; one partition by default. */
  readonly partitionOf?: (channel: string) => number;
  /** Settings of the view, its store among them. */
  readonly view?: Partial<Omit<ViewOptions, 'log'>> & { readonly log?: Log };
  readonly measures?: Measures;
  /** Told what the hub could not do; by default that fails the test. */
  readonly onTrouble?: (error: unknown) => void;
  /** Stands between hub and view: what it gives answers in the view's place. */
  readonly overView?: (view: LogView) => Partial<LogView>;
  /** Carries out calls; absent: no method is known. */
  readonly carryOut?: CallHost['carryOut'];
  /** Stands between hub and log: may answer in the log's place. */
  readonly intercept?: (records: readonly PhysicalRecord[]) => readonly (AppendOutcome | undefined)[];
}

export class World {
  readonly hub: Hub;
  readonly commands: Commands;
  readonly view: LogView;
  /** Pages and tags that the view was asked for. */
  reads = 0;
  tagReads = 0;
  readonly #log: Log;
  #isClosing = false;

  private constructor(log: Log, view: LogView, options: WorldOptions) {
    this.#log = log;
    this.view = view;
    const rules: NamespaceRules = {
      recordBytes: limits.recordBytes,
      retention: options.retention ?? {},
      durable: true,
      noStore: false,
    };
    const policy: Policy = {
      contract: undefined,
      appendable: [rules],
      rules: (channel) =>
        channel.startsWith('none:') ? undefined : { ...rules, durable: !channel.startsWith('memory:') },
      globRules: () => rules,
      may: options.may ?? (() => true),
      permissionsOf: () => Promise.resolve([]),
      mayEvery: () => true,
      refusal: (_identity, permission, channel) => ({ code: 'forbidden', message: `${permission} on ${channel}` }),
      isPublic: () => true,
    };
    const seen = options.overView === undefined ? view : over(view, options.overView(view));
    const counted = over(seen, {
      read: (...of: Parameters<LogView['read']>) => {
        this.reads++;
        return seen.read(...of);
      },
      tagAt: (...of: Parameters<LogView['tagAt']>) => {
        this.tagReads++;
        return seen.tagAt(...of);
      },
    });
    this.hub = new Hub({
      env: options.env ?? nodeEnv,
      durable: {
        log: intercepted(log, options.intercept),
        view: counted,
        partitionOf: options.partitionOf ?? (() => 0),
      },
      memory: undefined,
      policy,
      outboxBytesMax: options.outboxBytesMax ?? 1024 * 1024,
      outboxBytesTotal: options.outboxBytesTotal ?? 512 * 1024 * 1024,
      ringBytesTotal: options.ringBytesTotal ?? 64 * 1024 * 1024,
      starts: createTurnstile(STARTS_AT_ONCE),
      onAppended: () => {},
      onTrouble: options.onTrouble ?? ((error) => this.#onTrouble(error)),
      ...(options.measures && { measures: options.measures }),
    });
    this.commands = new Commands(this.hub, {
      authenticate: () => Promise.resolve({ kind: 'anonymous', roles: [] } satisfies Identity),
      isSameParty: () => true,
      admit: () => undefined,
      about: {
        pingMs: 25_000,
        server: 'test/0',
        limits: {
          channelsPerFrame: 100,
          subscriptions: 5,
          pageRecords: 1000,
          batchItems: 1000,
        },
      },
      relaySignal() {},
      refer: () => 'ref',
      appendsPerSecond: options.appendsPerSecond ?? 1_000_000,
      signalsPerSecond: 1_000,
      callsPerSecond: 3,
      carryOut: options.carryOut ?? (({ method }) => Promise.resolve(methodUnknown(method))),
    });
  }

  static async create(options: WorldOptions = {}): Promise<World> {
    const log = options.view?.log ?? new MemoryLog();
    const constants = await log.open();
    const made: { world?: World } = {};
    const view = await createView({
      store: new MemoryStore(),
      env: nodeEnv,
      ...options.view,
      log,
      constants,
      retention: () => options.retention ?? {},
      onVerdict: (ticket, verdict) => made.world?.hub.backbones.onVerdict(ticket, verdict),
      onTrouble: () => {},
    });
    made.world = new World(log, view, options);
    return made.world;
  }

  /** Whoever still catches up when the view is closed is refused, which is no trouble. */
  #onTrouble(error: unknown): void {
    if (!this.#isClosing) assert.fail(String(error));
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.view.close();
    await this.#log.close();
  }

  /** A session that has said hello. */
  async session(): Promise<Talk> {
    const talk = new Talk(this);
    talk.send({ op: 'hello', id: 1, instance: `i${Math.floor(nodeEnv.monotonicMs() * 1e6)}` });
    await talk.answer(1);
    return talk;
  }

  /** Appends through a session of its own, and waits for the answers. */
  async appendMany(channel: string, count: number, text = 'x'): Promise<string[]> {
    const writer = await this.session();
    return await writer.appendMany(channel, count, text);
  }
}

function intercepted(log: Log, intercept: WorldOptions['intercept']): Log {
  if (intercept === undefined) return log;
  return over(log, {
    append: async (records: readonly PhysicalRecord[]) => {
      const answers = intercept(records);
      const passed = records.filter((_, index) => answers[index] === undefined);
      const outcomes = [...(await log.append(passed))];
      return records.map((_, index) => answers[index] ?? (outcomes.shift() as AppendOutcome));
    },
  });
}

/** The same object with some of its functions replaced. */
function over<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const own: unknown = Reflect.get(replaced, name);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
