/**
 * The view's housekeeping, in slices off the hot path: tends channels that changed, one at a time, looks at all of them
 * now and then, and forgets those that have been empty for long.
 */
import type { Env } from '../env.ts';
import type { Position } from '../log/log.ts';
import type { Channel } from './channels.ts';
import type { FeedIndex } from './feed-index.ts';
import { channelOfMetaKey, decodeMeta, metaKey, metaRange } from './store-keys.ts';
import type { StoreOp } from './store.ts';
import { Tending, type TendingOptions } from './tending.ts';

/** All metas are looked at this often, or less often where that would take more than a part of the time. */
const ROUND_MS = 60_000;
const ROUND_SHARE = 1 / 50;
const ROUND_METAS = 256;
/** A channel without records is forgotten after this time; who held a place in it then starts at the base. */
const FORGET_MS = 30 * 24 * 3_600_000;
/** Beyond this many channels without records the oldest are forgotten sooner. */
const EMPTY_CHANNELS_MAX = 1_000_000;

export interface UpkeepOptions extends TendingOptions {
  readonly env: Env;
  readonly epoch: string;
  readonly feedIndex: FeedIndex;
  /** The place before the oldest record that the log holds. Rejects where the log cannot be asked now. */
  readonly oldestInLog: () => Promise<Position>;
  readonly onTrouble: (error: unknown) => void;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #tending: Tending;
  readonly #wanted = new Set<string>();
  isStarted = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  #cancelRound: (() => void) | undefined;
  #forgetMs = FORGET_MS;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#tending = new Tending(options);
  }

  /** The view serves: it is tidied from now on. While it filled whoever tidies would wait for each write, and make them small. */
  start(): void {
    this.isStarted = true;
    for (const channel of this.#options.applier.channels.inMemory()) this.consider(channel);
    this.#scheduleRound(ROUND_MS);
  }

  /** Looks at a channel that has changed; cheap. */
  consider(channel: Channel): void {
    if (this.isStarted && this.#tending.wants(channel)) this.#tendSoon(channel.name);
  }

  /** Resolves when nothing is left that was considered. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Looks at every channel now, and at the feed. */
  async round(): Promise<void> {
    const { keeper, epoch, applier, ageClock } = this.#options;
    let after = '';
    let empty = 0;
    for (;;) {
      const { entries, end } = await keeper.scan(metaRange(after, ROUND_METAS));
      const forgotten: string[] = [];
      for (const { key, value } of entries) {
        if (this.#stopped) return;
        const name = channelOfMetaKey(key);
        after = name;
        const meta = decodeMeta(epoch, value);
        if (meta.records === 0) {
          empty++;
          if (ageClock.isOlder(meta.changedMs, this.#forgetMs)) forgotten.push(name);
        }
        if (meta.unswept || ageClock.isOlder(meta.oldestMs, applier.channels.retentionOf(name).ageMs))
          this.#tendSoon(name);
      }
      await this.idle();
      if (forgotten.length > 0) await this.#forget(forgotten);
      if (end || this.#stopped) break;
      await new Promise<void>((resolve) => this.#options.env.endOfTick(resolve));
    }
    await this.#clearFeed();
    // Too many empty channels: a shorter memory, until there are fewer.
    this.#forgetMs = empty > EMPTY_CHANNELS_MAX ? this.#forgetMs / 2 : Math.min(FORGET_MS, this.#forgetMs * 2);
  }

  /** The feed lists no more than the log holds: what is as old is read from its channels alone. */
  async #clearFeed(): Promise<void> {
    const { feedIndex, writer, oldestInLog } = this.#options;
    const oldest = await oldestInLog().catch(() => undefined);
    if (oldest === undefined || this.#stopped) return;
    await feedIndex.clear(oldest, (ops) => (this.#stopped ? Promise.resolve() : writer.add(ops)));
  }

  /** Does nothing more. What it waits for may still come, from a store that is another one by then. */
  stop(): void {
    this.#stopped = true;
    this.#tending.stop();
    this.#cancelRound?.();
    this.#wanted.clear();
  }

  #scheduleRound(afterMs: number): void {
    const { env, onTrouble } = this.#options;
    this.#cancelRound = env.setTimer(afterMs, () => {
      const startedMs = env.monotonicMs();
      void this.round()
        .catch(onTrouble)
        .then(() => {
          const tookMs = env.monotonicMs() - startedMs;
          if (!this.#stopped) this.#scheduleRound(Math.max(ROUND_MS, tookMs / ROUND_SHARE));
        });
    });
  }

  #tendSoon(name: string): void {
    if (this.#stopped) return;
    this.#wanted.add(name);
    this.#running ??= this.#work().finally(() => (this.#running = undefined));
  }

  async #work(): Promise<void> {
    for (const name of this.#wanted) {
      this.#wanted.delete(name);
      try {
        await this.#tend(name);
      } catch (error) {
        this.#options.onTrouble(error);
      }
      if (this.#stopped) return;
    }
  }

  async #tend(name: string): Promise<void> {
    const { keeper, applier } = this.#options;
    while (keeper.away) await keeper.present();
    const channel = applier.channels.find(name);
    if (channel === undefined) return;
    await this.#tending.tend(channel);
  }

  async #forget(names: readonly string[]): Promise<void> {
    const { applier, keeper, writer, ageClock } = this.#options;
    const ops: StoreOp[] = [];
    for (const name of names) {
      while (keeper.away) await keeper.present();
      const channel = applier.channels.find(name);
      if (channel === undefined || channel.records > 0 || channel.dirty || channel.pins > 0 || channel.closed) continue;
      if (!ageClock.isOlder(channel.changedMs, this.#forgetMs)) continue;
      applier.channels.forget(channel);
      ops.push({ type: 'del', key: metaKey(name) });
    }
    if (ops.length > 0) await writer.add(ops);
  }
}
