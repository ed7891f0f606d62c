/** One node's connection to a `FakeBroker`. */
import { limits } from '@tideway/protocol';
import { TailError, type AppendOutcome, type LogDeclaration } from '../../log.ts';
import {
  BrokerError,
  type BrokerPort,
  type FollowEvents,
  type Following,
  type PortBounds,
  type StoredConstants,
  type StoredRecord,
} from '../broker-port.ts';
import type { NativeRecord } from '../native-record.ts';
import type { FakeBroker } from './fake-broker.ts';

interface Connection {
  readonly followers: Set<{ readonly partition: number; readonly end: (error: Error) => void }>;
  readonly lost: PromiseWithResolvers<never>;
}

/** How long a connection may say nothing. */
const WATCHDOG_MS = 5_000;
/** What a follower is given at once, so that batches are cut somewhere. */
const FOLLOW_RECORDS = 100;

export class FakePort implements BrokerPort {
  readonly declares: LogDeclaration = {
    storedSurvives: 'what the test lets it survive',
    durable: true,
    mayRewind: true,
    recordBytesMax: limits.recordBytesMax,
    contiguity: 'an array without holes',
    detectMs: 5_000,
  };
  readonly place: string;
  readonly countsDensely: boolean;
  readonly seenIsStored = true;
  onDown: ((error: Error) => void) | undefined;
  /** What connecting is refused with, for good. */
  refuses: BrokerError | undefined;
  /** The broker serves others, not this node. */
  isCutOff = false;
  /** So many records the next follower's batch leaves out at its beginning. */
  skip = 0;
  /** Followers go on whatever they are told. */
  areDeaf = false;
  failsToFollow: Error | undefined;
  readonly #broker: FakeBroker;
  /** The connection, or none: what was begun on an earlier one fails. */
  #connection: Connection | undefined;
  #isClosed = false;
  readonly #listeners = new Map<string, Set<(bytes: Buffer) => void>>();

  constructor(broker: FakeBroker, name: string) {
    this.#broker = broker;
    this.place = `${name}://memory`;
    this.countsDensely = broker.options.isSparse !== true;
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  async connect(wanted: StoredConstants): Promise<StoredConstants> {
    this.#count('connect');
    await this.#broker.options.delay();
    if (this.refuses !== undefined) throw this.refuses;
    if (this.#isClosed) throw new Error('the port is closed');
    if (!this.#broker.isReachable || this.isCutOff) throw new Error('connection refused');
    if (this.#broker.isHung) {
      await new Promise<void>((resolve) => this.#later(WATCHDOG_MS, resolve));
      throw new Error('the broker accepts and says nothing');
    }
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => undefined);
    this.#connection = { followers: new Set(), lost };
    return this.#broker.keep(wanted);
  }

  async append(
    partition: number,
    records: readonly NativeRecord[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => undefined);
    const cancel = this.#broker.options.setTimer?.(deadlineMs, () => late.reject(new Error('the deadline passed')));
    try {
      const { term } = this.#broker.at(partition);
      const stored = this.#askOf(partition, 'append', () => {
        if (this.#broker.at(partition).term !== term) throw new Error('the leader changed');
        return this.#broker.store(partition, records, this);
      });
      return await Promise.race([stored, late.promise]);
    } catch (error) {
      return records.map(() => ({ state: 'unknown', message: (error as Error).message }));
    } finally {
      cancel?.();
    }
  }

  async read(partition: number, after: number, limit: number): Promise<readonly StoredRecord[]> {
    return await this.#askOf(partition, 'read', () => this.#broker.read(partition, after, limit));
  }

  async at(partition: number, number: number): Promise<StoredRecord | undefined> {
    return await this.#askOf(partition, 'at', () =>
      this.#broker.at(partition).records.find((one) => one.number === number),
    );
  }

  async bounds(partition: number): Promise<PortBounds> {
    return await this.#askOf(partition, 'bounds', () => {
      const { oldest, newest } = this.#broker.at(partition);
      return { oldest, newest };
    });
  }

  async follow(partition: number, after: number, events: FollowEvents): Promise<Following> {
    await this.#askOf(partition, 'follow', () => undefined);
    if (this.failsToFollow !== undefined) throw this.failsToFollow;
    const connection = this.#connection;
    if (connection === undefined) throw new Error('the connection was lost');
    let isStopped = false;
    const end = (error: Error): void => {
      if (isStopped) return;
      isStopped = !this.areDeaf;
      events.onEnd(error);
    };
    const follower = { partition, end };
    connection.followers.add(follower);
    void this.#feed(partition, after, events, () => isStopped, end);
    return {
      stop: () => {
        isStopped = !this.areDeaf;
        connection.followers.delete(follower);
        this.#broker.wake();
        return Promise.resolve();
      },
    };
  }

  async #feed(
    partition: number,
    after: number,
    events: FollowEvents,
    isStopped: () => boolean,
    end: (error: Error) => void,
  ): Promise<void> {
    let given = after;
    try {
      while (!isStopped()) {
        const isHeld = this.#broker.isHung || this.#broker.holdFollowers;
        const records = isHeld ? [] : this.#broker.read(partition, given, FOLLOW_RECORDS);
        if (records.length === 0) {
          await this.#broker.changed();
          continue;
        }
        await this.#broker.options.delay();
        if (isStopped()) return;
        given = (records.at(-1) as StoredRecord).number;
        const skipped = this.skip;
        this.skip = 0;
        await events.onRecords(skipped < records.length ? records.slice(skipped) : records);
      }
    } catch (error) {
      end(error as Error);
    }
  }

  async trim(partition: number, upTo: number): Promise<void> {
    await this.#askOf(partition, 'trim', () => this.#broker.trim(partition, upTo));
  }

  signal(subject: string, bytes: Buffer): void {
    if (this.#connection === undefined) return;
    void this.#broker.options.delay().then(() => {
      for (const port of this.#broker.ports) port.hear(subject, bytes);
    });
  }

  hear(subject: string, bytes: Buffer): void {
    if (this.#connection === undefined) return;
    for (const listener of this.#listeners.get(subject) ?? []) listener(bytes);
  }

  onSignal(subject: string, listener: (bytes: Buffer) => void): Promise<() => void> {
    const listeners = this.#listeners.get(subject) ?? new Set();
    this.#listeners.set(subject, listeners.add(listener));
    return Promise.resolve(() => void listeners.delete(listener));
  }

  /** The connection is lost, as this node sees it. */
  lose(error: Error): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    connection.lost.reject(error);
    for (const { end } of connection.followers) end(error);
    this.onDown?.(error);
  }

  endFollowers(partition: number, error: Error): void {
    for (const follower of this.#connection?.followers ?? []) if (follower.partition === partition) follower.end(error);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.lost.reject(new Error('the port is closed'));
    this.#broker.ports.delete(this);
    return Promise.resolve();
  }

  /** The same, of a partition, by its member. */
  #askOf<T>(partition: number, what: string, answer: () => T | Promise<T>): Promise<T> {
    return this.#ask(what, () => {
      if (this.#broker.away.has(partition)) throw new TailError('unavailable', 'its member is away');
      return answer();
    });
  }

  /** A question and its answer, both on the connection of now. */
  async #ask<T>(what: string, answer: () => T | Promise<T>): Promise<T> {
    this.#count(what);
    const connection = this.#connection;
    if (connection === undefined) throw new Error('not connected');
    const answered = async (): Promise<T> => {
      await this.#arrive();
      if (this.#connection !== connection) await connection.lost.promise;
      const value = await answer();
      await this.#arrive();
      return value;
    };
    return await Promise.race([answered(), connection.lost.promise]);
  }

  #later(delayMs: number, callback: () => void): void {
    const { setTimer } = this.#broker.options;
    if (setTimer === undefined) setImmediate(callback);
    else setTimer(delayMs, callback);
  }

  async #arrive(): Promise<void> {
    await this.#broker.options.delay();
    while (this.#broker.isHung) await this.#broker.changed();
  }

  #count(what: string): void {
    this.#broker.calls.set(what, (this.#broker.calls.get(what) ?? 0) + 1);
  }
}
