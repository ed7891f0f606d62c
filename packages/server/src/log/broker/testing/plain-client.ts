/**
 * Proves that a client which is not ours, and knows the page about its broker only, appends what every node reads, and
 * reads what a node appends.
 */
import assert from 'node:assert/strict';
import type { PhysicalRecord, TailRecord } from '../../log.ts';
import type { BrokerLog } from '../broker-log.ts';

const PER_CHANNEL = 5;
const channels = ['orders:new', 'chat:room.1', 'chat:a/b~c@d', 'game:x=y+z'];

/** A record as the client printed it: partition, number, channel, headers, payload. */
type Line = [number, number, string, Record<string, string>, string];

export interface PlainClient {
  /** Appends that many records `{"<language>": n}` to the channel, every second one by `zoë` and with a key. */
  append(channel: string, count: number): Promise<unknown>;
  /** Everything the log holds, which is that many records, a JSON line each. */
  read(count: number): Promise<readonly string[]>;
  /** The member of its payloads. */
  readonly language: string;
  keyOf(n: number): string;
  assertTime(time: number | undefined, n: number): void;
}

/** @param log not opened yet, and empty */
export async function provePlainClient(log: BrokerLog, client: PlainClient): Promise<void> {
  const { partitionOf, epochs } = await log.open();
  const seen: { readonly partition: number; readonly record: TailRecord['record'] }[] = [];
  const total = channels.length * PER_CHANNEL;
  const came = new Promise<void>((resolve, reject) => {
    const take = (partition: number, batch: readonly TailRecord[]): undefined => {
      for (const { record } of batch) seen.push({ partition, record });
      if (seen.length >= total) resolve();
    };
    for (const partition of epochs.keys()) {
      log.tail(partition, 'oldest', (batch) => take(partition, batch), reject).catch(reject);
    }
  });
  for (const channel of channels) await client.append(channel, PER_CHANNEL);
  await came;
  for (const channel of channels) {
    const records = seen.filter(({ record }) => record.channel === channel);
    const payloads = Array.from({ length: PER_CHANNEL }, (_, n) => `{"${client.language}": ${n}}`);
    assert.deepEqual(
      records.map(({ record }) => record.payload.toString()),
      payloads,
    );
    records.forEach(({ partition, record }, n) => {
      assert.equal(partition, partitionOf(channel));
      assert.equal(record.user, n % 2 === 0 ? 'zoë' : undefined);
      assert.equal(record.key, n % 2 === 0 ? client.keyOf(n) : undefined);
      client.assertTime(record.time, n);
    });
  }

  const ours = channels.map((channel, n): PhysicalRecord => ({
    channel,
    kind: 'data',
    encoding: 'json',
    payload: Buffer.from(`{"ours":${n}}`),
    time: 1_764_000_000_000 + n,
    user: 'alice',
    rid: `r${n}`,
  }));
  for (const outcome of await log.append(ours)) assert.equal(outcome.state, 'stored');
  const lines = (await client.read(total + ours.length)).map((line) => JSON.parse(line) as Line);
  assert.equal(lines.length, total + ours.length);
  for (const [n, { channel }] of ours.entries()) {
    const found = lines.find(([, , , headers]) => headers['tideway-rid'] === `r${n}`);
    assert.ok(found !== undefined);
    const [partition, , name, headers, payload] = found;
    assert.deepEqual([partition, name, payload], [partitionOf(channel), channel, `{"ours":${n}}`]);
    assert.equal(headers['tideway-user'], 'alice');
    assert.equal(headers['tideway-time'], String(1_764_000_000_000 + n));
  }
}
