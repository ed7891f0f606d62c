/** What leaves the view by itself: records by age, what a clock must not take away, and channels nobody uses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryLog } from '../log/memory/memory-log.ts';
import { MemoryStore } from './store-memory.ts';
import { contentOf } from './testing/store-content.ts';
import { Listener, movableEnv, Rig } from './testing/view-rig.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

test('records leave once they are older than promised, also in a channel nobody appends to any more', async () => {
  const env = movableEnv();
  const rig = await Rig.open(new MemoryStore(), { env, retention: () => ({ ageMs: DAY }) });
  const fill = async (count: number): Promise<string[]> => {
    const verdicts = await rig.append(...Array.from({ length: count }, () => ({ time: env.now() })));
    return verdicts.map((verdict) => (verdict as { cursor: string }).cursor);
  };
  const move = (ms: number): void => {
    env.wallOffsetMs += ms;
    env.monotonicOffsetMs += ms;
  };
  const old = await fill(100);
  // They are a run of their own, and leave as one.
  await rig.view.flush();
  move(20 * HOUR);
  const young = await fill(30);
  await rig.view.flush();
  await rig.view.tidy();
  assert.equal((await rig.readAll('chat:1')).length, 130, 'nothing is too old yet');
  const listener = new Listener();
  rig.view.follow('chat:1', listener);
  move(5 * HOUR);
  await rig.view.tidy();
  assert.deepEqual(
    (await rig.readAll('chat:1')).map((record) => record.cursor),
    young,
  );
  assert.equal(rig.view.state('chat:1').floor, old.at(-1));
  assert.deepEqual(listener.heard, [`floor ${old.at(-1)}`]);
  move(20 * HOUR);
  await rig.view.tidy();
  const { floor, head, place } = rig.view.state('chat:1');
  assert.deepEqual(await rig.readAll('chat:1'), []);
  assert.deepEqual([floor, head, place], [young.at(-1), young.at(-1), young.at(-1)]);
  // F3b: who holds the head of an idle channel resumes there.
  assert.equal(
    await rig.view.tagAt('chat:1', (head as string).split('.')[1] as string),
    (head as string).split('.')[2],
  );
  const [next] = await fill(1);
  const [record] = await rig.readAll('chat:1');
  assert.deepEqual([record?.cursor, record?.prev], [next, head]);
  assert.deepEqual(rig.troubles, []);
  await rig.view.close();
});

test('F26: a clock that steps by a year trims nothing, and says so', async () => {
  const env = movableEnv();
  const rig = await Rig.open(new MemoryStore(), { env, retention: () => ({ ageMs: DAY }) });
  await rig.append(...Array.from({ length: 70 }, () => ({ time: env.now() })));
  env.wallOffsetMs = 365 * DAY;
  await rig.append({ time: env.now() });
  await rig.view.flush();
  await rig.view.tidy();
  assert.equal((await rig.readAll('chat:1')).length, 71);
  assert.deepEqual(
    rig.troubles.map(({ event }) => event),
    ['clock_in_doubt'],
  );
  await rig.view.close();
});

test('F26: a start with a clock a year ahead trims nothing and forgets nobody', async () => {
  const env = movableEnv();
  const store = new MemoryStore();
  const retention = () => ({ ageMs: DAY });
  const rig = await Rig.open(store, { env, retention });
  await rig.append(...Array.from({ length: 70 }, () => ({ time: env.now() })));
  await rig.append({ channel: 'chat:2', time: env.now() }, { channel: 'chat:2', kind: 'trim' });
  await rig.view.flush();
  const { head } = rig.view.state('chat:2');
  env.wallOffsetMs = 365 * DAY;
  const again = await rig.reopen(store, { env, retention });
  await again.view.tidy();
  assert.equal((await again.readAll('chat:1')).length, 70);
  assert.equal(again.view.state('chat:2').head, head);
  await again.view.close();
});

test('a channel without records is forgotten after 30 days; of those forgotten the highest place is the floor', async () => {
  const env = movableEnv();
  const store = new MemoryStore();
  const rig = await Rig.open(store, { env, log: new MemoryLog({ window: 10 }) });
  await rig.fill('chat:kept', 3);
  await rig.fill('chat:gone', 2);
  await rig.append({ channel: 'chat:gone', kind: 'trim' });
  const { floor } = rig.view.state('chat:gone');
  await rig.view.flush();
  await rig.view.tidy();
  for (let day = 0; day < 31; day++) {
    // An hour past each day, so that no test stands on the edge.
    env.wallOffsetMs += day === 0 ? DAY + HOUR : DAY;
    env.monotonicOffsetMs += day === 0 ? DAY + HOUR : DAY;
    await rig.view.tidy();
    assert.equal(rig.view.state('chat:gone').head === undefined, day >= 29, `day ${day + 1}`);
  }
  const position = floor.split('.')[1];
  assert.equal(rig.view.state('chat:gone').floor, `${rig.constants.epochs[0]}.${position}.zzzz`);
  assert.equal(rig.view.state('chat:never').floor, `${rig.constants.epochs[0]}.${position}.zzzz`);
  assert.equal((await rig.readAll('chat:kept')).length, 3);
  await rig.view.flush();
  assert.ok((await contentOf(store)).every(({ key }) => !key.includes('gone')));
  const again = await rig.reopen(store, { env });
  assert.equal(again.view.state('chat:never').floor, `${rig.constants.epochs[0]}.${position}.zzzz`);
  const [cursor] = await again.fill('chat:gone', 1);
  const [record] = await again.readAll('chat:gone');
  assert.deepEqual([record?.cursor, record?.prev], [cursor, `${rig.constants.epochs[0]}.${position}.----`]);
  await again.view.close();
});

test('ridWindowMs: everything while the log is young, then how long ago the oldest id in the window was', async () => {
  const env = movableEnv();
  const store = new MemoryStore();
  const rig = await Rig.open(store, { env, log: new MemoryLog({ window: 100 }) });
  assert.ok(rig.view.ridWindowMs() > 7 * DAY);
  await rig.fill('chat:1', 100, 10);
  assert.ok(rig.view.ridWindowMs() > 7 * DAY);
  env.wallOffsetMs += HOUR;
  for (let i = 0; i < 20; i++) {
    env.wallOffsetMs += 60_000;
    await rig.append({ rid: `r${i}` }, ...Array.from({ length: 9 }, () => ({})));
    await rig.view.flush();
  }
  const reach = rig.view.ridWindowMs();
  assert.ok(reach > 5 * 60_000 && reach <= 10 * 60_000, `${reach} ms`);
  assert.notEqual(rig.view.findRid('chat:1', undefined, 'r11'), undefined);
  assert.equal(rig.view.findRid('chat:1', undefined, 'r8'), undefined);
  const again = await rig.reopen(store, { env });
  assert.ok(again.view.ridWindowMs() <= 10 * 60_000 && again.view.ridWindowMs() > 5 * 60_000);
  await again.view.close();
});
