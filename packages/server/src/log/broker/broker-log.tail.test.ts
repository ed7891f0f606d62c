import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TailError } from '../log.ts';
import { positionOf } from '../position.ts';
import { BrokerWorld, type Node } from './testing/broker-world.ts';

async function tailError(world: BrokerWorld, node: Node, after: { position: string; tag: string }): Promise<TailError> {
  const error: unknown = await world.of(node.log.tail(0, after, () => undefined, assert.fail)).then(
    () => undefined,
    (failed: unknown) => failed,
  );
  assert.ok(error instanceof Error && error.name === 'TailError');
  return error as TailError;
}

for (const { how, strike } of [
  { how: 'with the connection', strike: (world: BrokerWorld) => world.broker.cut() },
  { how: 'with its leader', strike: (world: BrokerWorld) => world.broker.endFollowers(0) },
  { how: 'and nothing tells of it', strike: () => undefined },
]) {
  test(`a running tail whose newest records the broker lost ${how} ends with diverged (F2)`, async () => {
    const world = new BrokerWorld(1);
    const node = await world.openNode();
    const reader = await node.read();
    await node.append(10);
    world.broker.rewind(0, 3);
    strike(world);
    await world.until(() => reader.error !== undefined, 'the tail to end');
    assert.equal(reader.error?.reason, 'diverged');
    const again = await node.read();
    await world.until(() => again.records.length === 7, 'what is left');
    assert.deepEqual(node.events, []);
  });
}

test('records that came under the numbers of lost ones are found by their tag, before any of them is given', async () => {
  const world = new BrokerWorld(2);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(10);
  world.broker.rewind(0, 3);
  for (const record of node.records(8)) {
    world.broker.put(0, { channel: record.channel, value: record.payload, headers: new Map() });
  }
  world.broker.cut();
  await world.until(() => reader.error !== undefined, 'the tail to end');
  assert.equal(reader.error?.reason, 'diverged');
  assert.equal(reader.records.length, 10);
});

test('what the broker says to hold, asked for anything, uncovers a rewind', async () => {
  const world = new BrokerWorld(3);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(10);
  world.broker.rewind(0, 1);
  await world.of(node.log.bounds(0));
  assert.equal(reader.error?.reason, 'diverged');
});

test('a tail that is behind waits while its broker is away, and goes on where it was', async () => {
  const world = new BrokerWorld(4);
  const node = await world.openNode();
  for (let n = 0; n < 5; n++) await node.append(1_000);
  const reader = await node.read();
  await world.until(() => reader.records.length > 0, 'the first page');
  world.broker.isReachable = false;
  world.broker.cut();
  await world.pass(60_000);
  assert.ok(reader.records.length < 5_000);
  world.broker.isReachable = true;
  await world.until(() => reader.records.length === 5_000, 'the rest');
  assert.deepEqual(
    reader.rids,
    Array.from({ length: 5_000 }, (_, n) => `r${n + 1}`),
  );
});

test('what was trimmed while a node was away is said, with the oldest place', async () => {
  const world = new BrokerWorld(5);
  const node = await world.openNode();
  const other = await world.openNode();
  const reader = await node.read();
  await other.append(10);
  await world.until(() => reader.records.length === 10, 'the records');
  node.port.isCutOff = true;
  node.port.lose(new Error('reset'));
  await other.append(10);
  world.broker.trim(0, 15);
  node.port.isCutOff = false;
  await world.until(() => reader.error !== undefined, 'the tail to end');
  assert.equal(reader.error?.reason, 'trimmed');
  assert.equal(reader.error?.oldest, positionOf(15));
});

test('trimmed up to its place and no further, a tail misses nothing and goes on', async () => {
  const world = new BrokerWorld(6);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(10);
  world.broker.trim(0, 10);
  world.broker.cut();
  await world.pass(2_000);
  await node.append(1);
  assert.equal(reader.error, undefined);
  assert.equal(reader.rids.at(-1), 'r11');
  const { position, tag } = reader.records[9] as { position: string; tag: string };
  assert.equal((await node.read({ position, tag })).error, undefined);
});

test('a hole in the log ends the tails with damaged, however often it is read', async () => {
  const world = new BrokerWorld(7);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(3);
  node.port.isCutOff = true;
  node.port.lose(new Error('reset'));
  const other = await world.openNode();
  await other.append(5);
  world.broker.at(0).records.splice(4, 1);
  node.port.isCutOff = false;
  await world.until(() => reader.error !== undefined, 'the tail to end');
  assert.equal(reader.error?.reason, 'damaged');
  assert.deepEqual(
    reader.records.map(({ position }) => position),
    [1, 2, 3, 4].map((number) => positionOf(number)),
  );
});

test('a follower that skips what the log has is replaced, and nothing is missing', async () => {
  const world = new BrokerWorld(8);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(2);
  node.port.skip = 2;
  await node.append(6);
  await world.until(() => reader.records.length === 8, 'all records');
  assert.deepEqual(
    reader.rids,
    Array.from({ length: 8 }, (_, n) => `r${n + 1}`),
  );
  assert.equal(reader.error, undefined);
});

test('a hole behind a place that a tail reads from is damaged, not skipped', async () => {
  const world = new BrokerWorld(9);
  const node = await world.openNode();
  await node.append(10);
  world.broker.at(0).records.splice(5, 1);
  const reader = await node.read();
  await world.until(() => reader.error !== undefined, 'the tail to end');
  assert.equal(reader.error?.reason, 'damaged');
  assert.equal(reader.records.length, 5);
});

test('a partition that cannot be followed is reported after a moment, and taken up again', async () => {
  const world = new BrokerWorld(10);
  const node = await world.openNode();
  const reader = await node.read();
  node.port.failsToFollow = new Error('the partition has no leader');
  world.broker.endFollowers(0);
  await world.until(() => node.events.length === 1, 'the report');
  const [event] = node.events;
  assert.ok(event?.event === 'down' && /no leader/.test(event.error.message));
  node.port.failsToFollow = undefined;
  await world.until(() => node.events.length === 2, 'the partition');
  assert.equal(node.events[1]?.event, 'up');
  await node.append(1);
  assert.deepEqual(reader.rids, ['r1']);
});

test('followers that end again and again are not begun in a hurry', async () => {
  const world = new BrokerWorld(11);
  const node = await world.openNode();
  await node.read();
  for (let n = 0; n < 1_000; n++) world.after(n * 60, () => world.broker.endFollowers(0));
  await world.pass(60_000);
  const follows = world.broker.calls.get('follow') ?? 0;
  assert.ok(follows < 60, `${follows} followers in a minute`);
});

test('a place without its record within the bounds is damage; a place ahead of the log, or of another record, diverged', async () => {
  const world = new BrokerWorld(12);
  const node = await world.openNode();
  await node.append(5);
  const [, second] = (await fully(world, node)).records;
  assert.equal((await tailError(world, node, { position: positionOf(6), tag: 'zzzz' })).reason, 'diverged');
  assert.equal((await tailError(world, node, { position: positionOf(3), tag: second?.tag ?? '' })).reason, 'diverged');
  world.broker.at(0).records.splice(2, 1);
  assert.equal((await tailError(world, node, { position: positionOf(3), tag: 'zzzz' })).reason, 'damaged');
  await assert.rejects(
    node.log.tail(1, 'oldest', () => undefined, assert.fail),
    /partitions 0 to 0; got 1/,
  );
});

async function fully(world: BrokerWorld, node: Node): ReturnType<Node['read']> {
  const reader = await node.read();
  await world.until(() => reader.records.length === world.broker.at(0).records.length, 'everything');
  return reader;
}

test('a node that only looks on costs its broker no reads: what is appended comes through one follower', async () => {
  const world = new BrokerWorld(13);
  const node = await world.openNode();
  for (let n = 0; n < 5; n++) await node.read();
  const calls = (): number => (world.broker.calls.get('read') ?? 0) + (world.broker.calls.get('follow') ?? 0);
  const before = calls();
  for (let n = 0; n < 20; n++) await node.append(10);
  assert.equal(calls(), before);
  assert.equal(world.broker.calls.get('follow'), 1);
});

test('settled records are trimmed in steps, and a window and a budget stay', async () => {
  const world = new BrokerWorld(14);
  const node = await world.openNode({ window: 64, keepRecords: 160 });
  await node.read();
  await node.append(160);
  assert.equal(node.log.wantsSettled, false);
  await node.append(20);
  assert.equal(node.log.wantsSettled, true);
  await world.of(node.log.settled(0, positionOf(15)));
  assert.deepEqual(await world.of(node.log.bounds(0)), {
    oldest: positionOf(15),
    newest: positionOf(180),
    fromGenesis: false,
  });
  await world.of(node.log.settled(0, positionOf(180)));
  assert.equal((await world.of(node.log.bounds(0))).oldest, positionOf(20));
  assert.equal(node.log.wantsSettled, false);
});

test('a tail from a place that the follower has not reached yet is given nothing twice', async () => {
  const world = new BrokerWorld(15);
  const node = await world.openNode();
  await node.read();
  world.broker.holdFollowers = true;
  for (const record of node.records(3)) {
    world.broker.put(0, { channel: record.channel, value: record.payload, headers: new Map() });
  }
  const reading = node.read({ position: positionOf(2), tag: 'zzzz' });
  await world.pass(1_000);
  world.broker.holdFollowers = false;
  world.broker.wake();
  const reader = await reading;
  await world.until(() => reader.records.length > 0, 'the third record');
  assert.deepEqual(
    reader.records.map(({ position }) => position),
    [positionOf(3)],
  );
});

test('a follower that goes on although it was ended is not heard', async () => {
  const world = new BrokerWorld(16);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(1);
  node.port.areDeaf = true;
  world.broker.endFollowers(0);
  await world.pass(1_000);
  for (let n = 0; n < 5; n++) await node.append(2);
  await world.pass(5_000);
  assert.equal(reader.records.length, 11);
  assert.equal(world.broker.calls.get('follow'), 2);
});
