import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import { MemoryLog } from '../log/memory/memory-log.ts';
import { MemoryStore } from './store-memory.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { contentOf } from './testing/store-content.ts';
import { instantEnv, Listener, Rig, waitFor } from './testing/view-rig.ts';

test('the log is told what is settled only from a store that was opened anew', async () => {
  const log = new MemoryLog({ window: 50, keepBytes: 20_000 });
  const faulty = new FaultyStore(new MemoryStore());
  const rig = await Rig.open(faulty, { log, env: instantEnv() });
  const told: { readonly position: string; readonly opened: number }[] = [];
  const settled = log.settled.bind(log);
  log.settled = (partition, position) => {
    told.push({ position, opened: faulty.opened });
    return settled(partition, position);
  };
  const cursors = await rig.fill('chat:1', 600, 10);
  await waitFor('the log to let go', async () => !(await log.bounds(0)).fromGenesis);
  assert.ok(told.length > 0);
  assert.deepEqual(
    told.map(({ opened }) => opened),
    told.map((_, i) => i + 2),
    'each from a handle of its own',
  );
  assert.deepEqual(
    (await rig.readAll('chat:1')).map((record) => record.cursor),
    cursors,
  );
  assert.deepEqual(rig.troubles, []);
  await rig.view.close();
});

test('a flood of channel names leaves nothing behind, in memory or in the store', async () => {
  const store = new MemoryStore();
  const rig = await Rig.open(store);
  await rig.fill('chat:1', 1);
  await rig.view.flush();
  // Of each write there is a mark, whatever it held.
  const entries = async (): Promise<number> => (await contentOf(store)).filter(({ key }) => key[0] !== 's').length;
  const before = await entries();
  const stops = [];
  for (let i = 0; i < 3_000; i++) {
    const name = `chat:flood-${i}`;
    stops.push(rig.view.follow(name, new Listener()));
    const { floor } = rig.view.state(name);
    await rig.view.read(name, { after: floor, limit: 1, bytes: 1 });
    await rig.view.tagAt(name, '15');
  }
  const refused = await rig.append(
    ...Array.from({ length: 100 }, (_, i) => ({ channel: `chat:no-${i}`, key: 'k', expect: 'x' })),
  );
  assert.ok(refused.every(({ state }) => state === 'conflict'));
  for (const stop of stops) stop();
  await rig.view.flush();
  // The window's part and nothing else.
  assert.ok((await entries()) <= before + 1);
  await rig.view.close();
});

test('channels that are not in use leave memory and come back as they were', async () => {
  const rig = await Rig.open(new MemoryStore(), { channelsKeptMax: 10 });
  const cursors = new Map<string, string[]>();
  for (let i = 0; i < 400; i++) {
    const name = `chat:${i % 80}`;
    cursors.set(name, [...(cursors.get(name) ?? []), ...(await rig.fill(name, 1))]);
  }
  for (const [name, expected] of cursors) {
    assert.equal(rig.view.state(name).head, expected.at(-1));
    assert.deepEqual(
      (await rig.readAll(name)).map((record) => record.cursor),
      expected,
    );
  }
  await rig.view.close();
});

test('a closed view says so to who reads, and lets go of who waits', async () => {
  const rig = await Rig.open(new MemoryStore());
  const [cursor] = await rig.fill('chat:1', 1);
  const waiting = rig.view.reach('chat:1', '1z', 60_000);
  await rig.view.close();
  assert.equal(await waiting, false);
  await assert.rejects(
    rig.view.read('chat:1', { after: cursor as string, limit: 1, bytes: 1 }),
    (error) => error instanceof TidewayError && error.code === 'going_away',
  );
  await rig.view.close();
});

test('a view that is closed while its store cannot be opened ends, and so do its readers', async () => {
  const faulty = new FaultyStore(new MemoryStore());
  const rig = await Rig.open(faulty, { env: instantEnv() });
  const cursors = await rig.fill('chat:1', 5);
  await rig.view.flush();
  faulty.isStuck = true;
  faulty.faults.push('refuse');
  await rig.fill('chat:2', 1);
  await waitFor('a second complaint', () => rig.troubles.length > 1);
  const reading = rig.view.read('chat:1', { before: cursors[4] as string, limit: 9, bytes: 9_999 });
  await Promise.all([rig.view.close(), assert.rejects(reading, /closed/)]);
});

test('a reader that reads twice while runs are joined in between misses nothing', async () => {
  const inner = new MemoryStore();
  const faulty = new FaultyStore(inner);
  const rig = await Rig.open(faulty);
  const cursors = await rig.fill('chat:1', 63, 1);
  await rig.view.flush();
  const scan = inner.scan.bind(inner);
  inner.scan = async (range) => {
    const found = await scan(range);
    // The reader's look for the run that begins before its place and ends behind it.
    if (range.limit !== 1) return found;
    inner.scan = scan;
    await rig.fill('chat:1', 60, 1);
    await rig.view.flush();
    await rig.view.tidy();
    return found;
  };
  const before = cursors[40] as string;
  const page = await rig.view.read('chat:1', { before, limit: 30, bytes: 1_000_000 });
  assert.equal(inner.scan, scan, 'it was rearranged meanwhile');
  assert.deepEqual(
    page.records.map((record) => record.cursor),
    cursors.slice(10, 40),
  );
  await rig.view.close();
});

test('a trim while what it takes away is on its way to the store leaves nothing there', async () => {
  const inner = new MemoryStore();
  const faulty = new FaultyStore(inner);
  const rig = await Rig.open(faulty);
  await rig.fill('chat:1', 10, 3);
  await rig.view.flush();
  const release = faulty.holdWrites();
  await rig.fill('chat:1', 10, 3);
  await rig.append({ kind: 'trim' });
  await rig.fill('chat:2', 1);
  release();
  await rig.view.flush();
  await rig.view.tidy();
  assert.deepEqual(
    (await contentOf(inner)).filter(({ key }) => key.startsWith('rchat:1 ')),
    [],
  );
  await rig.view.close();
});
