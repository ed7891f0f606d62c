/** What every view lets go of, by a `trim` and by retention, and what it promises to keep. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Listener } from '../view-rig.ts';
import type { WithRig } from './view-case.ts';

export function trimCases(withRig: WithRig): void {
  test('trim: what stood before it is gone, its place is the floor with the head’s tag, and the chain goes on', () =>
    withRig({}, async (rig, open) => {
      const cursors = await rig.fill('chat:1', 100, 9);
      const listener = new Listener();
      rig.view.follow('chat:1', listener);
      const [verdict] = await rig.append({ kind: 'trim' });
      const { floor, head, place } = rig.view.state('chat:1');
      assert.deepEqual(verdict, { state: 'control', cursor: floor });
      assert.equal(head, cursors.at(-1));
      assert.equal(place, floor);
      assert.equal(floor.slice(-4), head?.slice(-4));
      assert.deepEqual(listener.heard, [`floor ${floor}`]);
      assert.deepEqual(await rig.readAll('chat:1'), []);
      const old = await rig.view.read('chat:1', { after: cursors[5] as string, limit: 9, bytes: 1_000 });
      assert.deepEqual([old.records.length, old.trimmed, old.next], [0, true, floor]);
      const [behind] = await rig.fill('chat:1', 1);
      const records = await rig.readAll('chat:1');
      assert.deepEqual(
        records.map(({ cursor, prev }) => [cursor, prev]),
        [[behind, head]],
      );
      await rig.view.flush();
      await rig.view.tidy();
      const again = await rig.reopen(open());
      assert.equal(again.view.state('chat:1').floor, floor);
      assert.deepEqual(
        (await again.readAll('chat:1')).map((record) => record.cursor),
        [behind],
      );
      return again;
    }));

  test('retention by count keeps at least what it promises, by whole runs, and the floor is the newest one trimmed', () =>
    withRig({ retention: () => ({ records: 100 }) }, async (rig, open) => {
      const cursors = await rig.fill('chat:1', 700, 50);
      const listener = new Listener();
      rig.view.follow('chat:1', listener);
      await rig.view.flush();
      await rig.view.tidy();
      const { floor, floorIsFinal, head } = rig.view.state('chat:1');
      const records = await rig.readAll('chat:1');
      assert.ok(records.length >= 100 && records.length <= 164, `${records.length} records kept`);
      assert.deepEqual(
        records.map((record) => record.cursor),
        cursors.slice(-records.length),
      );
      assert.equal(floor, cursors.at(-records.length - 1));
      assert.equal(records[0]?.prev, floor);
      assert.equal(floorIsFinal, true);
      assert.equal(head, cursors.at(-1));
      const again = await rig.reopen(open(), { retention: () => ({ records: 100 }) });
      assert.equal(again.view.state('chat:1').floor, floor);
      assert.equal((await again.readAll('chat:1')).length, records.length);
      return again;
    }));

  test('retention by bytes keeps at least what it promises', () =>
    withRig({ retention: () => ({ bytes: 200_000 }) }, async (rig) => {
      const payload = `"${'x'.repeat(1_000)}"`;
      for (let i = 0; i < 60; i++) await rig.append(...Array.from({ length: 10 }, () => ({ payload })));
      await rig.view.flush();
      await rig.view.tidy();
      const records = await rig.readAll('chat:1');
      const bytes = records.reduce((sum, record) => sum + record.frame.length, 0);
      assert.ok(bytes >= 200_000 && bytes <= 340_000, `${bytes} bytes kept`);
    }));

  test('a reader that pages while records are trimmed under it sees an unbroken chain, or is told trimmed', () =>
    withRig({ retention: () => ({ records: 64 }) }, async (rig) => {
      let done = false;
      const writing = (async () => {
        for (let i = 0; i < 120; i++) await rig.fill('chat:1', 25);
        done = true;
      })();
      let place = rig.view.state('chat:1').floor;
      let read = 0;
      while (!done) {
        const page = await rig.view.read('chat:1', { after: place, limit: 7, bytes: 100_000 });
        const { floor } = rig.view.state('chat:1');
        let at = page.trimmed ? floor : place;
        for (const record of page.records) {
          assert.ok(page.trimmed || record.prev <= at, `${record.prev} ≤ ${at}`);
          assert.ok(record.cursor > place, 'forwards only');
          at = record.cursor;
        }
        read += page.records.length;
        place = page.next;
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      await writing;
      assert.ok(read > 0);
      await rig.view.flush();
      await rig.view.tidy();
      assert.ok((await rig.readAll('chat:1')).length >= 64);
    }));
}
