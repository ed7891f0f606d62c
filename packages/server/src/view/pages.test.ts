/** Pages and tags out of a store that lacks something: whatever way it is read, it is found, never skipped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from './store-memory.ts';
import { contentOf, restore } from './testing/store-content.ts';
import { placeBehindAll, Rig, type RigOptions } from './testing/view-rig.ts';
import { MemoryLog } from '../log/memory/memory-log.ts';

/** The way a reader goes; rejects where it was not given what is there. */
type Way = (rig: Rig, cursors: readonly string[]) => Promise<void>;

const ways: Readonly<Record<string, Way>> = {
  async forward(rig, cursors) {
    assert.deepEqual(
      (await rig.readAll('chat:1', undefined, 7)).map(({ cursor }) => cursor),
      cursors,
    );
  },
  async backward(rig, cursors) {
    assert.deepEqual(
      (await rig.readAllBackward('chat:1', 7)).map(({ cursor }) => cursor),
      cursors,
    );
  },
  async 'the newest'(rig, cursors) {
    const page = await rig.view.read('chat:1', { before: placeBehindAll(rig.constants), limit: 5, bytes: 99_999 });
    assert.deepEqual(
      page.records.map(({ cursor }) => cursor),
      cursors.slice(-5),
    );
    assert.equal(page.end, false);
  },
  async 'in front of one in the middle'(rig, cursors) {
    const page = await rig.view.read('chat:1', { before: cursors[29] as string, limit: 3, bytes: 99_999 });
    assert.deepEqual(
      page.records.map(({ cursor }) => cursor),
      cursors.slice(26, 29),
    );
  },
  async 'the oldest, from in front of the second'(rig, cursors) {
    const page = await rig.view.read('chat:1', { before: cursors[1] as string, limit: 3, bytes: 99_999 });
    assert.deepEqual(
      page.records.map(({ cursor }) => cursor),
      cursors.slice(0, 1),
    );
    assert.equal(page.end, true);
  },
  async tags(rig, cursors) {
    for (const cursor of cursors) {
      const [, position, tag] = cursor.split('.') as [string, string, string];
      assert.equal(await rig.view.tagAt('chat:1', position), tag);
    }
  },
};

const options = (): RigOptions => ({ log: new MemoryLog({ window: 1_000 }) });

for (const [name, way] of Object.entries(ways)) {
  test(`whichever run is missing, who reads ${name} gets what is there`, async () => {
    const store = new MemoryStore();
    const rig = await Rig.open(store, options());
    const cursors: string[] = [];
    for (let run = 0; run < 6; run++) {
      cursors.push(...(await rig.fill('chat:1', 10)));
      await rig.view.flush();
    }
    await way(rig, cursors);
    const content = await contentOf(store);
    const runs = content.filter(({ key }) => key.startsWith('rchat:1 '));
    assert.equal(runs.length, 6);
    let rebuilt = 0;
    for (const missing of [...runs.map((run) => [run]), runs.slice(0, 3), runs.slice(3), runs]) {
      await rig.view.close();
      const harmed = new MemoryStore();
      await restore(harmed, content);
      await harmed.write(missing.map(({ key }) => ({ type: 'del', key })));
      const again = await rig.reopen(harmed);
      await way(again, cursors);
      rebuilt += again.troubles.filter(({ event }) => event === 'view_rebuilt').length;
      await again.view.close();
    }
    assert.ok(rebuilt > 0, 'the harm was met');
  });
}

test('a page from below the floor is called trimmed only where something visible lay between (GAP-2)', async () => {
  const rig = await Rig.open(new MemoryStore(), options());
  const old = await rig.fill('chat:1', 5);
  await rig.append({ channel: 'chat:2' }, { channel: 'chat:2' });
  await rig.append({ kind: 'trim' });
  const read = (after: string): ReturnType<typeof rig.view.read> =>
    rig.view.read('chat:1', { after, limit: 9, bytes: 99_999 });
  const newest = old.at(-1) as string;
  const before = old.at(-2) as string;
  const { floor } = rig.view.state('chat:1');
  assert.ok(newest < floor);
  for (const flushed of [false, true]) {
    if (flushed) await rig.view.flush();
    const nothing = await read(newest);
    assert.deepEqual(
      { records: nothing.records, next: nothing.next, end: nothing.end, trimmed: nothing.trimmed },
      { records: [], next: newest, end: true, trimmed: false },
    );
    assert.equal((await read(before)).trimmed, true);
  }
  const cursors = await rig.fill('chat:1', 2);
  for (const flushed of [false, true]) {
    if (flushed) await rig.view.flush();
    const page = await read(newest);
    assert.equal(page.trimmed, false);
    assert.deepEqual(
      page.records.map(({ cursor }) => cursor),
      cursors,
    );
    const cut = await read(before);
    assert.equal(cut.trimmed, true);
    assert.deepEqual(cut.records, page.records);
  }
  await rig.view.close();
});
