/**
 * Follows partitions of one Redis server over one connection of its own, by `XREAD BLOCK`. Each is first read up to its
 * end, in pages bounded by bytes; then it joins those that are waited for together.
 */
import { TailError } from '../log.ts';
import type { FollowEvents, StoredRecord } from '../broker/broker-port.ts';
import type { RedisConnection } from './redis-connection.ts';
import { readEntries } from './redis-entries.ts';
import { areSmall, LARGE_RECORDS, SMALL_RECORDS } from './redis-page-size.ts';

const READ_RECORDS = 1_024;

/** One partition that is followed. */
class RedisFollowing {
  readonly key: string;
  /** The number of the last record given. */
  after: number;
  readonly #events: FollowEvents;
  readonly #read: (after: number, limit: number) => Promise<readonly StoredRecord[]>;
  readonly #follower: RedisFollower;
  #isOver = false;

  constructor(
    follower: RedisFollower,
    key: string,
    after: number,
    events: FollowEvents,
    read: (after: number, limit: number) => Promise<readonly StoredRecord[]>,
  ) {
    this.key = key;
    this.after = after;
    this.#events = events;
    this.#read = read;
    this.#follower = follower;
  }

  /** Reads up to the end, then waits with the others. */
  async catchUp(): Promise<void> {
    try {
      while (!this.#isOver) {
        const records = await this.#read(this.after, READ_RECORDS);
        if (this.#isOver) return;
        if (records.length === 0) break;
        await this.#give(records);
      }
      if (!this.#isOver) this.#follower.join(this);
    } catch (error) {
      this.end(error as Error);
    }
  }

  /** Takes what was waited for. */
  take(entries: readonly StoredRecord[]): void {
    if (this.#isOver) return;
    try {
      const first = entries[0]?.number ?? 0;
      if (first !== this.after + 1) {
        // Trimmed or damaged: a read finds out which.
        this.#follower.leave(this);
        void this.catchUp();
        return;
      }
      const wait = this.#give(entries);
      if (wait === undefined) return;
      this.#follower.leave(this);
      wait.then(
        () => this.catchUp(),
        (error: unknown) => this.end(error as Error),
      );
    } catch (error) {
      this.end(error as Error);
    }
  }

  stop(): Promise<void> {
    this.#isOver = true;
    this.#follower.forget(this);
    return Promise.resolve();
  }

  end(error: Error): void {
    if (this.#isOver) return;
    void this.stop();
    this.#events.onEnd(error);
  }

  #give(records: readonly StoredRecord[]): Promise<void> | undefined {
    records.forEach(({ number }, i) => {
      if (number === this.after + 1 + i) return;
      throw new TailError('damaged', `record ${this.after + 1 + i} is missing; ${number} stands in its place`);
    });
    this.after += records.length;
    return this.#events.onRecords(records);
  }
}

export class RedisFollower {
  readonly #connection: RedisConnection;
  /** Over which the blocked connection is woken. */
  readonly #commands: RedisConnection;
  readonly #blockMs: number;
  readonly #all = new Set<RedisFollowing>();
  readonly #live = new Map<string, RedisFollowing>();
  /** The read that is under way. */
  #reading: object | undefined;
  #liveRecords = LARGE_RECORDS;

  constructor(connection: RedisConnection, commands: RedisConnection, blockMs: number) {
    this.#connection = connection;
    this.#commands = commands;
    this.#blockMs = blockMs;
  }

  follow(
    key: string,
    after: number,
    events: FollowEvents,
    read: (after: number, limit: number) => Promise<readonly StoredRecord[]>,
  ): RedisFollowing {
    const following = new RedisFollowing(this, key, after, events, read);
    this.#all.add(following);
    void following.catchUp();
    return following;
  }

  join(following: RedisFollowing): void {
    this.#live.set(following.key, following);
    if (this.#reading === undefined) void this.#run();
    else void this.#wake(this.#reading);
  }

  leave(following: RedisFollowing): void {
    if (this.#live.get(following.key) === following) this.#live.delete(following.key);
  }

  forget(following: RedisFollowing): void {
    this.leave(following);
    this.#all.delete(following);
  }

  /** Ends everything that is followed. */
  end(error: Error): void {
    for (const following of this.#all) following.end(error);
    this.#connection.kill(error);
  }

  async #run(): Promise<void> {
    while (this.#live.size > 0 && !this.#connection.isLost) {
      const reading = {};
      this.#reading = reading;
      const live = [...this.#live.values()];
      let reply: unknown;
      try {
        reply = await this.#connection.command(
          'XREAD',
          ...['COUNT', this.#liveRecords, 'BLOCK', this.#blockMs, 'STREAMS'],
          ...live.map(({ key }) => key),
          ...live.map(({ after }) => `0-${after}`),
        );
      } catch (error) {
        this.#connection.kill(error as Error);
        break;
      }
      this.#deliver(reply);
    }
    this.#reading = undefined;
  }

  #deliver(reply: unknown): void {
    if (reply === null) return;
    let isSmall = true;
    for (const [key, entries] of reply as readonly (readonly [Buffer, unknown])[]) {
      const following = this.#live.get(key.toString('latin1'));
      if (following === undefined) continue;
      let stored: readonly StoredRecord[];
      try {
        stored = readEntries(entries);
      } catch (error) {
        following.end(error as Error);
        continue;
      }
      isSmall &&= areSmall(stored);
      following.take(stored);
    }
    this.#liveRecords = isSmall ? SMALL_RECORDS : LARGE_RECORDS;
  }

  /** Makes a blocked read answer, so that the next one waits for all. It may not have reached Redis yet: then again. */
  async #wake(reading: object): Promise<void> {
    while (this.#reading === reading && !this.#connection.isLost) {
      const woken = await this.#commands.command('CLIENT', 'UNBLOCK', this.#connection.id).catch(() => 1);
      if (woken === 1) return;
    }
  }
}
