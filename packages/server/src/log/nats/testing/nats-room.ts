/** What a test of the port works with: a port on a name of its own, records for it, and a reader of what it follows. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { formatEpoch } from '@tideway/protocol';
import { nodeEnv } from '../../../env.ts';
import type { Following, StoredConstants, StoredRecord } from '../../broker/broker-port.ts';
import { toNative, type NativeRecord } from '../../broker/native-record.ts';
import type { AppendOutcome, PhysicalRecord } from '../../log.ts';
import { parseNatsAddress } from '../nats-address.ts';
import { NatsPort } from '../nats-port.ts';

const DEADLINE_MS = 60_000;
export const APPEND_MS = 30_000;

/** The promise's value, or an error that names what was waited for. */
export function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const late = new Error(`waited ${DEADLINE_MS} ms for ${what}`);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late), DEADLINE_MS);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Tries until it works: a cluster chooses leaders for some seconds. */
export function eventually<T>(t: Pick<TestContext, 'waitFor'>, work: () => Promise<T>): Promise<T> {
  return t.waitFor(work, { interval: 100, timeout: DEADLINE_MS });
}

let names = 0;

/** A name that no other log of this run has. */
export function newName(): string {
  return `t${process.pid}-${++names}`;
}

export function wantedConstants(partitions: number): StoredConstants {
  return {
    format: 1,
    window: 65_536,
    partitions: Array.from({ length: partitions }, () => ({ epoch: formatEpoch(nodeEnv.randomBytes(6)) })),
  };
}

/** A port, connected, with what it was told. */
export class NatsRoom {
  readonly port: NatsPort;
  readonly wanted: StoredConstants;
  readonly downs: Error[] = [];
  #look: (() => void) | undefined;

  constructor(url: string) {
    const address = parseNatsAddress(url);
    this.port = new NatsPort(address);
    this.wanted = wantedConstants(address.partitions ?? 8);
    this.port.onDown = (error) => {
      this.downs.push(error);
      this.#look?.();
    };
  }

  static async open(url: string): Promise<NatsRoom> {
    const room = new NatsRoom(url);
    await room.port.connect(room.wanted);
    return room;
  }

  connect(): Promise<StoredConstants> {
    return this.port.connect(this.wanted);
  }

  async store(partition: number, records: readonly NativeRecord[]): Promise<void> {
    assertStored(await this.port.append(partition, records, APPEND_MS));
  }

  async follow(partition: number, after = 0): Promise<Reading> {
    const reading = new Reading();
    reading.following = await this.port.follow(partition, after, {
      onRecords: (records) => reading.take(records),
      onEnd: (error) => reading.end(error),
    });
    return reading;
  }

  down(): Promise<void> {
    const came = new Promise<void>((resolve) => {
      this.#look = () => this.downs.length > 0 && resolve();
      this.#look();
    });
    return within(came, 'the port to say that it is down');
  }
}

export function assertStored(outcomes: readonly AppendOutcome[]): void {
  for (const outcome of outcomes) assert.deepEqual(outcome, { state: 'stored' });
}

let records = 0;

export function record(channel: string, more: Partial<PhysicalRecord> = {}): NativeRecord {
  const n = ++records;
  return toNative({
    channel,
    kind: 'data',
    encoding: 'json',
    payload: Buffer.from(`{"n":${n}}`),
    time: 1_764_000_000_000 + n,
    rid: `r${n}`,
    ...more,
  });
}

export function recordsOf(channel: string, count: number, more: Partial<PhysicalRecord> = {}): NativeRecord[] {
  return Array.from({ length: count }, () => record(channel, more));
}

export const ridOf = ({ headers }: NativeRecord): string | undefined => headers.get('tideway-rid');

/** What a follower gave. */
export class Reading {
  following: Following | undefined;
  readonly records: StoredRecord[] = [];
  error: Error | undefined;
  onRecords: ((records: readonly StoredRecord[]) => Promise<void> | undefined) | undefined;
  #look: (() => void) | undefined;

  take(records: readonly StoredRecord[]): Promise<void> | undefined {
    assert.equal(this.error, undefined, 'nothing is given after the end');
    for (const one of records) {
      const last = this.records.at(-1);
      if (last !== undefined) assert.equal(one.number, last.number + 1);
      this.records.push(one);
    }
    this.#look?.();
    return this.onRecords?.(records);
  }

  end(error: Error): void {
    assert.equal(this.error, undefined, 'it ends once');
    this.error = error;
    this.#look?.();
  }

  count(count: number): Promise<void> {
    return this.#until(() => this.records.length >= count, `${count} records`);
  }

  async ended(): Promise<Error> {
    await this.#until(() => this.error !== undefined, 'the end');
    return this.error as Error;
  }

  get rids(): (string | undefined)[] {
    return this.records.map((one) => ridOf(one));
  }

  #until(holds: () => boolean, what: string): Promise<void> {
    const came = new Promise<void>((resolve, reject) => {
      this.#look = () => {
        if (holds()) resolve();
        else if (this.error !== undefined) reject(this.error);
      };
      this.#look();
    });
    return within(came, `${what}; ${this.records.length} records came`);
  }
}
