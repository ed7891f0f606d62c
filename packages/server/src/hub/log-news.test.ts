/** PROTOCOL.md CLS-1: who is told that the log is down. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './testing/hub-world.ts';
import type { Talk } from './testing/talk.ts';

/** `chat:2` lies in partition 2. */
const partitionOf = (channel: string): number => Number(channel.split(':')[1]);
const down = (...partitions: number[]) => ({ partitions: 4, down: partitions });
const told = ({ received }: Talk): unknown[] =>
  received.flatMap(({ frame }) => (frame.op === 'log' ? [frame.state] : []));

/** Everything that was sent before has come. */
async function tolds(...talks: readonly Talk[]): Promise<unknown[][]> {
  for (const talk of talks) await talk.ask({ op: 'unsubscribe', channel: 'chat:none' });
  return talks.map(told);
}

test('CLS-1: while no partition takes records everybody is told, once, also who begins then', async () => {
  const world = await World.create({ partitionOf });
  const [idle, follower] = [await world.session(), await world.session()];
  await follower.ask({ op: 'subscribe', channel: 'chat:1' });
  world.hub.log.set(down(0, 1, 2, 3));
  world.hub.log.set(down(0, 1, 2, 3));
  const late = await world.session();
  await follower.ask({ op: 'subscribe', channel: 'chat:2' });
  assert.deepEqual(await tolds(idle, follower, late), [['down'], ['down'], ['down']]);
  world.hub.log.set(down());
  assert.deepEqual(await tolds(idle, follower, late, await world.session()), [
    ['down', 'up'],
    ['down', 'up'],
    ['down', 'up'],
    [],
  ]);
  await world.close();
});

test('CLS-1: while some partitions take none, those are told who follow a channel of one, until none of theirs is down', async () => {
  const world = await World.create({ partitionOf });
  const [idle, one, other, both] = [
    await world.session(),
    await world.session(),
    await world.session(),
    await world.session(),
  ];
  await one.ask({ op: 'subscribe', channel: 'chat:1' });
  await other.ask({ op: 'subscribe', channel: 'chat:2' });
  await both.ask({ op: 'subscribe', channels: ['chat:1', 'chat:2'] });
  const all = [idle, one, other, both];
  world.hub.log.set(down(1));
  assert.deepEqual(await tolds(...all), [[], ['down'], [], ['down']]);
  world.hub.log.set(down(1, 2));
  assert.deepEqual(await tolds(...all), [[], ['down'], ['down'], ['down']]);
  world.hub.log.set(down(2));
  assert.deepEqual(await tolds(...all), [[], ['down', 'up'], ['down'], ['down']]);
  world.hub.log.set(down(0, 1, 2, 3));
  assert.deepEqual(await tolds(...all), [['down'], ['down', 'up', 'down'], ['down'], ['down']]);
  world.hub.log.set(down(1));
  assert.deepEqual(await tolds(...all), [['down', 'up'], ['down', 'up', 'down'], ['down', 'up'], ['down']]);
  await world.close();
});

test('CLS-1: it follows the subscriptions: told behind the ok of one that lies there, taken back with its end', async () => {
  const world = await World.create({ partitionOf });
  world.hub.log.set(down(1));
  const talk = await world.session();
  await talk.ask({ op: 'subscribe', channel: 'chat:2' });
  await talk.ask({ op: 'subscribe', channel: 'memory:1' });
  assert.deepEqual(await tolds(talk), [[]]);
  await talk.ask({ op: 'subscribe', channel: 'chat:1' });
  await talk.ask({ op: 'subscribe', channel: 'chat:1' });
  await talk.ask({ op: 'subscribe', channel: 'other:1' });
  assert.deepEqual(await tolds(talk), [['down']]);
  const [ok, log] = talk.received.slice(talk.received.findIndex(({ frame }) => frame.op === 'log') - 1);
  assert.deepEqual([ok?.frame.op, ok?.frame['channel'], log?.frame.op], ['ok', 'chat:1', 'log']);
  await talk.ask({ op: 'unsubscribe', channel: 'chat:1' });
  assert.deepEqual(await tolds(talk), [['down']]);
  await talk.ask({ op: 'unsubscribe', channel: 'other:1' });
  assert.deepEqual(await tolds(talk), [['down', 'up']]);
  await world.close();
});
