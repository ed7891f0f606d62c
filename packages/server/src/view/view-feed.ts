/** The feed of a partition as its view serves it: from the life that is now, in its epoch. */
import type { Position, Tag } from '../log/log.ts';
import type { Arrivals } from './followers.ts';
import type { Life } from './life.ts';
import { newestOfLog } from './log-bounds.ts';
import { notHereError } from './refusals.ts';
import type { ViewLog } from './view-log.ts';
import type { Feed, FeedPage, FeedRequest } from './view.ts';

export class ViewFeed implements Feed {
  readonly #lifeNow: () => Life;
  readonly #arrivals: Arrivals;
  readonly #logNewest: () => Promise<Position | undefined>;
  readonly #fromLife: <T>(read: (life: Life) => Promise<T>) => Promise<T>;
  readonly #listeners = new Set<(channel: string) => void>();

  constructor(parts: {
    /** The life whose memory is true. */
    readonly lifeNow: () => Life;
    readonly arrivals: Arrivals;
    readonly log: ViewLog;
    readonly partition: number;
    /** What `read` makes of the life that serves. */
    readonly fromLife: <T>(read: (life: Life) => Promise<T>) => Promise<T>;
  }) {
    this.#lifeNow = parts.lifeNow;
    this.#arrivals = parts.arrivals;
    this.#logNewest = () => newestOfLog(parts.log, parts.partition);
    this.#fromLife = parts.fromLife;
  }

  get epoch(): string {
    return this.#lifeNow().feed.epoch;
  }

  get applied(): Position {
    return this.#lifeNow().applier.position;
  }

  get baseIsFinal(): boolean {
    return this.#lifeNow().channels.floorIsFinal;
  }

  base(): Promise<string> {
    return this.#fromLife(({ feed }) => feed.base());
  }

  newest(): Promise<string> {
    return this.#fromLife(({ feed }) => feed.newest());
  }

  logNewest(): Promise<Position | undefined> {
    return this.#logNewest();
  }

  reach(position: Position, deadlineMs: number): Promise<boolean> {
    return this.applied >= position ? Promise.resolve(true) : this.#arrivals.wait(position, deadlineMs);
  }

  tagAt(position: Position): Promise<Tag | undefined> {
    return this.#fromLife(({ feed }) => feed.tagAt(position));
  }

  lagBehind(position: Position): number {
    return this.#lifeNow().feed.lagBehind(position);
  }

  read(request: FeedRequest): Promise<FeedPage> {
    return this.#fromLife((life) => {
      if (!request.after.startsWith(life.feed.epoch)) throw notHereError();
      return life.feed.read(request);
    });
  }

  follow(onRecords: (channel: string) => void): () => void {
    // Each call has an entry of its own, also where a function is given twice.
    const listener = (channel: string): void => onRecords(channel);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Records of the channel were applied. */
  tell(channel: string): void {
    for (const listener of this.#listeners) listener(channel);
  }
}
