/** One member of a broker is away, and with it some partitions: the others go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppendOutcome, LogHealth } from '../log.ts';
import { partitionOfChannel } from './native-record.ts';
import { BrokerWorld, type Node } from './testing/broker-world.ts';

const PARTITIONS = 4;

const codes = (outcomes: readonly AppendOutcome[]): string[] =>
  outcomes.map((outcome) => (outcome.state === 'refused' ? outcome.code : outcome.state));

/** A channel of each partition. */
const channels = Array.from({ length: PARTITIONS }, (_, partition) => {
  for (let n = 0; ; n++) if (partitionOfChannel(`a:${n}`, PARTITIONS) === partition) return `a:${n}`;
});

async function openAll(world: BrokerWorld) {
  const node = await world.openNode({ partitions: PARTITIONS });
  const readers = [];
  for (const partition of channels.keys()) readers.push(await node.read('oldest', partition));
  return { node, readers };
}

const appendTo = (node: Node, partition: number, count = 1) => node.append(count, { channel: channels[partition]! });
const told = (node: Node): (string | LogHealth)[] => node.events.flatMap(({ event, health }) => [event, health]);

test('partitions whose member is away are refused after a moment, the others go on, and they come back alone', async () => {
  const world = new BrokerWorld(1);
  const { node, readers } = await openAll(world);
  for (const partition of channels.keys()) assert.deepEqual(codes(await appendTo(node, partition)), ['stored']);
  world.broker.takeAway(1, 3);
  const awayMs = world.nowMs;
  const waiting = appendTo(node, 1);
  assert.deepEqual(codes(await appendTo(node, 0)), ['stored']);
  assert.deepEqual(codes(await waiting), ['not_durable']);
  assert.ok(world.nowMs - awayMs >= 1_900 && world.nowMs - awayMs <= 2_500, `after ${world.nowMs - awayMs} ms`);
  const nowMs = world.nowMs;
  const [refused] = await appendTo(node, 3);
  assert.equal(world.nowMs, nowMs, 'at once');
  assert.match(
    refused?.state === 'refused' ? refused.message : '',
    /^partition 3 of fake:\/\/memory cannot be reached: its member is away$/,
  );
  await world.pass(60_000);
  assert.deepEqual(told(node), ['down', { partitions: PARTITIONS, down: [1, 3] }], 'once, for both');
  assert.deepEqual(codes(await appendTo(node, 2, 3)), ['stored', 'stored', 'stored']);
  assert.equal(readers[2]!.records.length, 4);
  world.broker.away.delete(3);
  await world.until(() => node.events.length === 2, 'the one partition', 6_000);
  assert.deepEqual(told(node).slice(2), ['up', { partitions: PARTITIONS, down: [1] }]);
  assert.deepEqual(codes(await appendTo(node, 3)), ['stored']);
  assert.deepEqual(codes(await appendTo(node, 1)), ['not_durable']);
  world.broker.away.clear();
  await world.until(() => node.events.length === 3, 'the other', 6_000);
  assert.deepEqual(told(node).slice(4), ['up', { partitions: PARTITIONS, down: [] }]);
  for (const partition of channels.keys()) assert.deepEqual(codes(await appendTo(node, partition)), ['stored']);
  assert.deepEqual(
    readers.map(({ error, rids }) => [error, rids.length]),
    [
      [undefined, 3],
      [undefined, 2],
      [undefined, 5],
      [undefined, 3],
    ],
  );
});

test('a member that is back within a moment is nobody’s business: what waited is stored', async () => {
  const world = new BrokerWorld(2);
  const { node } = await openAll(world);
  world.broker.takeAway(1);
  world.after(1_000, () => world.broker.away.clear());
  assert.deepEqual(codes(await appendTo(node, 1, 2)), ['stored', 'stored']);
  await world.pass(10_000);
  assert.deepEqual(node.events, []);
});

test('the connection lost while a member is away: all are down, and each comes back when it is there', async () => {
  const world = new BrokerWorld(3);
  const { node } = await openAll(world);
  world.broker.takeAway(1);
  await world.until(() => node.events.length === 1, 'the report');
  world.awayFor(10_000);
  assert.deepEqual(codes(await appendTo(node, 1)), ['not_durable']);
  assert.deepEqual(codes(await appendTo(node, 2)), ['not_durable']);
  await world.until(() => node.events.length === 2, 'the second report', 100);
  await world.until(() => node.events.at(-1)?.health.down.join() === '1', 'the others', 20_000);
  assert.deepEqual(told(node).slice(2, 4), ['down', { partitions: PARTITIONS, down: [0, 1, 2, 3] }]);
  assert.deepEqual(codes(await appendTo(node, 2)), ['stored']);
  assert.deepEqual(codes(await appendTo(node, 1)), ['not_durable']);
  world.broker.away.clear();
  await world.until(() => node.events.at(-1)?.health.down.length === 0, 'the last', 20_000);
});

test('a log that closes does not wait for a partition whose member is away', async () => {
  const world = new BrokerWorld(4);
  const { node } = await openAll(world);
  world.broker.takeAway(1);
  const answers = Promise.all([node.log.append(node.records(1, { channel: channels[1]! })), appendTo(node, 0)]);
  const closeMs = world.nowMs;
  await world.of(node.log.close());
  assert.ok(world.nowMs - closeMs < 500, `after ${world.nowMs - closeMs} ms`);
  assert.deepEqual((await answers).map(codes), [['not_durable'], ['stored']]);
});
