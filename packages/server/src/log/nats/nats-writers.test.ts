/** Several nodes that begin to write at once: what is confirmed is there, in each writer's order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nats, startNats } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import type { PhysicalRecord } from '../log.ts';
import { parseNatsAddress } from './nats-address.ts';
import { NatsPort } from './nats-port.ts';
import { newName } from './testing/nats-room.ts';

const WRITERS = 3;
const RECORDS = 31;

function record(writer: number, n: number): PhysicalRecord {
  const rid = `${writer}-${n}`;
  return { channel: 'chat:1', kind: 'data', encoding: 'json', payload: Buffer.from('{}'), time: n, rid };
}

test('of three nodes that write to a fresh log at once each record is stored, once and in order', async (t) => {
  const missing = nats.missing();
  if (missing !== undefined) return void requireService(t, missing, undefined);
  const broker = await startNats();
  t.after(() => broker.stop());
  for (let round = 0; round < 25; round++) {
    const address = parseNatsAddress(broker.urlOf(newName(), 'partitions=1'));
    const logs = Array.from({ length: WRITERS }, () => new BrokerLog({ partitions: 1, port: new NatsPort(address) }));
    await Promise.all(logs.map((log) => log.open()));
    const seen: string[] = [];
    const ends: Error[] = [];
    for (const [at, log] of logs.entries()) {
      await log.tail(
        0,
        'oldest',
        (batch) => {
          if (at === 0) seen.push(...batch.map((item) => item.record.rid ?? ''));
          return undefined;
        },
        (error) => ends.push(error),
      );
    }
    const appends = logs.flatMap((log, writer) => {
      const first = log.append([record(writer, 0)]);
      const rest = new Promise<void>((resolve) => void setImmediate(resolve)).then(() =>
        log.append(Array.from({ length: RECORDS - 1 }, (_, n) => record(writer, n + 1))),
      );
      return [first, rest];
    });
    for (const outcome of (await Promise.all(appends)).flat()) assert.deepEqual(outcome, { state: 'stored' });
    await t.waitFor(() => assert.equal(seen.length, WRITERS * RECORDS), { timeout: 60_000, interval: 5 });
    for (let writer = 0; writer < WRITERS; writer++) {
      const own = seen.filter((rid) => rid.startsWith(`${writer}-`));
      assert.deepEqual(
        own,
        own.map((_, n) => `${writer}-${n}`),
      );
    }
    assert.deepEqual(ends, []);
    await Promise.all(logs.map((log) => log.close()));
  }
});
