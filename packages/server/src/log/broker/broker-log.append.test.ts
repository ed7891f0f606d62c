import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppendOutcome } from '../log.ts';
import { BrokerWorld } from './testing/broker-world.ts';
import type { AppendFault } from './testing/fake-broker.ts';

const states = (outcomes: readonly AppendOutcome[]): string[] => outcomes.map(({ state }) => state);

/** The faults of the next batches, in order. */
function plan(world: BrokerWorld, ...faults: readonly (AppendFault | undefined)[]): void {
  const left = [...faults];
  world.broker.onAppend = () => left.shift();
}

function stored(world: BrokerWorld): (string | undefined)[] {
  return world.broker.at(0).records.map(({ headers }) => headers.get('tideway-rid'));
}

test('a batch that was stored and never answered is found on the tail: it is stored, once', async () => {
  const world = new BrokerWorld(1);
  const node = await world.openNode();
  const reader = await node.read();
  plan(world, { fault: 'no-answer' });
  assert.deepEqual(states(await node.append(3)), ['stored', 'stored', 'stored']);
  assert.deepEqual(stored(world), ['r1', 'r2', 'r3']);
  assert.deepEqual(reader.rids, ['r1', 'r2', 'r3']);
});

test('a batch cut in the middle is found as far as it was stored, and the rest is repeated', async () => {
  const world = new BrokerWorld(2);
  const node = await world.openNode();
  const reader = await node.read();
  plan(world, { fault: 'cut', stored: 2 });
  assert.deepEqual(states(await node.append(4)), ['stored', 'stored', 'stored', 'stored']);
  assert.deepEqual(stored(world), ['r1', 'r2', 'r3', 'r4']);
  assert.deepEqual(reader.rids, ['r1', 'r2', 'r3', 'r4']);
  assert.equal(reader.error, undefined);
  assert.deepEqual(node.events, [], 'a connection that comes back at once is nobody’s business');
});

test('what was repeated and stored all the same is there twice with one rid, for the fold to hide', async () => {
  const world = new BrokerWorld(3, { delayMs: 400 });
  const node = await world.openNode();
  await node.read();
  plan(world, { fault: 'cut-late', stored: 0 });
  // The first copy may come before or behind the repeat: both orders are of the same records.
  assert.deepEqual(states(await node.append(2)), ['stored', 'stored']);
  await world.pass(1_000);
  const rids = stored(world);
  assert.deepEqual([...new Set(rids)], ['r1', 'r2']);
});

test('without a rid nothing is repeated, and nothing that waits behind it is stored', async () => {
  const world = new BrokerWorld(4);
  const node = await world.openNode();
  await node.read();
  plan(world, { fault: 'cut', stored: 0 });
  const [first, second] = await world.of(
    Promise.all([
      node.log.append(node.records(2, { rid: undefined })),
      // Sent once the first batch is on its way.
      world.pause(1).then(() => node.log.append(node.records(1))),
    ]),
  );
  assert.deepEqual(states(first), ['unknown', 'unknown']);
  assert.match(first[0]?.state === 'unknown' ? first[0].message : '', /fake:\/\/memory .* without a rid/);
  assert.equal(second[0]?.state, 'refused');
  assert.equal(second[0]?.state === 'refused' ? second[0].code : '', 'not_durable');
  assert.deepEqual(stored(world), []);
  await world.pass(1);
  assert.deepEqual(states(await node.append(1)), ['stored']);
});

test('a repeat is not made once half of the window has passed: a second record could not be told from the first', async () => {
  const world = new BrokerWorld(5);
  const node = await world.openNode({ window: 64 });
  const other = await world.openNode();
  await node.read();
  for (const { passed, state } of [
    { passed: 31, state: 'stored' },
    { passed: 32, state: 'unknown' },
  ]) {
    plan(world, { fault: 'cut', stored: 0 });
    world.broker.isReachable = false;
    const answer = node.log.append(node.records(1));
    await world.until(() => !node.port.isConnected, 'the cut');
    for (const record of other.records(passed)) {
      world.broker.put(0, { channel: record.channel, value: record.payload, headers: new Map() });
    }
    world.broker.isReachable = true;
    assert.deepEqual(states(await world.of(answer)), [state], `${passed} passed`);
  }
});

test('what the broker refuses is refused, and what waits behind it too', async () => {
  const world = new BrokerWorld(6);
  const node = await world.openNode();
  await node.read();
  plan(world, { fault: 'refuse', stored: 1 });
  const [first, second] = await world.of(
    Promise.all([node.log.append(node.records(3)), world.pause(1).then(() => node.log.append(node.records(2)))]),
  );
  assert.deepEqual(states(first), ['stored', 'refused', 'refused']);
  assert.deepEqual(second, [
    { state: 'refused', code: 'not_durable', message: 'no room' },
    { state: 'refused', code: 'not_durable', message: 'no room' },
  ]);
  assert.deepEqual(stored(world), ['r1']);
});

test('a port that throws has not said what became of the batch', async () => {
  const world = new BrokerWorld(19);
  const node = await world.openNode();
  await node.read();
  const { append } = node.port;
  node.port.append = () => {
    node.port.append = append;
    return Promise.reject(new Error('a fault in the driver'));
  };
  assert.deepEqual(states(await node.append(2)), ['stored', 'stored']);
  assert.deepEqual(stored(world), ['r1', 'r2']);
});

test('behind a refused record nothing of its batch is repeated', async () => {
  const world = new BrokerWorld(17);
  const node = await world.openNode();
  await node.read();
  plan(world, { fault: 'refuse-one', stored: 1 });
  assert.deepEqual(states(await node.append(4)), ['stored', 'refused', 'unknown', 'unknown']);
  assert.deepEqual(stored(world), ['r1']);
});

test('refused when it is repeated, a record is unknown: the first attempt may have stored it', async () => {
  const world = new BrokerWorld(7);
  const node = await world.openNode();
  plan(world, { fault: 'cut', stored: 0 }, { fault: 'refuse', stored: 0 });
  assert.deepEqual(states(await node.append(1)), ['unknown']);
});

test('without a tail an append is answered on the broker’s word', async () => {
  const world = new BrokerWorld(8);
  const node = await world.openNode();
  assert.deepEqual(states(await node.append(2)), ['stored', 'stored']);
  assert.equal(world.broker.calls.get('follow'), undefined);
});

test('an append that waits for its hand-over is answered when the last tail stops', async () => {
  const world = new BrokerWorld(9);
  const node = await world.openNode();
  const reader = await node.read();
  world.broker.holdFollowers = true;
  const answer = node.log.append(node.records(1));
  await world.until(() => stored(world).length === 1, 'the record on the broker');
  await world.pass(100);
  assert.equal(reader.records.length, 0);
  await reader.tail?.stop();
  assert.deepEqual(states(await world.of(answer)), ['stored']);
});

test('confirmed and not read back in time is unknown, never stored', async () => {
  const world = new BrokerWorld(10);
  const node = await world.openNode();
  const reader = await node.read();
  world.broker.holdFollowers = true;
  const [outcome] = await node.append(1);
  assert.equal(outcome?.state, 'unknown');
  assert.match(outcome?.state === 'unknown' ? outcome.message : '', /did not read it back/);
  assert.ok(world.nowMs <= 13_000, `after ${world.nowMs} ms`);
  assert.equal(reader.error, undefined);
  world.broker.holdFollowers = false;
  world.broker.wake();
  await world.until(() => reader.records.length === 1, 'the record');
});

test('a record that the broker confirmed and does not have ends the tails with diverged', async () => {
  const world = new BrokerWorld(11);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(3);
  world.broker.holdFollowers = true;
  const answer = node.log.append(node.records(1));
  await world.until(() => stored(world).length === 4, 'the record on the broker');
  // Lost, and its number taken by another one, before anybody saw it.
  world.broker.rewind(0, 1);
  world.broker.put(0, { channel: 'a:b', value: Buffer.from('1'), headers: new Map() });
  world.broker.holdFollowers = false;
  world.broker.wake();
  assert.deepEqual(states(await world.of(answer)), ['unknown']);
  assert.equal(reader.error?.reason, 'diverged');
});

for (const { what, strike } of [
  {
    what: 'of which newest records are gone',
    strike: (world: BrokerWorld) => {
      world.broker.rewind(0, 2);
      world.broker.endFollowers(0);
    },
  },
  { what: 'that is another one', strike: (world: BrokerWorld) => world.broker.wipe() },
]) {
  test(`confirmed by a partition ${what} before it was read back: unknown, not stored, and answered once`, async () => {
    const world = new BrokerWorld(18);
    const node = await world.openNode({ queueRecordsMax: 2 });
    const reader = await node.read();
    await node.append(1);
    world.broker.holdFollowers = true;
    const answer = node.log.append(node.records(1));
    await world.until(() => world.broker.confirmed === 2, 'the confirmation');
    await world.pass(20);
    strike(world);
    assert.deepEqual(states(await world.of(answer)), ['unknown']);
    await world.until(() => reader.error !== undefined, 'the tail to end', 1_000);
    world.broker.holdFollowers = false;
    await world.pass(1);
    assert.deepEqual(states(await node.append(3)), ['stored', 'stored', 'refused'], 'its room is free, once');
  });
}

test('a batch that has no answer in time is unknown within the deadline of an append, though nothing is lost', async () => {
  const world = new BrokerWorld(12);
  const node = await world.openNode();
  await node.read();
  world.broker.isHung = true;
  const outcomes = await node.append(2);
  assert.deepEqual(states(outcomes), ['unknown', 'unknown']);
  assert.ok(world.nowMs >= 9_900 && world.nowMs <= 11_000, `after ${world.nowMs} ms`);
});

test('batches hold at most 1,000 records or 1 MiB, or one record that is larger', async () => {
  const world = new BrokerWorld(13);
  const node = await world.openNode();
  const counts: number[] = [];
  world.broker.onAppend = (_, count) => void counts.push(count);
  await node.append(2_500);
  assert.deepEqual(counts, [1_000, 1_000, 500]);
  counts.length = 0;
  const large = { encoding: 'bytes', payload: Buffer.alloc(400_000) } as const;
  const huge = { encoding: 'bytes', payload: Buffer.alloc(3_000_000) } as const;
  await world.of(
    node.log.append([
      ...node.records(3, large),
      ...node.records(1, huge),
      ...node.records(1, huge),
      ...node.records(2, large),
    ]),
  );
  assert.deepEqual(counts, [2, 1, 1, 1, 2]);
});

test('one batch of a partition is on its way at a time, and partitions do not wait for each other', async () => {
  const world = new BrokerWorld(14);
  const node = await world.openNode({ partitions: 2 });
  const inFlight = [0, 0];
  let most = 0;
  const { append } = node.port;
  node.port.append = async (partition, records, deadlineMs) => {
    inFlight[partition] = (inFlight[partition] ?? 0) + 1;
    most = Math.max(most, (inFlight[0] ?? 0) + (inFlight[1] ?? 0));
    assert.equal(inFlight[partition], 1);
    const outcomes = await append.call(node.port, partition, records, deadlineMs);
    inFlight[partition]--;
    return outcomes;
  };
  const calls = Array.from({ length: 40 }, async (_, n) => {
    await world.pause(n);
    return await node.log.append(['a:0', 'a:4'].flatMap((channel) => node.records(2, { channel })));
  });
  for (const outcomes of await world.of(Promise.all(calls)))
    assert.deepEqual(new Set(states(outcomes)), new Set(['stored']));
  assert.equal(most, 2);
});

test('after one overloaded refusal nothing later is stored in its place until its caller has heard of it', async () => {
  const world = new BrokerWorld(15);
  const node = await world.openNode({ queueRecordsMax: 1_500 });
  let batches = 0;
  world.broker.onAppend = () => void batches++;
  const first = node.log.append(node.records(1_501));
  // The first batch is answered: there is room, and yet nothing may take the place of the refused record.
  await world.until(() => batches === 2, 'the second batch');
  const [second] = await world.of(node.log.append(node.records(1)));
  assert.ok(second?.state === 'refused' && second.code === 'overloaded');
  const outcomes = await world.of(first);
  assert.deepEqual(new Set(states(outcomes.slice(0, -1))), new Set(['stored']));
  assert.equal(outcomes.at(-1)?.state, 'refused');
  await world.pass(1);
  assert.deepEqual(states(await node.append(1)), ['stored']);
});

test('texts that no node could read back are refused where they are appended', async () => {
  const world = new BrokerWorld(16);
  const node = await world.openNode();
  for (const more of [{ user: 'u'.repeat(256) }, { key: 'ü'.repeat(65) }, { rid: 'x'.repeat(65) }, { rid: 'é' }]) {
    const [outcome] = await node.append(1, more);
    assert.ok(outcome?.state === 'refused' && outcome.code === 'invalid', JSON.stringify(more));
  }
});
