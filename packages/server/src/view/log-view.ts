/**
 * The view of one partition of a log: serves every read from the life that is now, and tells followers and appenders
 * what was applied. How a life begins, and is made anew from the log, is `lives.ts`; what serves while that takes long is
 * `forerunner.ts`.
 */
import { pause } from '../env.ts';
import { TailError, type Position, type Tag } from '../log/log.ts';
import type { ApplyEvents } from './applier.ts';
import { Arrivals, Followers } from './followers.ts';
import { Forerunner, forerunFrom } from './forerunner.ts';
import { ridWindowMsOf, trouble, type Life, type ViewOptions } from './life.ts';
import { Lives } from './lives.ts';
import { positionNumber } from './packed-place.ts';
import { awayError, closedError } from './refusals.ts';
import { ViewFeed } from './view-feed.ts';
import { untilGivenUp } from './view-log.ts';
import type { ChannelState, Follower, LogView, Page, PageRequest, Verdict } from './view.ts';

export type { ViewOptions, ViewTrouble } from './life.ts';
export type { LogView } from './view.ts';

const RETRY_MS = 1_000;

/**
 * Opens the view; resolves when it, or its forerunner, has applied what the log holds now, and waits for a log that is
 * away, until `givenUp` is aborted. Throws in words when its store cannot be used, or where the log is away for good, with
 * nothing left open.
 * `state` throws `behind`, with `retryMs`, for a channel that is not in memory while the store is opened anew: some
 * milliseconds after the log let go of old segments, or for as long as a full disk does not let it open.
 */
export async function createView(options: ViewOptions): Promise<LogView> {
  const { log, givenUp } = options;
  const view = new OnePartitionView(givenUp === undefined ? options : { ...options, log: untilGivenUp(log, givenUp) });
  try {
    await view.open();
  } catch (error) {
    await view.close();
    throw error;
  }
  return view;
}

class OnePartitionView implements LogView {
  readonly #options: ViewOptions;
  readonly #followers: Followers;
  readonly #arrivals: Arrivals;
  readonly #events: ApplyEvents;
  /** The view's own. */
  readonly #whole: Lives;
  /** Those that serve: the view's own, or its forerunner's. */
  #lives: Lives;
  #forerunner: Forerunner | undefined;
  /** The end of a forerunner, on its way. */
  #ending: Promise<void> | undefined;
  readonly #feed: ViewFeed;
  readonly feeds: readonly ViewFeed[];
  #closed = false;

  constructor(options: ViewOptions) {
    this.#options = options;
    this.#followers = new Followers((error) =>
      trouble(options, 'follower_failed', 'a follower of the view failed', error),
    );
    this.#arrivals = new Arrivals(options.env);
    this.#events = {
      onRecords: (channel, records) => {
        this.#followers.tell(channel, (follower) => follower.onRecords(records));
        this.#followers.guard(() => this.#feed.tell(channel));
      },
      onFloor: (channel, floor) => this.#followers.tell(channel, (follower) => follower.onFloor(floor)),
      onClosed: (channel) => this.#followers.tell(channel, (follower) => follower.onClosed()),
      onVerdict: (ticket, verdict, record) => this.#followers.guard(() => options.onVerdict(ticket, verdict, record)),
    };
    this.#whole = new Lives(options, this.#followers, this.#arrivals, this.#events, undefined);
    this.#lives = this.#whole;
    this.#feed = new ViewFeed({
      lifeNow: () => this.#lives.now,
      arrivals: this.#arrivals,
      log: options.log,
      partition: options.partition ?? 0,
      fromLife: (read) => this.#fromLife(read),
    });
    this.feeds = [this.#feed];
  }

  // Reads

  ready(): undefined {
    return undefined;
  }

  life(_channel: string): object {
    return this.#lives.now;
  }

  state(channel: string): ChannelState {
    const life = this.#lives.now;
    if (!this.#lives.isServing && !life.channels.has(channel)) throw awayError();
    try {
      return life.channels.state(channel);
    } catch (error) {
      this.#lives.endIfDamaged(life, error);
      throw awayError(error);
    }
  }

  async read(channel: string, request: PageRequest): Promise<Page> {
    return await this.#fromLife(({ pages }) => pages.read(channel, request));
  }

  async tagAt(channel: string, position: Position): Promise<Tag | undefined> {
    return await this.#fromLife(({ pages }) => pages.tagAt(channel, position));
  }

  follow(channel: string, follower: Follower): () => void {
    return this.#followers.add(channel, follower);
  }

  findRid(channel: string, user: string | undefined, rid: string): Verdict | undefined {
    const { fold, applier } = this.#lives.now;
    return fold.findRid(channel, user, rid, positionNumber(applier.position) + 1);
  }

  ridWindowMs(): number {
    return ridWindowMsOf(this.#lives.now, this.#options);
  }

  reach(_channel: string, position: Position, deadlineMs: number): Promise<boolean> {
    if (this.#lives.now.applier.position >= position) return Promise.resolve(true);
    return this.#arrivals.wait(position, deadlineMs);
  }

  applied(_channel: string): Position {
    return this.#lives.now.applier.position;
  }

  get isStalled(): boolean {
    return this.#lives.isStalled;
  }

  get toFill(): number {
    return this.#whole.toFill;
  }

  logNewest(_channel: string): Promise<Position | undefined> {
    return this.#feed.logNewest();
  }

  // Beginning and end

  async open(): Promise<void> {
    const { env, givenUp } = this.#options;
    const applied = await this.#whole.openStore();
    for (;;) {
      try {
        return await this.#begin(applied);
      } catch (error) {
        if (givenUp?.aborted === true || !isAway(error)) throw error;
        trouble(this.#options, 'tail_ended', 'the log went away before the view knew anything of it', error);
      }
      if (!(await pause(env, RETRY_MS, givenUp))) throw closedError();
    }
  }

  /** Rejects with a `TailError` that is `unavailable` where nothing is known of the log and it cannot be asked. */
  async #begin(applied: Position | undefined): Promise<void> {
    const forerunner = await this.#forerun(applied);
    if (forerunner?.lives.isServing !== true) {
      await forerunner?.close();
      return await this.#whole.begin();
    }
    this.#forerunner = forerunner;
    this.#lives = forerunner.lives;
    this.#whole.fill(forerunner.lives.now, () => this.#takeOver());
  }

  async #forerun(applied: Position | undefined): Promise<Forerunner | undefined> {
    const { forerunStore } = this.#options;
    if (forerunStore === undefined) return undefined;
    // One that was killed has left its store.
    await forerunStore.remove();
    const from = await forerunFrom(this.#options, applied);
    if (from === undefined) return undefined;
    return await Forerunner.open(
      { ...this.#options, forerunStore },
      {
        from,
        followers: this.#followers,
        arrivals: this.#arrivals,
        events: this.#events,
        onBreak: (why) => {
          if (this.#forerunner === undefined) return;
          this.#takeOver();
          this.#whole.loseForerunner(why);
        },
      },
    );
  }

  /** From now on the view itself answers. */
  #takeOver(): void {
    const forerunner = this.#forerunner;
    this.#forerunner = undefined;
    this.#lives = this.#whole;
    this.#ending = forerunner
      ?.close()
      .catch((error: unknown) =>
        trouble(this.#options, 'forerunner_failed', 'its store is left until the next start', error),
      );
  }

  async flush(): Promise<boolean> {
    return await this.#lives.now.writer.flush();
  }

  async tidy(): Promise<void> {
    const { upkeep } = this.#lives.now;
    await upkeep.idle();
    await upkeep.round();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#arrivals.close();
    await this.#ending;
    await this.#forerunner?.close();
    await this.#whole.close();
  }

  async #fromLife<T>(read: (life: Life) => Promise<T>): Promise<T> {
    for (;;) {
      const lives = this.#lives;
      const life = await lives.serving().catch((error: unknown) => {
        if (lives === this.#lives) throw error;
      });
      // A forerunner that ended while it was waited for.
      if (life === undefined) continue;
      try {
        const found = await read(life);
        // What a life that has ended read says nothing: it is read again from the next one.
        if (!life.ended || this.#closed) return found;
      } catch (error) {
        if (!life.ended && !lives.endIfDamaged(life, error)) throw error;
      }
    }
  }
}

/** The log is expected to come by itself. */
function isAway(error: unknown): error is TailError {
  return error instanceof TailError && error.reason === 'unavailable' && !error.isFinal;
}
