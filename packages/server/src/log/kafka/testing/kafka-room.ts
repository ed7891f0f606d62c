/** What the Kafka driver's tests share: a broker for each test file, ports on logs of their own, records, and a reader. */
import assert from 'node:assert/strict';
import { after, type TestContext } from 'node:test';
import { KafkaCluster, startKafka, type KafkaOptions } from '../../../../../../scripts/brokers/kafka.ts';
import { missingKafka } from '../../../../../../scripts/brokers/kafka-jars.ts';
import { requireService } from '../../../../../../scripts/services.ts';
import { TailError, type AppendOutcome } from '../../log.ts';
import type { FollowEvents, Following, StoredConstants, StoredRecord } from '../../broker/broker-port.ts';
import type { NativeRecord } from '../../broker/native-record.ts';
import { parseKafkaAddress } from '../kafka-address.ts';
import { KafkaPort } from '../kafka-port.ts';

export const DEADLINE_MS = 60_000;

/** A cluster that is started when the first test of a file asks for it, and stopped behind the last. */
export function kafkaRoom(options: KafkaOptions = {}): (t: TestContext) => Promise<KafkaCluster | undefined> {
  let starting: Promise<KafkaCluster> | undefined;
  after(async () => (await starting)?.stop());
  return async (t) => {
    const missing = missingKafka();
    if (!requireService(t, missing ?? '', missing === undefined)) return undefined;
    starting ??= startKafka(options);
    return starting;
  };
}

let made = 0;

/** Resolves with what the port says when it is down. */
export function down(port: KafkaPort): Promise<Error> {
  const said = new Promise<Error>((resolve) => {
    port.onDown = (error) => {
      port.onDown = () => assert.fail('it is down once');
      resolve(error);
    };
  });
  return within(said, () => 'the port to be down');
}

/** Asks again and again until it holds. */
export async function eventually(holds: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const came = new Promise<void>((resolve, reject) => {
    let isAsking = false;
    timer = setInterval(() => {
      if (isAsking) return;
      isAsking = true;
      Promise.resolve(holds())
        .then((held) => held && resolve())
        .finally(() => (isAsking = false))
        .catch(reject);
    }, 20);
  });
  await within(came, what).finally(() => clearInterval(timer));
}

/** Connects as a log does: again and again, until it works. */
export async function reconnect(port: KafkaPort, constants: StoredConstants): Promise<StoredConstants> {
  let got: StoredConstants | undefined;
  let why = '';
  await eventually(
    async () => {
      got = await port.connect(constants).catch((error: unknown) => void (why = String(error)));
      return got !== undefined;
    },
    () => `the port to connect: ${why}`,
  );
  assert.ok(got !== undefined);
  return got;
}

/** A name for a log that no other test has. */
export function newName(): string {
  made++;
  return `log-${process.pid}-${made}`;
}

/** A port that is closed behind the test. */
export function makePort(t: TestContext, url: string): KafkaPort {
  const port = new KafkaPort(parseKafkaAddress(url));
  t.after(() => port.close());
  return port;
}

let epochs = 0;

/** Constants as a log wants them, with fresh epochs. */
export function wanted(partitions: number): StoredConstants {
  const fresh = Array.from({ length: partitions }, () => ({ epoch: `e${++epochs}` }));
  return { format: 1, window: 100, partitions: fresh };
}

export function record(n: number, more: Partial<NativeRecord> = {}): NativeRecord {
  const headers = new Map([
    ['tideway-time', String(1_764_000_000_000 + n)],
    ['tideway-rid', `r${n}`],
  ]);
  return { channel: 'test:1', value: Buffer.from(`{"n":${n}}`), headers, ...more };
}

export function records(from: number, count: number): NativeRecord[] {
  return Array.from({ length: count }, (_, n) => record(from + n));
}

export function assertStored(outcomes: readonly AppendOutcome[]): void {
  for (const outcome of outcomes) assert.deepEqual(outcome, { state: 'stored' });
}

/** A follower that keeps what it is given, and holds the port to its promises. */
export class Reader implements FollowEvents {
  readonly records: StoredRecord[] = [];
  ended: Error | undefined;
  /** What `onRecords` returns. */
  wait: (() => Promise<void> | undefined) | undefined;
  following: Following | undefined;
  #look: (() => void) | undefined;

  static async start(port: KafkaPort, partition: number, after: number): Promise<Reader> {
    const reader = new Reader();
    reader.following = await port.follow(partition, after, reader);
    return reader;
  }

  onRecords(records: readonly StoredRecord[]): Promise<void> | undefined {
    assert.equal(this.ended, undefined, 'nothing comes behind the end');
    assert.ok(records.length > 0, 'a batch holds records');
    this.records.push(...records);
    this.#look?.();
    return this.wait?.();
  }

  onEnd(error: Error): void {
    assert.equal(this.ended, undefined, 'it ends once');
    this.ended = error;
    this.#look?.();
  }

  get rids(): (string | undefined)[] {
    return this.records.map(({ headers }) => headers.get('tideway-rid'));
  }

  async count(count: number): Promise<void> {
    await this.#until(() => this.records.length >= count, `${count} records`);
  }

  async end(): Promise<TailError> {
    await this.#until(() => this.ended !== undefined, 'the end');
    assert.ok(this.ended instanceof TailError);
    return this.ended;
  }

  #until(holds: () => boolean, what: string): Promise<void> {
    const came = new Promise<void>((resolve) => {
      this.#look = () => holds() && resolve();
      this.#look();
    });
    return within(came, () => `${what}; ${this.records.length} records came, ended: ${this.ended?.message}`);
  }
}

/** Rejects when it takes too long, saying what was waited for. */
export async function within<T>(promise: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${DEADLINE_MS} ms for ${what()}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  const error: unknown = await promise.then(
    () => undefined,
    (failed: unknown) => failed,
  );
  assert.ok(error instanceof Error, 'it was to fail');
  return error;
}
