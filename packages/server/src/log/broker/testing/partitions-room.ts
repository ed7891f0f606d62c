/** A log on a real broker of several members, all of its partitions followed: for tests in which one member is away. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { LogHealth, TailRecord } from '../../log.ts';
import { BrokerLog, type BrokerLogEvent } from '../broker-log.ts';
import type { BrokerPort } from '../broker-port.ts';
import { partitionOfChannel } from '../native-record.ts';

const WAIT = { timeout: 90_000, interval: 20 };

export class PartitionsRoom {
  readonly log: BrokerLog;
  readonly partitions: number;
  readonly events: BrokerLogEvent[] = [];
  /** By partition. */
  readonly tails: readonly TailRecord[][];
  readonly #t: TestContext;
  #count = 0;

  private constructor(t: TestContext, port: BrokerPort, partitions: number) {
    this.#t = t;
    this.partitions = partitions;
    this.log = new BrokerLog({ port, partitions, report: (event) => this.events.push(event) });
    this.tails = Array.from({ length: partitions }, () => []);
    t.after(() => this.log.close());
  }

  static async open(t: TestContext, port: BrokerPort, partitions: number): Promise<PartitionsRoom> {
    const room = new PartitionsRoom(t, port, partitions);
    await room.log.open();
    for (const [n, tail] of room.tails.entries()) {
      await room.log.tail(
        n,
        'oldest',
        (batch) => void tail.push(...batch),
        (error) => assert.fail(error),
      );
    }
    return room;
  }

  /** Appends one record to a partition; `stored`, or the code. */
  async append(partition: number): Promise<string> {
    const n = ++this.#count;
    const payload = Buffer.from(`{"n":${n}}`);
    const record = { kind: 'data', encoding: 'json', payload, time: n, rid: `r${n}` } as const;
    const [outcome] = await this.log.append([{ ...record, channel: this.#channelIn(partition) }]);
    return outcome?.state === 'refused' ? outcome.code : (outcome?.state ?? 'nothing');
  }

  /** Waits until these partitions are down, and no others. */
  async untilDown(down: readonly number[]): Promise<void> {
    const health = (): LogHealth | undefined => this.events.at(-1)?.health;
    await this.#t.waitFor(() => assert.deepEqual(health()?.down ?? [], down), WAIT);
  }

  /** Those that are well store and give records while these are refused. */
  async assertApart(down: readonly number[]): Promise<void> {
    for (const [n, tail] of this.tails.entries()) {
      const before = tail.length;
      assert.equal(await this.append(n), down.includes(n) ? 'not_durable' : 'stored', `partition ${n}`);
      assert.equal(tail.length, before + (down.includes(n) ? 0 : 1));
    }
  }

  #channelIn(partition: number): string {
    for (let n = 0; ; n++) if (partitionOfChannel(`test:${n}`, this.partitions) === partition) return `test:${n}`;
  }
}
