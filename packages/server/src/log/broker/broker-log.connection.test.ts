import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TailError, type AppendOutcome } from '../log.ts';
import { BrokerError } from './broker-port.ts';
import { BrokerWorld } from './testing/broker-world.ts';

const codes = (outcomes: readonly AppendOutcome[]): string[] =>
  outcomes.map((outcome) => (outcome.state === 'refused' ? outcome.code : outcome.state));

async function failure(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => assert.fail('it should fail'),
    (error: unknown) => error as Error,
  );
}

test('a fresh log has 8 partitions and a window of 65,536, and its epochs are its own', async () => {
  const world = new BrokerWorld(1);
  const { epochs, window } = await world.of(world.node().log.open());
  assert.equal(new Set(epochs).size, 8);
  assert.equal(window, 65_536);
  assert.deepEqual(await world.of(world.node().log.open()).then((other) => other.epochs), epochs);
});

test('nodes that start at once have the same constants', async () => {
  const world = new BrokerWorld(2);
  const nodes = Array.from({ length: 4 }, () => world.node());
  const [first, ...others] = await world.of(Promise.all(nodes.map(({ log }) => log.open())));
  for (const other of others) assert.deepEqual(other.epochs, first?.epochs);
});

test('constants other than those stored are refused in words that name both; saying nothing takes them as they are', async () => {
  const world = new BrokerWorld(3);
  await world.openNode({ partitions: 4, window: 1_000 });
  const partitions = await failure(world.of(world.node({ partitions: 8 }).log.open()));
  assert.match(partitions.message, /fake:\/\/memory was made with 4 partitions, asked for are 8/);
  assert.ok(partitions instanceof BrokerError && partitions.isFinal);
  const window = await failure(world.of(world.node({ window: 2_000 }).log.open()));
  assert.match(window.message, /a window of 1000 records, asked for are 2000/);
  const taken = await world.of(world.node().log.open());
  assert.equal(taken.epochs.length, 4);
  assert.equal(taken.window, 1_000);
});

test('a broker that cannot be reached is waited for, and it is said once', async () => {
  const world = new BrokerWorld(4);
  world.broker.isReachable = false;
  const node = world.node();
  let isOpen = false;
  const opening = node.log.open().then(() => (isOpen = true));
  await world.pass(30_000);
  assert.equal(isOpen, false);
  assert.deepEqual(
    node.events.map(({ event }) => event),
    ['down'],
  );
  const tries = world.broker.calls.get('connect') ?? 0;
  assert.ok(tries >= 6 && tries <= 20, `${tries} tries in 30 s`);
  world.broker.isReachable = true;
  await world.of(opening);
  assert.deepEqual(
    node.events.map(({ event }) => event),
    ['down', 'up'],
  );
});

test('what no further try can change ends the start: wrong credentials', async () => {
  const world = new BrokerWorld(5);
  const node = world.node();
  node.port.refuses = new BrokerError('the user "a" has another password', { isFinal: true });
  assert.match((await failure(world.of(node.log.open()))).message, /another password/);
  assert.equal(world.broker.calls.get('connect'), 1);
  await world.pass(60_000);
  assert.equal(world.broker.calls.get('connect'), 1);
});

test('a start that waits can be given up', async () => {
  const world = new BrokerWorld(6);
  world.broker.isReachable = false;
  const node = world.node();
  const opening = failure(node.log.open());
  await world.pass(1_000);
  await world.of(node.log.close());
  assert.match((await opening).message, /closed while it opened/);
  const tries = world.broker.calls.get('connect');
  await world.pass(60_000);
  assert.equal(world.broker.calls.get('connect'), tries);
});

test('a log that opened without its broker says where only somebody can help: other constants', async () => {
  const world = new BrokerWorld(15);
  await world.openNode({ partitions: 2 });
  world.broker.isReachable = false;
  const node = world.node({ remembered: { epochs: ['abcdef'], window: 64 } });
  await world.of(node.log.open());
  const away = await failure(world.of(node.log.bounds(0)));
  assert.equal((away as TailError).isFinal, false);
  world.broker.isReachable = true;
  await world.until(() => node.events.length === 2, 'the broker to be heard');
  for (const ask of [() => node.log.bounds(0), () => node.log.tail(0, 'oldest', () => undefined, assert.fail)]) {
    const error = await failure(world.of<unknown>(ask()));
    assert.ok(error instanceof TailError && error.reason === 'unavailable' && error.isFinal, String(error));
    assert.match(error.message, /was made with 2 partitions, asked for are 1/);
  }
});

test('a log whose connection ends while it is asked for its bounds is unavailable', async () => {
  const world = new BrokerWorld(14);
  const node = await world.openNode({ partitions: 1 });
  world.broker.isHung = true;
  const asked = failure(node.log.bounds(0));
  world.broker.cut();
  const error = await world.of(asked);
  assert.equal((error as { reason?: string }).reason, 'unavailable', String(error));
  assert.match(error.message, /fake:\/\/memory cannot be read: the connection was reset/);
});

test('with remembered constants a log opens without its broker, refuses appends at once and comes alive by itself', async () => {
  const world = new BrokerWorld(7);
  const before = await world.openNode({ partitions: 2 });
  await before.append(3, { channel: 'a:0' });
  const constants = await world.of(world.node().log.open());
  const partition = constants.partitionOf('a:0');
  world.broker.isReachable = false;
  const node = world.node({ remembered: constants });
  const opened = await world.of(node.log.open());
  assert.deepEqual(opened.epochs, constants.epochs);
  assert.equal(opened.window, constants.window);
  const [refused] = await node.append(1);
  assert.ok(refused?.state === 'refused' && refused.code === 'not_durable');
  assert.match(refused.message, /fake:\/\/memory cannot be reached: connection refused/);
  const tail = await failure(world.of(node.log.tail(partition, 'oldest', () => undefined, assert.fail)));
  assert.equal((tail as { reason?: string }).reason, 'unavailable');
  assert.equal(((await failure(node.log.bounds(partition))) as { reason?: string }).reason, 'unavailable');
  assert.equal(node.log.wantsSettled, false);
  world.broker.isReachable = true;
  await world.until(() => node.events.some(({ event }) => event === 'up'), 'the log to come alive');
  assert.equal((await node.read('oldest', partition)).error, undefined);
  assert.deepEqual(codes(await node.append(1)), ['stored']);
});

test('remembered constants that the broker turns out not to have are told as an epoch, to the first who asks', async () => {
  const world = new BrokerWorld(8);
  const remembered = { epochs: ['aaaaaa', 'bbbbbb'], window: 64 };
  world.broker.isReachable = false;
  const node = world.node({ remembered });
  await world.of(node.log.open());
  world.broker.isReachable = true;
  await world.until(() => node.events.some(({ event }) => event === 'up'), 'the broker');
  const error = await failure(node.log.tail(1, { position: '10', tag: 'zzzz' }, () => undefined, assert.fail));
  assert.ok('reason' in error && error.reason === 'epoch' && 'epoch' in error);
  assert.equal(error.epoch, world.broker.constants?.partitions[1]?.epoch);
  assert.deepEqual((await node.read('oldest', 1)).records, []);
});

test('remembered constants that do not fit what is configured, or what the broker has, are refused in words', async () => {
  const world = new BrokerWorld(9);
  const remembered = { epochs: ['aaaaaa', 'bbbbbb'], window: 64 };
  const configured = await failure(world.node({ remembered, partitions: 3 }).log.open());
  assert.match(configured.message, /2 partitions and a window of 64 records, configured are 3 and 64/);
  await world.openNode({ partitions: 5 });
  world.broker.isReachable = false;
  const node = world.node({ remembered });
  await world.of(node.log.open());
  world.broker.isReachable = true;
  await world.pass(10_000);
  const said = node.events.map((event) => (event.event === 'down' ? event.error.message : event.event));
  assert.equal(said.length, 2);
  assert.match(said[1] ?? '', /was made with 5 partitions, asked for are 2/);
  assert.deepEqual(codes(await node.append(1)), ['not_durable']);
});

test('a lost broker: appends wait for a moment, then are refused at once, with the reason; back again, all goes on', async () => {
  const world = new BrokerWorld(10);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(2);
  world.broker.isReachable = false;
  world.broker.cut();
  const cutMs = world.nowMs;
  const waiting = node.log.append(node.records(2));
  assert.deepEqual(codes(await world.of(waiting)), ['not_durable', 'not_durable']);
  assert.ok(world.nowMs - cutMs >= 1_900 && world.nowMs - cutMs <= 2_500, `after ${world.nowMs - cutMs} ms`);
  const nowMs = world.nowMs;
  const [refused] = await node.append(1);
  assert.equal(world.nowMs, nowMs, 'at once');
  assert.match(refused?.state === 'refused' ? refused.message : '', /cannot be reached: connection re/);
  await world.until(() => node.events.length > 0, 'the report', 100);
  assert.equal(node.events[0]?.event, 'down');
  await world.pass(120_000);
  assert.equal(node.events.length, 1);
  world.broker.isReachable = true;
  await world.until(() => node.events.length === 2, 'the log to be up', 6_000);
  assert.equal(node.events[1]?.event, 'up');
  assert.deepEqual(codes(await node.append(1)), ['stored']);
  assert.deepEqual(reader.rids, ['r1', 'r2', 'r6']);
  assert.equal(reader.error, undefined);
});

test('appends are refused at once also where a partition was in trouble before the connection was lost', async () => {
  const world = new BrokerWorld(17);
  const node = await world.openNode();
  await node.read();
  node.port.failsToFollow = new Error('the partition has no leader');
  world.broker.endFollowers(0);
  await world.until(() => node.events.length === 1, 'the report');
  world.broker.isReachable = false;
  world.broker.cut();
  assert.deepEqual(codes(await node.append(1)), ['not_durable']);
  const nowMs = world.nowMs;
  assert.deepEqual(codes(await node.append(1)), ['not_durable']);
  assert.equal(world.nowMs, nowMs, 'at once');
  node.port.failsToFollow = undefined;
  world.broker.isReachable = true;
  await world.until(() => node.events.at(-1)?.event === 'up', 'the log to be up');
  assert.deepEqual(codes(await node.append(1)), ['stored']);
});

test('a broker that accepts and says nothing is found, and reported', async () => {
  const world = new BrokerWorld(11);
  const node = await world.openNode();
  const reader = await node.read();
  world.hang();
  const outcomes = await node.append(1);
  assert.deepEqual(codes(outcomes), ['unknown']);
  assert.equal(node.events[0]?.event, 'down');
  assert.deepEqual(codes(await node.append(1)), ['not_durable']);
  world.broker.isHung = false;
  world.broker.wake();
  await world.until(() => node.events.at(-1)?.event === 'up', 'the log to be up');
  assert.deepEqual(codes(await node.append(1)), ['stored']);
  assert.equal(reader.error, undefined);
});

test('a password that was changed under a running node is said, and tried again now and then', async () => {
  const world = new BrokerWorld(12);
  const node = await world.openNode();
  node.port.refuses = new BrokerError('wrong password', { isFinal: true });
  world.broker.cut();
  await world.until(() => node.events.length === 1, 'the report', 1_000);
  const tries = world.broker.calls.get('connect') ?? 0;
  await world.pass(120_000);
  const more = (world.broker.calls.get('connect') ?? 0) - tries;
  assert.ok(more >= 3 && more <= 9, `${more} tries in 120 s`);
  node.port.refuses = undefined;
  await world.until(() => node.events.at(-1)?.event === 'up', 'the log to be up');
});

test('a broker that lost everything has new epochs: tails are told, appends go on', async () => {
  const world = new BrokerWorld(13);
  const node = await world.openNode();
  const reader = await node.read();
  await node.append(5);
  world.broker.wipe();
  await world.until(() => reader.error !== undefined, 'the tail to end');
  assert.equal(reader.error?.reason, 'epoch');
  assert.equal(reader.error?.epoch, world.broker.constants?.partitions[0]?.epoch);
  const again = await node.read();
  assert.deepEqual(codes(await node.append(1)), ['stored']);
  assert.deepEqual(again.rids, ['r6']);
});

test('closed while its broker is away, a log answers everything and ends', async () => {
  const world = new BrokerWorld(14);
  const node = await world.openNode();
  await node.read();
  world.broker.onAppend = () => ({ fault: 'cut', stored: 0 });
  world.broker.isReachable = false;
  const [inDoubt, waiting] = [
    node.log.append(node.records(1)),
    world.pause(1).then(() => node.log.append(node.records(1))),
  ];
  await world.until(() => !node.port.isConnected, 'the cut');
  const closeMs = world.nowMs;
  await world.of(node.log.close());
  assert.ok(world.nowMs - closeMs < 1_000);
  assert.deepEqual(codes(await inDoubt), ['unknown']);
  assert.deepEqual(codes(await waiting), ['not_durable']);
  assert.deepEqual(codes(await node.append(1)), ['going_away']);
});

test('a connection that is lost while a log closes does not hold it', async () => {
  const world = new BrokerWorld(15);
  const node = await world.openNode();
  await node.read();
  world.broker.isHung = true;
  const answer = node.log.append(node.records(1));
  const closed = node.log.close();
  await world.pass(100);
  world.broker.isReachable = false;
  world.broker.cut();
  await world.of(closed, 'the close', 1_000);
  assert.deepEqual(codes(await answer), ['unknown']);
});

test('signals of a node that is cut off are dropped; back again, its listeners hear', async () => {
  const world = new BrokerWorld(16);
  const [here, there] = [await world.openNode(), await world.openNode()];
  const heard: string[] = [];
  await world.of(there.log.signals.onSignal('there', (bytes) => heard.push(String(bytes))));
  here.port.lose(new Error('reset'));
  here.log.signals.signal('all', Buffer.from('lost'));
  await world.pass(2_000);
  here.log.signals.signal({ node: 'there' }, Buffer.from('one'));
  here.log.signals.signal({ node: 'nobody' }, Buffer.from('two'));
  await world.pass(2_000);
  assert.deepEqual(heard, ['one']);
  assert.throws(() => here.log.signals.signal({ node: 'no.body' }, Buffer.alloc(0)), /"no\.body" is no node's id/);
});
