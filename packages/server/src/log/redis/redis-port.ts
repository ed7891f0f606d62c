/**
 * The log on Redis Streams, standalone or Cluster: one stream a partition, `{<name>:<partition>}:records`, appended to
 * by a script, numbered by Redis (redis-scripts.ts). The witness of contiguity are the numbers themselves: they have no
 * hole. What is the same for all brokers is in `broker/`.
 */
import { limits } from '@tideway/protocol';
import { type Env, nodeEnv } from '../../env.ts';
import { TailError, type AppendOutcome, type LogDeclaration } from '../log.ts';
import { positionOf } from '../position.ts';
import {
  BrokerError,
  type BrokerPort,
  type FollowEvents,
  type Following,
  type PortBounds,
  type StoredConstants,
  type StoredRecord,
} from '../broker/broker-port.ts';
import type { NativeRecord } from '../broker/native-record.ts';
import { placeOf, type RedisAddress } from './redis-address.ts';
import type { ConnectionTimes } from './redis-connection.ts';
import { numberOfId, pushFields } from './redis-entries.ts';
import { isFinalError, RedisReplyError } from './redis-errors.ts';
import { FormerConnections } from './redis-former.ts';
import { RedisLink } from './redis-link.ts';
import { RedisPages } from './redis-pages.ts';
import { askKeeping, storedSurvives, type RedisKeeping } from './redis-promise.ts';
import { appendScript, boundsScript, trimScript } from './redis-scripts.ts';
import { RedisSignals, type SignalListener } from './redis-signals.ts';

export interface RedisPortOptions {
  readonly env?: Env;
  readonly times?: Partial<ConnectionTimes>;
}

const CONNECT_MS = 9_500;
/** A connection that says nothing is found within the sum of the two. */
const TIMES: ConnectionTimes = { answerMs: 5_000, probeMs: 2_500 };
/** How long replicas may take; while it is waited for, the connection answers nothing else. */
const REPLICAS_MS = 1_000;

export class RedisPort implements BrokerPort {
  readonly place: string;
  readonly countsDensely = true;
  /** Redis gives a record to those who wait for it in the same breath as its answer: after its file, before replicas. */
  readonly seenIsStored: boolean;
  onDown: ((error: Error) => void) | undefined;
  readonly #address: RedisAddress;
  readonly #env: Env;
  readonly #times: ConnectionTimes;
  readonly #signals: RedisSignals;
  readonly #pages = new RedisPages();
  #link: RedisLink | undefined;
  /** Counts what begins or ends a connection: what an earlier one still brings is not wanted. */
  #turn = 0;
  #opening: AbortController | undefined;
  readonly #former = new FormerConnections();
  /** Of the link before. */
  #known: StoredConstants | undefined;
  #keeping: RedisKeeping | undefined;

  constructor(address: RedisAddress, options: RedisPortOptions = {}) {
    this.#address = address;
    this.#env = options.env ?? nodeEnv;
    this.#times = { ...TIMES, ...options.times };
    this.#signals = new RedisSignals(address.name);
    this.place = placeOf(address);
    this.seenIsStored = address.replicas === 0;
  }

  /** Says more once it was connected: then the servers' settings are known. */
  get declares(): LogDeclaration {
    return {
      storedSurvives: storedSurvives(this.#keeping, this.#address.replicas),
      durable: true,
      mayRewind: true,
      contiguity: 'the ids of a stream, which Redis counts without a hole (0-1, 0-2, 0-3 …)',
      detectMs: this.#times.probeMs + this.#times.answerMs,
      recordBytesMax: limits.recordBytesMax,
    };
  }

  async connect(wanted: StoredConstants): Promise<StoredConstants> {
    const turn = ++this.#turn;
    this.#link?.end(new Error(`${this.place}: it is connected anew`));
    this.#link = undefined;
    this.#opening?.abort();
    const givenUp = new AbortController();
    this.#opening = givenUp;
    const opening = RedisLink.open({
      address: this.#address,
      times: { ...this.#times, givenUp: givenUp.signal },
      env: this.#env,
      signals: this.#signals,
      former: this.#former,
      wanted,
      known: this.#known,
    });
    try {
      const link = await this.#within(CONNECT_MS, opening, undefined);
      if (link === undefined) {
        givenUp.abort();
        opening.then((late) => late.end(new Error('it came too late'))).catch(() => {});
        throw new Error(`no connection within ${CONNECT_MS} ms`);
      }
      this.#keeping = await askKeeping(link.servers.connections());
      if (turn !== this.#turn) link.end(new Error('given up'));
      if (link.reason !== undefined) throw link.reason;
      link.onEnd = (error) => this.#down(link, error);
      this.#link = link;
      this.#known = link.constants;
      return this.#known;
    } catch (error) {
      const reason = turn === this.#turn ? (error as Error).message : 'the log was closed meanwhile';
      throw new BrokerError(`${this.place}: ${reason}`, { isFinal: isFinalError(error), cause: error });
    }
  }

  async append(
    partition: number,
    records: readonly NativeRecord[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const late = { state: 'unknown', message: `${this.place}: no answer within ${deadlineMs} ms` } as const;
    const outcome = await this.#within(deadlineMs, this.#append(partition, records, deadlineMs), late);
    return records.map(() => outcome);
  }

  async read(partition: number, after: number, limit: number): Promise<readonly StoredRecord[]> {
    const records = await this.#from(partition, after + 1, limit);
    if (startsAt(records, after + 1)) return records;
    const { oldest, newest } = await this.bounds(partition);
    if (records.length === 0 && newest <= after) return [];
    if (after < oldest) {
      const message = `records after ${after} were trimmed; the oldest kept follows ${oldest}`;
      throw new TailError('trimmed', message, { oldest: positionOf(oldest) });
    }
    // What was added between the two questions is no hole.
    const again = await this.#from(partition, after + 1, limit);
    if (startsAt(again, after + 1)) return again;
    throw new TailError('damaged', `record ${after + 1} is missing, and it was not trimmed`);
  }

  async at(partition: number, number: number): Promise<StoredRecord | undefined> {
    const [record] = await this.#from(partition, number, 1);
    return record?.number === number ? record : undefined;
  }

  async bounds(partition: number): Promise<PortBounds> {
    const reply = this.#read(partition, async (link) => {
      const [ids] = await Promise.all([link.run(partition, boundsScript, []), link.assertPrimary(partition)]);
      return ids as readonly Buffer[];
    });
    const [first, last] = (await reply).map((id) => numberOfId(id));
    const newest = last ?? first ?? 0;
    return { oldest: first === undefined ? newest : first - 1, newest };
  }

  async follow(partition: number, after: number, events: FollowEvents): Promise<Following> {
    const link = this.#connected();
    const { key, follower } = await link.follower(partition);
    return follower.follow(key, after, events, (from, limit) => this.read(partition, from, limit));
  }

  async trim(partition: number, upTo: number): Promise<void> {
    await this.#read(partition, (link) => link.run(partition, trimScript, [upTo]));
  }

  signal(subject: string, bytes: Buffer): void {
    const { servers } = this.#link ?? {};
    if (servers?.isConnected === true) this.#signals.send(servers.any(), subject, bytes);
  }

  onSignal(subject: string, listener: SignalListener): Promise<() => void> {
    return this.#signals.on(subject, listener);
  }

  close(): Promise<void> {
    this.#turn++;
    this.#opening?.abort();
    this.#link?.end(new Error(`${this.place}: the log is closed`));
    this.#link = undefined;
    return Promise.resolve();
  }

  /** Never rejects. */
  async #append(partition: number, records: readonly NativeRecord[], deadlineMs: number): Promise<AppendOutcome> {
    const link = this.#link;
    const away = link === undefined ? new Error('there is no connection') : link.whyAway(partition);
    if (link === undefined || away !== undefined) {
      return { state: 'refused', code: 'not_durable', message: this.#named(away).message };
    }
    const fields: (string | Buffer)[] = [];
    for (const record of records) pushFields(record, fields);
    const { replicas } = this.#address;
    let isWritten = false;
    try {
      const reached = await link.ask(partition, async ({ connection }, { key, group }) => {
        await connection.run(appendScript, key, [group, ...fields]);
        isWritten = true;
        if (replicas === 0) return 0;
        return Number(await connection.command('WAIT', replicas, Math.min(deadlineMs, REPLICAS_MS)));
      });
      if (reached >= replicas) return { state: 'stored' };
      return { state: 'unknown', message: `${this.place}: ${reached} of ${replicas} replicas have received it` };
    } catch (error) {
      const { message } = this.#named(error);
      // An error of Redis comes before the first record is written.
      if (error instanceof RedisReplyError && !isWritten) return { state: 'refused', code: 'not_durable', message };
      return { state: 'unknown', message };
    }
  }

  #from(partition: number, number: number, limit: number): Promise<readonly StoredRecord[]> {
    return this.#read(partition, (link) => this.#pages.from(link, partition, number, limit));
  }

  async #read<T>(partition: number, ask: (link: RedisLink) => Promise<T>): Promise<T> {
    const link = this.#connected();
    try {
      return await ask(link);
    } catch (error) {
      if (error instanceof TailError || error instanceof RangeError) throw error;
      const { message } = this.#named(error);
      const isEpoch = error instanceof RedisReplyError && error.kind === 'NOGROUP';
      throw new TailError(isEpoch ? 'epoch' : 'unavailable', `partition ${partition}: ${message}`, { cause: error });
    }
  }

  #connected(): RedisLink {
    if (this.#link === undefined) throw new TailError('unavailable', `${this.place}: there is no connection`);
    return this.#link;
  }

  #within<T, L>(deadlineMs: number, answer: Promise<T>, late: L): Promise<T | L> {
    return new Promise((resolve, reject) => {
      const cancel = this.#env.setTimer(deadlineMs, () => resolve(late));
      answer.then(resolve, reject).finally(cancel);
    });
  }

  #named(error: unknown): Error {
    return new Error(`${this.place}: ${(error as Error).message}`, { cause: error });
  }

  #down(link: RedisLink, error: Error): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.onDown?.(this.#named(error));
  }
}

/** Whether these are the records from a number on. Throws a `TailError` for a hole among them. */
function startsAt(records: readonly StoredRecord[], number: number): boolean {
  if (records[0]?.number !== number) return false;
  records.forEach((record, i) => {
    if (record.number === number + i) return;
    throw new TailError('damaged', `record ${number + i} is missing; ${record.number} stands in its place`);
  });
  return true;
}
