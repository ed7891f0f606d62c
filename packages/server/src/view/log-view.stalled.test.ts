/** When the view says that it takes nothing from the log: never for a moment, always while it lasts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from './store-memory.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { instantEnv, movableEnv, Rig, waitFor } from './testing/view-rig.ts';

const LONG_MS = 2_001;

test('a store that takes its time makes the tail wait, and is stalled only when it has taken nothing for two seconds', async () => {
  const faulty = new FaultyStore(new MemoryStore());
  const env = movableEnv();
  const rig = await Rig.open(faulty, { env, unwrittenRecordsMax: 100 });
  const release = faulty.holdWrites();
  await rig.fill('chat:1', 101);
  const waiting = rig.append({});
  await waitFor('the log to have it', async () => ((await rig.view.logNewest('')) ?? '') > rig.view.applied(''));
  assert.equal(rig.view.isStalled, false, 'a full overlay alone is what a fast log and a slow store look like');
  env.monotonicOffsetMs += LONG_MS;
  assert.equal(rig.view.isStalled, true);
  release();
  await waiting;
  await waitFor('everything written', () => rig.view.flush());
  assert.equal(rig.view.isStalled, false);
  await rig.view.close();
});

test('a head that cannot be read because the store cannot be opened stalls the view, too', async () => {
  const faulty = new FaultyStore(new MemoryStore());
  const rig = await Rig.open(faulty, { env: instantEnv() });
  await rig.fill('chat:1', 1);
  await rig.view.flush();
  faulty.isStuck = true;
  faulty.faults.push('refuse');
  await rig.fill('chat:1', 1);
  await waitFor('a second complaint', () => rig.troubles.length > 1);
  assert.equal(rig.view.isStalled, false, 'what is in memory can still be applied');
  const waiting = rig.append({ channel: 'chat:2' });
  await waitFor('the tail to wait', () => rig.view.isStalled);
  faulty.isStuck = false;
  await waiting;
  await waitFor('the tail to go on', () => !rig.view.isStalled);
  await rig.view.close();
});

test('while it is made anew from a log that takes long to read, it is stalled', async () => {
  const faulty = new FaultyStore(new MemoryStore());
  const env = movableEnv();
  const rig = await Rig.open(faulty, { env });
  const cursors = await rig.fill('chat:1', 5);
  await rig.view.flush();
  const release = faulty.holdOpening();
  await faulty.setAside();
  const reading = rig.readAll('chat:1');
  await waitFor('the rebuilding', () => rig.troubles.length > 0 || faulty.isOpening);
  assert.equal(rig.view.isStalled, false);
  env.monotonicOffsetMs += LONG_MS;
  assert.equal(rig.view.isStalled, true);
  release();
  assert.deepEqual(
    (await reading).map(({ cursor }) => cursor),
    cursors,
  );
  assert.equal(rig.view.isStalled, false);
  await rig.view.close();
});

test('closed while its store cannot be opened and its housekeeping waits for it, it ends', async () => {
  const faulty = new FaultyStore(new MemoryStore());
  const rig = await Rig.open(faulty, { env: instantEnv() });
  await rig.fill('chat:1', 63, 1);
  await rig.view.flush();
  faulty.isStuck = true;
  faulty.faults.push('refuse');
  await rig.fill('chat:1', 1);
  await waitFor('a second complaint', () => rig.troubles.length > 1);
  const tidying = assert.rejects(rig.view.tidy());
  await rig.view.close();
  await tidying;
});
