/**
 * The view of a log of one partition: follows the log's tail from where its store stands, tells followers and appenders
 * what was applied, serves every read, and makes itself anew from the log where its store was lost.
 */
import { POSITION_ZERO, TidewayError, type GapReason } from '@tideway/protocol';
import { TailError, type Position, type Tag, type TailRecord } from '../log/log.ts';
import { SILENT, type ApplyEvents } from './applier.ts';
import { Arrivals, Followers } from './followers.ts';
import { beginLife, endLife, firstApplied, gapReasonOf, trouble, type Life, type ViewOptions } from './life.ts';
import { positionNumber } from './packed-place.ts';
import type { Pages } from './pages.ts';
import { AgeClock } from './retention.ts';
import { StoreAwayError, StoreKeeper } from './store-keeper.ts';
import type { Applied } from './store-keys.ts';
import { StoreError } from './store.ts';
import type { ChannelState, Follower, Page, PageRequest, Verdict, View } from './view.ts';
import { readApplied } from './writer.ts';

export type { ViewOptions, ViewTrouble } from './life.ts';

export interface LogView extends View {
  /** Resolves when everything applied until now is in the store; false when the store takes no writes now. */
  flush(): Promise<boolean>;
  /** Lets go of what the retention allows to; happens by itself every minute. */
  tidy(): Promise<void>;
  /** Stops following the log, writes what is not written, closes the store. */
  close(): Promise<void>;
}

/**
 * Opens the view; resolves when it has applied what the log holds now. Throws in words when its store cannot be used.
 * `state` throws `behind`, with `retryMs`, for a channel that is not in memory while the store is opened anew: some
 * milliseconds after the log let go of old segments, or for as long as a full disk does not let it open.
 */
export async function createView(options: ViewOptions): Promise<LogView> {
  const { epochs } = options.constants;
  if (epochs.length !== 1) throw new Error(`a view follows a log of one partition, this one has ${epochs.length}`);
  const view = new OnePartitionView(options);
  await view.open();
  return view;
}

/** While every id since the log's beginning is known, this is said to be how far back repeats are recognized. */
const RID_WINDOW_MS_MAX = 30 * 24 * 3_600_000;
/** Opening the store anew for the log's sake takes at most this part of the time. */
const SETTLE_SHARE = 1 / 50;
const RETRY_MS = 1_000;

class OnePartitionView implements LogView {
  readonly #options: ViewOptions;
  readonly #epoch: string;
  readonly #keeper: StoreKeeper;
  readonly #followers: Followers;
  readonly #arrivals: Arrivals;
  /** The one that serves. */
  #life: Life | undefined;
  /** Set while the view is made anew: what it has in memory still answers, reads wait. */
  #serving = Promise.withResolvers<void>();
  #isServing = false;
  #gapReason: GapReason = 'diverged';
  #ageClock: AgeClock | undefined;
  #settleAgainMs = Number.NEGATIVE_INFINITY;
  #closed = false;
  /** The view on its way to be made anew. */
  #making: Promise<void> | undefined;
  readonly #events: ApplyEvents;

  constructor(options: ViewOptions) {
    this.#options = options;
    this.#epoch = options.constants.epochs[0] as string;
    this.#keeper = new StoreKeeper(options.store);
    this.#followers = new Followers((error) =>
      trouble(options, 'follower_failed', 'a follower of the view failed', error),
    );
    this.#arrivals = new Arrivals(options.env);
    this.#events = {
      onRecords: (channel, records) => this.#followers.tell(channel, (follower) => follower.onRecords(records)),
      onFloor: (channel, floor) => this.#followers.tell(channel, (follower) => follower.onFloor(floor)),
      onClosed: (channel) => this.#followers.tell(channel, (follower) => follower.onClosed()),
      onVerdict: (ticket, verdict, record) => this.#followers.guard(() => options.onVerdict(ticket, verdict, record)),
    };
  }

  // Reads

  state(channel: string): ChannelState {
    const { channels } = this.#lifeNow();
    if (!this.#isServing && !channels.has(channel)) throw awayError();
    try {
      return channels.state(channel);
    } catch (error) {
      this.#onDamage(this.#lifeNow(), error);
      throw awayError(error);
    }
  }

  async read(channel: string, request: PageRequest): Promise<Page> {
    return await this.#fromPages((pages) => pages.read(channel, request));
  }

  async tagAt(channel: string, position: Position): Promise<Tag | undefined> {
    return await this.#fromPages((pages) => pages.tagAt(channel, position));
  }

  follow(channel: string, follower: Follower): () => void {
    return this.#followers.add(channel, follower);
  }

  findRid(channel: string, user: string | undefined, rid: string): Verdict | undefined {
    const { fold, applier } = this.#lifeNow();
    return fold.findRid(channel, user, rid, positionNumber(applier.position) + 1);
  }

  ridWindowMs(): number {
    const { applier, parts, writer } = this.#lifeNow();
    const at = positionNumber(applier.position);
    if (writer.applied.start === undefined && at <= this.#options.constants.window) return RID_WINDOW_MS_MAX;
    const oldestMs = parts.oldestMs(at);
    return Math.max(0, Math.min(RID_WINDOW_MS_MAX, this.#options.env.now() - (oldestMs ?? Number.POSITIVE_INFINITY)));
  }

  reach(_channel: string, position: Position, deadlineMs: number): Promise<boolean> {
    if (this.#lifeNow().applier.position >= position) return Promise.resolve(true);
    return this.#arrivals.wait(position, deadlineMs);
  }

  applied(_channel: string): Position {
    return this.#lifeNow().applier.position;
  }

  async logNewest(_channel: string): Promise<Position> {
    return (await this.#options.log.bounds(0)).newest;
  }

  // Beginning and end

  async open(): Promise<void> {
    try {
      await this.#keeper.open();
    } catch (error) {
      if (!(error instanceof StoreError) || error.reason !== 'damaged') throw error;
      await this.#setAside(error.message);
    }
    // Whatever ends before it serves rejects this; it is awaited below.
    this.#serving.promise.catch(() => {});
    await this.#begin(undefined);
    await this.#serving.promise;
  }

  async flush(): Promise<boolean> {
    return await this.#lifeNow().writer.flush();
  }

  async tidy(): Promise<void> {
    const { upkeep } = this.#lifeNow();
    await upkeep.idle();
    await upkeep.round();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#arrivals.close();
    this.#serving.promise.catch(() => {});
    this.#serving.reject(closedError());
    await this.#making;
    if (this.#life !== undefined) await endLife(this.#life, true);
    await this.#keeper.end();
  }

  /** Begins a life from what the store holds; `before` answers from memory until the new one has come as far. */
  async #begin(before: Life | undefined): Promise<void> {
    const { log, env } = this.#options;
    let found = this.#readStore();
    if (found !== undefined && found.epoch !== this.#epoch) {
      await this.#setAside(`the view is of epoch ${found.epoch}, the log's is ${this.#epoch}`);
      found = undefined;
    }
    const bounds = await log.bounds(0);
    const applied = found ?? firstApplied(this.#options, bounds.fromGenesis ? POSITION_ZERO : bounds.oldest);
    const told = before?.applier.position ?? bounds.newest;
    this.#ageClock ??= new AgeClock(env, found?.nowMs, (message) => trouble(this.#options, 'clock_in_doubt', message));
    const life = await beginLife(this.#options, {
      keeper: this.#keeper,
      applied,
      goal: told < bounds.newest ? told : bounds.newest,
      ageClock: this.#ageClock,
      events: {
        isFollowed: (channel) => this.#followers.has(channel),
        onFloor: (channel, floor) => this.#events.onFloor(channel, floor),
        onWritten: (written) => {
          this.#settleIfWanted(written).catch((error: unknown) =>
            trouble(this.#options, 'upkeep_failed', 'the log could not be told what is settled', error),
          );
        },
        onUpkeepFailed: (failed, error) => {
          if (failed.ended || this.#onDamage(failed, error)) return;
          trouble(this.#options, 'upkeep_failed', 'the view could not tidy up a channel', error);
        },
        onLost: (lost) => this.#makeAnew(lost, 'the store lacks what it had confirmed', false),
      },
    });
    try {
      await this.#attach(life);
    } catch (error) {
      const reason = error instanceof TailError ? gapReasonOf(error) : undefined;
      if (reason === undefined || found === undefined) throw error;
      this.#gapReason = reason;
      await endLife(life, false);
      await this.#setAside(`the view does not continue the log: ${(error as TailError).message}`);
      return await this.#begin(before);
    }
    // Read from a freshly opened store, so the log may rely on it.
    if (found !== undefined) await log.settled(0, found.position);
    if (this.#closed) await endLife(life, false);
    else this.#serveWhenThere(life);
  }

  async #attach(life: Life): Promise<void> {
    const { position, tag } = life.applier;
    const start =
      life.writer.applied.serial === 0 && position === life.writer.applied.base ? 'oldest' : { position, tag };
    life.tail = await this.#options.log.tail(
      0,
      start,
      (batch) => this.#onBatch(life, batch),
      (error) => this.#onTailError(life, error),
    );
    if (life.ended) await life.tail.stop();
  }

  // What the log gives

  #onBatch(life: Life, batch: readonly TailRecord[]): Promise<void> | undefined {
    if (life.ended) return undefined;
    try {
      this.#apply(life, batch);
    } catch (error) {
      // Nothing of the batch was done: it needs a meta that cannot be read now.
      if (error instanceof StoreAwayError) return this.#keeper.present().then(() => this.#onBatch(life, batch));
      if (!(error instanceof StoreError)) throw error;
      if (this.#onDamage(life, error)) return undefined;
      trouble(this.#options, 'store_failed', 'the view cannot read its store, and tries again', error);
      return new Promise<void>((resolve) => this.#options.env.setTimer(RETRY_MS, resolve)).then(() =>
        this.#onBatch(life, batch),
      );
    }
    return life.writer.wrote();
  }

  #apply(life: Life, batch: readonly TailRecord[]): void {
    let loud = batch;
    if (life !== this.#life || !this.#isServing) {
      const split = batch.findIndex((item) => item.position > life.goal);
      const told = split < 0 ? batch : batch.slice(0, split);
      life.applier.apply(told, SILENT);
      this.#serveWhenThere(life);
      if (split < 0) return;
      loud = batch.slice(split);
    }
    life.applier.apply(loud, this.#events);
    this.#arrivals.arrived(life.applier.position);
  }

  #serveWhenThere(life: Life): void {
    if (this.#isServing || life.ended || life.applier.position < life.goal) return;
    const before = this.#life;
    this.#life = life;
    this.#isServing = true;
    this.#serving.resolve();
    life.upkeep.start();
    if (before !== undefined) this.#tellChanges(before, life);
    this.#arrivals.arrived(life.applier.position);
  }

  /** The log goes on, or something else took its place: followers of channels that changed take it up from there. */
  #tellChanges(before: Life, life: Life): void {
    trouble(this.#options, 'view_rebuilt', `the view was made anew from the log up to ${life.applier.position}`);
    for (const name of this.#followers.channels()) {
      const was = before.channels.has(name) ? before.channels.state(name) : undefined;
      const is = life.channels.state(name);
      if (was?.head !== is.head) {
        this.#followers.tell(name, (follower) => follower.onGap({ cursor: is.floor, reason: this.#gapReason }));
      } else if (was !== undefined && was.floor !== is.floor)
        this.#followers.tell(name, (follower) => follower.onFloor(is.floor));
    }
  }

  #onTailError(life: Life, error: TailError): void {
    if (life.ended || this.#closed) return;
    const reason = gapReasonOf(error);
    if (reason !== undefined) {
      this.#gapReason = reason;
      this.#makeAnew(life, error.message, true);
      return;
    }
    if (this.#life === undefined) {
      // Not even begun: whoever opens the view is told.
      this.#serving.reject(error);
      return;
    }
    trouble(this.#options, 'tail_ended', 'the view gets nothing from the log, and tries again', error);
    this.#options.env.setTimer(RETRY_MS, () => {
      if (life.ended || this.#closed) return;
      this.#attach(life).catch((again: unknown) =>
        this.#onTailError(life, again instanceof TailError ? again : new TailError('unavailable', String(again))),
      );
    });
  }

  // When the store is lost

  /** True when the error says that the store is damaged: the view is then made anew from the log. */
  #onDamage(life: Life, error: unknown): boolean {
    if (!(error instanceof StoreError) || error.reason !== 'damaged') return false;
    this.#makeAnew(life, error.message, true);
    return true;
  }

  /** Ends a life and begins the next from what the store holds, or from the log alone. */
  #makeAnew(life: Life, why: string, setAside: boolean): void {
    if (life.ended || this.#closed) return;
    if (this.#isServing) this.#serving = Promise.withResolvers();
    this.#isServing = false;
    let toSetAside = setAside;
    const again = async (): Promise<void> => {
      await endLife(life, false);
      if (toSetAside) await this.#setAside(why);
      toSetAside = false;
      await this.#begin(this.#life);
    };
    const attempt = (): void => {
      if (this.#closed) return;
      this.#making = again().catch((error: unknown) => {
        if (this.#closed) return;
        trouble(this.#options, 'store_failed', 'the view cannot be made anew yet, and tries again', error);
        this.#options.env.setTimer(RETRY_MS, attempt);
      });
    };
    life.ended = true;
    attempt();
  }

  async #setAside(why: string): Promise<void> {
    const where = await this.#keeper.startEmpty();
    trouble(this.#options, 'store_set_aside', `${why}: the store was moved to ${where}, the view is made from the log`);
  }

  /** What the store says; a store that cannot be read is as good as none. */
  #readStore(): Applied | undefined {
    return readApplied(this.#keeper);
  }

  /** Opens the store anew so that the log may let go of what it holds. */
  async #settleIfWanted(life: Life): Promise<void> {
    const { log, env } = this.#options;
    if (!log.wantsSettled || life !== this.#life || !this.#isServing) return;
    const startedMs = env.monotonicMs();
    if (startedMs < this.#settleAgainMs) return;
    this.#settleAgainMs = Number.POSITIVE_INFINITY;
    const applied = await life.writer.reopened();
    const nowMs = env.monotonicMs();
    this.#settleAgainMs = nowMs + (nowMs - startedMs) / SETTLE_SHARE;
    if (applied !== undefined && !this.#closed) await log.settled(0, applied.position);
  }

  // Small things

  #lifeNow(): Life {
    if (this.#life === undefined) throw new Error('the view is not open');
    return this.#life;
  }

  async #fromPages<T>(read: (pages: Pages) => Promise<T>): Promise<T> {
    for (;;) {
      await this.#serving.promise;
      if (this.#closed) throw closedError();
      const life = this.#lifeNow();
      try {
        return await read(life.pages);
      } catch (error) {
        // What a life that has ended read says nothing: it is read again from the next one.
        if (!life.ended && !this.#onDamage(life, error)) throw error;
      }
    }
  }
}

function closedError(): TidewayError {
  return new TidewayError('going_away', 'the view is closed');
}

function awayError(cause?: unknown): TidewayError {
  return new TidewayError('behind', "the view's store is being opened anew", { retryMs: RETRY_MS, cause });
}
