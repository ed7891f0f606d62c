/** One life of a view succeeds another at the worst moment: nothing is told twice, nothing is left out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError, type Store } from './store.ts';
import { MemoryStore } from './store-memory.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { contentOf, restore } from './testing/store-content.ts';
import { instantEnv, Listener, Rig, waitFor } from './testing/view-rig.ts';

/** The next read of such a key fails once. */
function failOnce(store: Store, reason: StoreError['reason'], isMeant: (key: string) => boolean): { failed: number } {
  const seen = { failed: 0 };
  const getSync = store.getSync.bind(store);
  store.getSync = (key) => {
    if (!isMeant(key)) return getSync(key);
    store.getSync = getSync;
    seen.failed++;
    throw new StoreError(reason, 'the disk says no');
  };
  return seen;
}

for (const reason of ['failed', 'damaged'] as const) {
  test(`a head that cannot be read (${reason}) at the moment when a new life serves: nobody is told twice`, async () => {
    const inner = new MemoryStore();
    const faulty = new FaultyStore(inner);
    const rig = await Rig.open(faulty, { env: instantEnv() });
    const quiet = new Listener();
    const busy = new Listener();
    const old = await rig.fill('chat:quiet', 3);
    await rig.view.flush();
    const content = await contentOf(inner);
    rig.view.follow('chat:quiet', quiet);
    rig.view.follow('chat:busy', busy);
    const cursors = await rig.fill('chat:busy', 20, 4);
    await rig.view.flush();

    // What was confirmed since is lost. The new life reads it from the log, and does not touch the quiet channel.
    const release = faulty.holdOpening();
    faulty.faults.push('refuse');
    cursors.push(...(await rig.fill('chat:busy', 2)));
    await waitFor('the opening', () => faulty.isOpening);
    await restore(inner, content);
    const seen = failOnce(inner, reason, (key) => key === 'mchat:quiet');
    const appending = rig.append({ channel: 'chat:busy' });
    release();
    cursors.push(...(await appending).map((verdict) => (verdict as { cursor: string }).cursor));
    await waitFor('the view made anew', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));
    assert.equal(seen.failed, 1);
    cursors.push(...(await rig.fill('chat:busy', 2)));
    assert.deepEqual(
      busy.records.map(({ cursor }) => cursor),
      cursors,
    );
    assert.deepEqual(
      (await rig.readAll('chat:busy')).map(({ cursor }) => cursor),
      cursors,
    );
    assert.deepEqual(quiet.heard, []);
    assert.deepEqual(
      (await rig.readAll('chat:quiet')).map(({ cursor }) => cursor),
      old,
    );
    await rig.view.close();
  });
}

test('a damaged window keeps no view from opening: it is set aside, and made anew from the log', async () => {
  const inner = new MemoryStore();
  const first = await Rig.open(inner);
  const cursors = await first.fill('chat:1', 5);
  const [answer] = await first.append({ rid: 'r' });
  await first.view.close();
  const scan = inner.scan.bind(inner);
  inner.scan = (range) => {
    if (!(range.gt ?? range.gte ?? '').startsWith('w')) return scan(range);
    inner.scan = scan;
    return Promise.reject(new StoreError('damaged', 'not as it was written'));
  };
  const again = await first.reopen(inner, { env: instantEnv() });
  assert.deepEqual(
    again.troubles.map(({ event }) => event),
    ['store_set_aside'],
  );
  assert.deepEqual(
    (await again.readAll('chat:1')).slice(0, 5).map(({ cursor }) => cursor),
    cursors,
  );
  assert.deepEqual((await again.append({ rid: 'r' }))[0], { state: 'duplicate', first: answer });
  await again.view.close();
});
