/**
 * A broker in memory that does on demand what real ones do to a log: loses connections before, in and after a batch,
 * stores what it never answered, forgets its newest records, trims, is made again, says nothing. Ports to it are
 * nodes' connections; how long anything takes is the test's.
 */
import { TailError, type AppendOutcome } from '../../log.ts';
import { positionOf } from '../../position.ts';
import type { StoredConstants, StoredRecord } from '../broker-port.ts';
import type { NativeRecord } from '../native-record.ts';
import { FakePort } from './fake-port.ts';

/** What happens to a batch, besides being stored. */
export type AppendFault =
  /** The connection is lost when so many of its records are stored; the rest never is. */
  | { readonly fault: 'cut'; readonly stored: number }
  /** The same, but the rest is stored all the same, some time later. */
  | { readonly fault: 'cut-late'; readonly stored: number }
  /** It is stored, and the answer is not known; the connection lives. */
  | { readonly fault: 'no-answer' }
  /** The broker takes so many and refuses the rest. */
  | { readonly fault: 'refuse'; readonly stored: number }
  /** The broker takes so many and refuses the next; what it made of the rest (nothing) is not known. */
  | { readonly fault: 'refuse-one'; readonly stored: number };

export interface FakeBrokerOptions {
  /** Each step of anything takes so long. */
  readonly delay: () => Promise<void>;
  /** Numbers have holes, like those of a log with records that are not ours. */
  readonly isSparse?: boolean;
  /** Where given, deadlines are kept: of an append, and of connecting to a broker that says nothing. */
  readonly setTimer?: (delayMs: number, callback: () => void) => () => void;
}

interface FakePartition {
  records: StoredRecord[];
  /** The number of the last record trimmed. */
  oldest: number;
  newest: number;
  /** Counts leaders: what was sent to an earlier one is not stored by the next. */
  term: number;
}

export class FakeBroker {
  readonly options: FakeBrokerOptions;
  readonly ports = new Set<FakePort>();
  constants: StoredConstants | undefined;
  #partitions: FakePartition[] = [];
  isReachable = true;
  /** Followers are given nothing new. */
  holdFollowers = false;
  /** Partitions whose member is away: the connections live. */
  readonly away = new Set<number>();
  /** Connected, and silent. */
  isHung = false;
  /** Asked before each batch. */
  onAppend: ((partition: number, count: number) => AppendFault | undefined) | undefined;
  /** Records that were stored and answered so. */
  confirmed = 0;
  /** The rids of records that were there and are not any more, save trimmed ones. */
  readonly lost = new Set<string>();
  /** Calls of each kind, for tests that count them. */
  readonly calls = new Map<string, number>();
  #changed = Promise.withResolvers<void>();

  constructor(options: FakeBrokerOptions) {
    this.options = options;
  }

  port(name = 'fake'): FakePort {
    const port = new FakePort(this, name);
    this.ports.add(port);
    return port;
  }

  /** The constants that are kept, or `wanted` where there are none. */
  keep(wanted: StoredConstants): StoredConstants {
    this.constants ??= wanted;
    if (this.#partitions.length === 0) {
      this.#partitions = this.constants.partitions.map(() => ({ records: [], oldest: 0, newest: 0, term: 1 }));
    }
    return this.constants;
  }

  at(partition: number): FakePartition {
    return this.#partitions[partition] as FakePartition;
  }

  async store(partition: number, records: readonly NativeRecord[], port: FakePort): Promise<readonly AppendOutcome[]> {
    const fault = this.onAppend?.(partition, records.length);
    const outcomes: AppendOutcome[] = [];
    const until = fault === undefined || fault.fault === 'no-answer' ? records.length : fault.stored;
    for (const record of records.slice(0, until)) {
      this.put(partition, record);
      outcomes.push({ state: 'stored' });
      this.confirmed++;
    }
    const rest = records.slice(until);
    if (fault?.fault === 'refuse') {
      return [...outcomes, ...rest.map(() => ({ state: 'refused', code: 'not_durable', message: 'no room' }) as const)];
    }
    if (fault?.fault === 'refuse-one') {
      return records.map((_, n) => {
        if (n < until) return { state: 'stored' };
        if (n > until) return { state: 'unknown', message: 'no answer came' };
        return { state: 'refused', code: 'not_durable', message: 'no room' };
      });
    }
    if (fault === undefined) return outcomes;
    if (fault.fault !== 'no-answer') port.lose(new Error('the connection was reset'));
    if (fault.fault === 'cut-late') {
      void this.options.delay().then(() => {
        for (const record of rest) this.put(partition, record);
      });
    }
    return records.map(() => ({ state: 'unknown', message: 'no answer came' }));
  }

  put(partition: number, record: NativeRecord): void {
    const one = this.at(partition);
    one.newest += this.options.isSparse === true ? 1 + (one.newest % 3) : 1;
    one.records.push({ ...record, number: one.newest });
    this.wake();
  }

  /** Up to `limit` records behind a number. */
  read(partition: number, after: number, limit: number): readonly StoredRecord[] {
    const { oldest, records } = this.at(partition);
    if (after < oldest) {
      throw new TailError('trimmed', `records behind ${after} are gone`, { oldest: positionOf(oldest) });
    }
    const from = records.findIndex(({ number }) => number > after);
    return from < 0 ? [] : records.slice(from, from + limit);
  }

  trim(partition: number, upTo: number): void {
    const one = this.at(partition);
    const gone = one.records.findLast(({ number }) => number <= upTo);
    if (gone === undefined) return;
    one.oldest = gone.number;
    one.records = one.records.filter(({ number }) => number > gone.number);
  }

  /** The newest records are gone: what a failover to a stale replica leaves. */
  rewind(partition: number, count: number): void {
    const one = this.at(partition);
    one.term++;
    this.#lose(one.records.splice(Math.max(0, one.records.length - count)));
    one.newest = one.records.at(-1)?.number ?? one.oldest;
  }

  /** Everything is gone, the constants too. */
  wipe(): void {
    for (const { records } of this.#partitions) this.#lose(records);
    this.constants = undefined;
    this.#partitions = [];
    this.cut(new Error('the broker was stopped'));
  }

  /** The partition has another leader: its followers end, the connections live. */
  endFollowers(partition: number): void {
    for (const port of this.ports) port.endFollowers(partition, new Error('the leader changed'));
  }

  /** The member that holds these partitions ends. */
  takeAway(...partitions: readonly number[]): void {
    for (const partition of partitions) {
      this.away.add(partition);
      for (const port of this.ports) port.endFollowers(partition, new Error('its member is away'));
    }
  }

  #lose(records: readonly StoredRecord[]): void {
    for (const { headers } of records) this.lost.add(headers.get('tideway-rid') ?? '');
  }

  /** Every connection is lost. */
  cut(error = new Error('the connection was reset')): void {
    for (const port of this.ports) port.lose(error);
  }

  /** Resolves with the next record, or when something else happened. */
  changed(): Promise<void> {
    return this.#changed.promise;
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
