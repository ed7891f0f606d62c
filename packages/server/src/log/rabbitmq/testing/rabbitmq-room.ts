/** What the tests of the RabbitMQ driver share: one server for a file, ports with logs of their own, a follower that keeps. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { formatEpoch } from '@tideway/protocol';
import {
  rabbitmq,
  startRabbitmq,
  type RabbitmqBroker,
  type RabbitmqOptions,
} from '../../../../../../scripts/brokers/rabbitmq.ts';
import { requireService } from '../../../../../../scripts/services.ts';
import { nodeEnv } from '../../../env.ts';
import type { Following, StoredConstants, StoredRecord } from '../../broker/broker-port.ts';
import type { NativeRecord } from '../../broker/native-record.ts';
import type { AppendOutcome } from '../../log.ts';
import { parseRabbitmqAddress } from '../rabbitmq-address.ts';
import { RabbitmqPort } from '../rabbitmq-port.ts';

const DEADLINE_MS = 60_000;
let names = 0;

/** A server for the tests of this file, and what declares one that needs it. */
export function rabbitmqTests(
  options: RabbitmqOptions = {},
): (title: string, run: (room: Room) => Promise<void>) => void {
  let broker: RabbitmqBroker | undefined;
  before(async () => {
    if (rabbitmq.missing() === undefined) broker = await startRabbitmq(options);
  });
  after(() => broker?.stop());
  return (title, run) =>
    void test(title, async (t) => {
      if (!requireService(t, rabbitmq.missing() ?? 'rabbitmq-server', broker)) return;
      const room = new Room(broker);
      try {
        await run(room);
      } finally {
        await room.close();
      }
    });
}

/** One test's part of the server. */
export class Room {
  readonly broker: RabbitmqBroker;
  readonly name = `test${++names}`;
  readonly #ports: RabbitmqPort[] = [];
  #count = 0;

  constructor(broker: RabbitmqBroker) {
    this.broker = broker;
  }

  /** A port to this test's log, not connected. */
  port(query = '', url = this.broker.urlOf(`name=${this.name}`)): RabbitmqPort {
    const port = new RabbitmqPort(parseRabbitmqAddress(`${url}${query}`));
    this.#ports.push(port);
    return port;
  }

  async connected(query = ''): Promise<RabbitmqPort> {
    const port = this.port(query);
    await port.connect(wanted());
    return port;
  }

  records(count: number, bytes = 10): NativeRecord[] {
    return Array.from({ length: count }, () => ({
      channel: 'chat:1',
      value: Buffer.alloc(bytes, 0x61),
      headers: new Map([['tideway-rid', `r${++this.#count}`]]),
    }));
  }

  async store(port: RabbitmqPort, records: readonly NativeRecord[]): Promise<void> {
    assertStored(await port.append(0, records, DEADLINE_MS));
  }

  async close(): Promise<void> {
    await Promise.all(this.#ports.map((port) => port.close()));
  }
}

export function wanted(partitions = 1, window = 1_000): StoredConstants {
  const epoch = (): string => formatEpoch(nodeEnv.randomBytes(6));
  return { format: 1, window, partitions: Array.from({ length: partitions }, () => ({ epoch: epoch() })) };
}

export function assertStored(outcomes: readonly AppendOutcome[]): void {
  for (const outcome of outcomes) assert.deepEqual(outcome, { state: 'stored' });
}

export const ridOf = ({ headers }: StoredRecord): string | undefined => headers.get('tideway-rid');

/** Follows a partition and keeps what comes. */
export class Kept {
  readonly records: StoredRecord[] = [];
  error: Error | undefined;
  /** What the follower is answered. */
  onRecords: (records: readonly StoredRecord[]) => Promise<void> | undefined = () => undefined;
  following: Following | undefined;
  #look: (() => void) | undefined;

  static async follow(port: RabbitmqPort, after = 0, partition = 0): Promise<Kept> {
    const kept = new Kept();
    kept.following = await port.follow(partition, after, {
      onRecords: (records) => {
        kept.records.push(...records);
        kept.#look?.();
        return kept.onRecords(records);
      },
      onEnd: (error) => {
        assert.equal(kept.error, undefined, 'onEnd is called once');
        kept.error = error;
        kept.#look?.();
      },
    });
    return kept;
  }

  get rids(): (string | undefined)[] {
    return this.records.map(ridOf);
  }

  count(count: number): Promise<void> {
    return this.until(() => this.records.length >= count, `${count} records`);
  }

  async ended(): Promise<Error> {
    await this.until(() => this.error !== undefined, 'the follower to end');
    return this.error as Error;
  }

  until(holds: () => boolean, what: string): Promise<void> {
    return soon(
      new Promise<void>((resolve) => {
        this.#look = () => holds() && resolve();
        this.#look();
      }),
      `${what}; ${this.records.length} came`,
    );
  }
}

/** The promise, or a failure that names what was waited for. */
export function soon<T>(promise: Promise<T>, what: string, deadlineMs = DEADLINE_MS): Promise<T> {
  const late = new Error(`waited ${deadlineMs} ms for ${what}`);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late), deadlineMs);
    promise.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}

/** What a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  const error = await soon(promise, 'a failure').then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof Error, `it should have failed, with an error; ${String(error)}`);
  return error;
}
