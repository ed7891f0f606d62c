import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkView } from './check.ts';
import { MemoryStore } from './store-memory.ts';
import { StoreError, type StoreOp } from './store.ts';
import { contentOf, restore } from './testing/store-content.ts';
import { Rig } from './testing/view-rig.ts';

/** A store with trims, joins, several channels and a restart behind it. */
async function makeStore(): Promise<MemoryStore> {
  const store = new MemoryStore();
  const retention = () => ({ records: 100 });
  const rig = await Rig.open(store, { retention });
  await rig.fill('chat:1', 400, 7);
  await rig.fill('chat:2', 3);
  await rig.append({ channel: 'chat:2', kind: 'trim' });
  await rig.fill('chat:3', 90, 90);
  await rig.append({ channel: 'chat:3', kind: 'trim' }, { channel: 'chat:3' }, { channel: 'chat:4', kind: 'close' });
  await rig.view.flush();
  await rig.view.tidy();
  const again = await rig.reopen(store, { retention });
  await again.fill('chat:1', 5);
  await again.view.close();
  return store;
}

test('a store that a view left behind is whole', async () => {
  const check = await checkView(await makeStore());
  assert.deepEqual(check.problems, []);
  assert.equal(check.channels, 4);
  assert.ok(check.records > 100 && check.bytes > 1_000);
});

test('an empty store is whole', async () => {
  const { applied, channels, problems } = await checkView(new MemoryStore());
  assert.deepEqual({ applied, channels, problems }, { applied: undefined, channels: 0, problems: [] });
});

test('a run that is missing, one that is too much, a wrong count and a wrong head are each named', async () => {
  const content = await contentOf(await makeStore());
  const runs = content.filter(({ key }) => key.startsWith('rchat:1 '));
  assert.ok(runs.length > 2);
  const harm = async (op: StoreOp, expected: RegExp): Promise<void> => {
    // How records were gathered into runs is not the same twice: it is this very store that is harmed.
    const store = new MemoryStore();
    await restore(store, content);
    await store.write([op]);
    const { problems } = await checkView(store);
    assert.ok(
      problems.some(({ channel, problem }) => channel === 'chat:1' && expected.test(problem)),
      JSON.stringify(problems),
    );
  };
  const first = runs[0] as (typeof runs)[number];
  const middle = runs[1] as (typeof runs)[number];
  const last = runs.at(-1) as (typeof runs)[number];
  await harm({ type: 'del', key: first.key }, /records are missing before/);
  await harm({ type: 'del', key: middle.key }, /records are missing before/);
  await harm({ type: 'del', key: last.key }, /its head is/);
  await harm({ type: 'del', key: last.key }, /and counted/);
  await harm({ type: 'put', key: `${last.key}z`, value: middle.value }, /ends elsewhere/);
});

test('damage is a problem that is named; a store in use is refused', async () => {
  const store = await makeStore();
  store.scan = () => Promise.reject(new StoreError('damaged', 'a value is not as it was written'));
  const { problems } = await checkView(store);
  assert.deepEqual(problems, [{ channel: undefined, problem: 'a value is not as it was written' }]);
  store.open = () => Promise.reject(new StoreError('in_use', 'another process holds it'));
  await assert.rejects(checkView(store), /another process/);
});
