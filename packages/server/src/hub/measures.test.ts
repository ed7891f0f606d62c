import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Measures } from './measures.ts';
import { World, type WorldOptions } from './testing/hub-world.ts';

interface Told {
  readonly what: keyof Measures;
  readonly channel: string;
}

async function measured(t: { after(end: () => Promise<void>): void }, options: WorldOptions = {}) {
  const told: Told[] = [];
  const tell = (what: keyof Measures) => (channel: string, measure: number | string) => {
    if (typeof measure === 'number') assert.ok(measure >= 0);
    told.push({ what, channel });
  };
  const measures: Measures = {
    onDelivered: tell('onDelivered'),
    onResumed: tell('onResumed'),
    onCaughtUp: tell('onCaughtUp'),
    onPageRead: tell('onPageRead'),
  };
  const world = await World.create({ ...options, measures });
  t.after(() => world.close());
  return { world, told };
}

test('a delivery is told once per channel and tick, however many followers and records there are', async (t) => {
  const { world, told } = await measured(t);
  const followers = await Promise.all(Array.from({ length: 50 }, () => world.session()));
  await Promise.all(followers.map((follower) => follower.ask({ op: 'subscribe', channel: 'chat:1' })));
  told.length = 0;
  const writer = await world.session();
  // One tick: what comes together is one batch, and is applied at once.
  const ids = [1, 2, 3].map((n) => writer.request({ op: 'append', channel: 'chat:1', rid: `r${n}` }, `${n}`));
  const alone = writer.request({ op: 'append', channel: 'chat:2', rid: 'r' }, '1');
  await Promise.all([...ids, alone].map((id) => writer.answer(id)));
  await Promise.all(followers.map((follower) => follower.recordsOf('chat:1', 3)));
  assert.equal(world.hub.figures.recordsDelivered, 150);
  assert.deepEqual(told, [{ what: 'onDelivered', channel: 'chat:1' }], 'and nothing where nobody follows');
});

test('what the log has no room for is a hit of its queue', async (t) => {
  const { world } = await measured(t, {
    intercept: (records) => records.map(() => ({ state: 'refused', code: 'overloaded', message: 'full' })),
  });
  const writer = await world.session();
  const answer = await writer.ask({ op: 'append', channel: 'chat:1', rid: 'r' }, '1');
  assert.equal(answer['code'], 'overloaded');
  assert.deepEqual(world.hub.figures.limitHits, { logQueue: 1 });
});
