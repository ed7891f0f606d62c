/** What the tests of Redis share: tests that need its programs, a port on a server, records, and a reader. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { formatEpoch } from '@tideway/protocol';
import { redis } from '../../../../../../scripts/brokers/redis.ts';
import { RedisServer, type RedisServerOptions } from '../../../../../../scripts/brokers/redis-server.ts';
import { requireService } from '../../../../../../scripts/services.ts';
import { nodeEnv } from '../../../env.ts';
import type { AppendOutcome } from '../../log.ts';
import type { StoredConstants, StoredRecord } from '../../broker/broker-port.ts';
import type { NativeRecord } from '../../broker/native-record.ts';
import { parseRedisAddress } from '../redis-address.ts';
import { isFinalError } from '../redis-errors.ts';
import { RedisPort, type RedisPortOptions } from '../redis-port.ts';

const DEADLINE_MS = 60_000;
const missing = redis.missing();

/** A test that needs redis-server: skipped, and said so, where there is none. */
export function redisTest(title: string, run: (t: TestContext) => Promise<void>): void {
  test(title, { timeout: 180_000 }, async (t) => {
    if (requireService(t, 'redis-server', missing === undefined)) await run(t);
  });
}

/** A server that ends with the test. */
export async function startServer(t: TestContext, options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await RedisServer.start(options);
  t.after(() => server.stop());
  return server;
}

/** Fresh epochs, as the log asks for them. */
export function wantedConstants(partitions = 1, window = 1_000): StoredConstants {
  const epochs = Array.from({ length: partitions }, () => ({ epoch: formatEpoch(nodeEnv.randomBytes(6)) }));
  return { format: 1, window, partitions: epochs };
}

/** A port that ends with the test, and what became of it. */
export class PortRoom {
  readonly port: RedisPort;
  readonly downs: Error[] = [];
  #look: (() => void) | undefined;

  constructor(t: TestContext, url: string, options: RedisPortOptions = {}) {
    this.port = new RedisPort(parseRedisAddress(url), options);
    this.port.onDown = (error) => {
      this.downs.push(error);
      this.#look?.();
    };
    t.after(() => this.port.close());
  }

  static async open(t: TestContext, url: string, partitions = 1, options: RedisPortOptions = {}): Promise<PortRoom> {
    const room = new PortRoom(t, url, options);
    await room.port.connect(wantedConstants(partitions));
    return room;
  }

  /** Connects as soon as what passes has passed, such as a Cluster that has not agreed yet. */
  async connectAgain(partitions = 1): Promise<StoredConstants> {
    const lastMs = performance.now() + DEADLINE_MS;
    for (;;) {
      try {
        return await this.port.connect(wantedConstants(partitions));
      } catch (error) {
        if (isFinalError(error) || performance.now() > lastMs) throw error;
      }
    }
  }

  async store(records: readonly NativeRecord[], partition = 0): Promise<void> {
    const outcomes = await this.port.append(partition, records, DEADLINE_MS);
    assert.deepEqual(
      outcomes,
      records.map(() => ({ state: 'stored' })),
    );
  }

  async appendOne(deadlineMs = DEADLINE_MS): Promise<AppendOutcome> {
    const [outcome] = await this.port.append(0, records(1), deadlineMs);
    return outcome as AppendOutcome;
  }

  down(): Promise<Error> {
    return until((done) => {
      this.#look = () => this.downs[0] !== undefined && done(this.downs[0]);
      this.#look();
    }, 'the port to be down');
  }
}

let count = 0;

/** Distinct records. */
export function records(howMany: number, more: Partial<NativeRecord> = {}): NativeRecord[] {
  return Array.from({ length: howMany }, () => {
    const headers = new Map([['tideway-rid', `r${++count}`]]);
    return { channel: 'test:1', value: Buffer.from(`{"n":${count}}`), headers, ...more };
  });
}

/** What follows a partition. */
export class Reader {
  readonly records: StoredRecord[] = [];
  readonly ends: Error[] = [];
  /** What the follower is told to wait for. */
  hold: Promise<void> | undefined;
  #look: (() => void) | undefined;

  readonly events = {
    onRecords: (batch: readonly StoredRecord[]): Promise<void> | undefined => {
      this.records.push(...batch);
      this.#look?.();
      return this.hold;
    },
    onEnd: (error: Error): void => {
      this.ends.push(error);
      this.#look?.();
    },
  };

  count(howMany: number): Promise<void> {
    return until((done) => {
      this.#look = () => this.records.length >= howMany && done();
      this.#look();
    }, `${howMany} records; ${this.records.length} came`);
  }

  end(): Promise<Error> {
    return until((done) => {
      this.#look = () => this.ends[0] !== undefined && done(this.ends[0]);
      this.#look();
    }, 'the end of what is followed');
  }

  get numbers(): number[] {
    return this.records.map(({ number }) => number);
  }
}

/** Waits, but not for ever, for what `start` tells. */
export function until<T>(start: (done: (value: T) => void) => void, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`)), DEADLINE_MS);
    start((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

/** The numbers from one to another. */
export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, n) => from + n);
}
