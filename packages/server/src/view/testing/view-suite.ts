/** What every view does, whatever its store: run once for each store. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseCursor } from '@tideway/protocol';
import { checkView } from '../check.ts';
import { frameParts, readRecordHeader } from '../frame.ts';
import type { Store } from '../store.ts';
import { Listener, placeBehindAll, Rig, type RigOptions } from './view-rig.ts';

/** @param openable makes a store, each time the same one when called with the same name in one test */
export function viewSuite(storeName: string, makeStore: () => { open(): Store; remove(): Promise<void> }): void {
  async function withRig(
    options: RigOptions,
    body: (rig: Rig, open: () => Store) => Promise<Rig | void>,
  ): Promise<void> {
    const store = makeStore();
    const rig = await Rig.open(store.open(), options);
    let last = rig;
    try {
      last = (await body(rig, () => store.open())) ?? rig;
      assert.deepEqual(last.troubles, []);
    } finally {
      await last.view.close();
      await last.log.close();
      assert.deepEqual((await checkView(store.open())).problems, []);
      await store.remove();
    }
  }

  describe(`view over ${storeName}`, () => {
    test('a channel nobody appended to is empty, at the place zero, and leaves nothing behind', () =>
      withRig({}, async ({ view, constants }) => {
        const floor = `${constants.epochs[0]}.0.zzzz`;
        assert.deepEqual(view.state('chat:none'), {
          epoch: constants.epochs[0],
          place: floor,
          head: undefined,
          floor,
          floorIsFinal: true,
          closed: false,
        });
        assert.deepEqual(await view.read('chat:none', { after: floor, limit: 10, bytes: 1_000 }), {
          records: [],
          first: floor,
          next: floor,
          end: true,
          trimmed: false,
          behind: false,
        });
      }));

    test('REC-1: a record’s frame says its channel, cursor, prev and what its writer gave; the payload is its bytes', () =>
      withRig({}, async (rig) => {
        const payload = '{"text":"hé"}';
        await rig.append({ payload, rid: 'r1', user: 'ann "a"', key: 'k', trace: '00-x', time: 1_234 });
        await rig.append({ payload: Buffer.from([0, 10, 255]), encoding: 'bytes' });
        const [first, second] = await rig.readAll('chat:1');
        assert.ok(first !== undefined && second !== undefined);
        const parts = frameParts(first.frame);
        assert.equal(parts.payload.toString(), payload);
        assert.equal(parts.length, first.frame.length);
        assert.deepEqual(readRecordHeader(parts.header), {
          op: 'record',
          channel: 'chat:1',
          cursor: first.cursor,
          prev: `${rig.constants.epochs[0]}.0.----`,
          time: 1_234,
          rid: 'r1',
          user: 'ann "a"',
          key: 'k',
          trace: '00-x',
        });
        assert.deepEqual([...frameParts(second.frame).payload], [0, 10, 255]);
        assert.equal(second.prev, first.cursor);
      }));

    test('what was acknowledged is in the next state and read, written or not', () =>
      withRig({}, async (rig) => {
        for (let i = 0; i < 5; i++) {
          const [verdict] = await rig.append({ channel: 'chat:a' });
          assert.equal(verdict?.state, 'visible');
          assert.equal(rig.view.state('chat:a').head, (verdict as { cursor: string }).cursor);
          assert.equal((await rig.readAll('chat:a')).length, i + 1);
        }
      }));

    test('pages are the same from overlay, young runs and joined runs, forwards and backwards', () =>
      withRig({}, async (rig) => {
        const cursors = await rig.fill('chat:p', 150, 1);
        await rig.fill('chat:other', 30, 7);
        await rig.view.flush();
        cursors.push(...(await rig.fill('chat:p', 130, 130)));
        const overlay = (await rig.readAll('chat:p', undefined, 17)).map((record) => record.cursor);
        await rig.view.flush();
        await rig.view.tidy();
        const settled = (await rig.readAll('chat:p', undefined, 17)).map((record) => record.cursor);
        assert.deepEqual(overlay, cursors);
        assert.deepEqual(settled, cursors);
        assert.deepEqual(
          (await rig.readAllBackward('chat:p', 23)).map((record) => record.cursor),
          cursors,
        );
        const middle = cursors[100] as string;
        const after = await rig.view.read('chat:p', { after: middle, limit: 3, bytes: 1_000_000 });
        assert.deepEqual(
          after.records.map((record) => record.cursor),
          cursors.slice(101, 104),
        );
        assert.deepEqual([after.first, after.next, after.end], [cursors[101], cursors[103], false]);
        const before = await rig.view.read('chat:p', { before: middle, limit: 3, bytes: 1_000_000 });
        assert.deepEqual(
          before.records.map((record) => record.cursor),
          cursors.slice(97, 100),
        );
        assert.deepEqual([before.first, before.next, before.end], [cursors[97], cursors[99], false]);
      }));

    test('a page stops before its bytes are exceeded, and gives at least one record', () =>
      withRig({}, async (rig) => {
        const payload = `"${'x'.repeat(900)}"`;
        const [first, ...rest] = await rig.append(...Array.from({ length: 10 }, () => ({ payload })));
        assert.equal(first?.state, 'visible');
        const { floor } = rig.view.state('chat:1');
        for (const bytes of [1, 3_500]) {
          const forward = await rig.view.read('chat:1', { after: floor, limit: 100, bytes });
          assert.equal(forward.records.length, bytes === 1 ? 1 : 3);
          assert.equal(forward.end, false);
          const backward = await rig.view.read('chat:1', { before: placeBehindAll(rig.constants), limit: 100, bytes });
          assert.equal(backward.records.length, bytes === 1 ? 1 : 3);
          assert.equal(backward.next, (rest.at(-1) as { cursor: string }).cursor);
        }
      }));

    test('a page begins behind any place, also one between two records of the channel', () =>
      withRig({}, async (rig) => {
        const [a] = await rig.fill('chat:1', 1);
        const [elsewhere] = await rig.fill('chat:2', 1);
        const [b] = await rig.fill('chat:1', 1);
        const between = await rig.view.read('chat:1', { after: elsewhere as string, limit: 10, bytes: 10_000 });
        assert.deepEqual(
          between.records.map((record) => record.cursor),
          [b],
        );
        const before = await rig.view.read('chat:1', { before: elsewhere as string, limit: 10, bytes: 10_000 });
        assert.deepEqual(
          before.records.map((record) => record.cursor),
          [a],
        );
        const atEnd = await rig.view.read('chat:1', { after: b as string, limit: 10, bytes: 10_000 });
        assert.deepEqual([atEnd.records.length, atEnd.end, atEnd.next], [0, true, b]);
      }));

    test('SUB-5: tagAt gives the tag of the newest record at or before a position, in overlay and store', () =>
      withRig({}, async (rig) => {
        const cursors: string[] = [];
        for (let i = 0; i < 80; i++) cursors.push(...(await rig.fill('chat:1', 1)), ...(await rig.fill('chat:2', 1)));
        for (const written of [false, true]) {
          if (written) {
            await rig.view.flush();
            await rig.view.tidy();
          }
          for (const i of [0, 1, 60, 61, 158, 159]) {
            const { position } = parseCursor(cursors[i] as string) as { position: string };
            const own = parseCursor(cursors[i - (i % 2)] as string) as { tag: string };
            assert.equal(await rig.view.tagAt('chat:1', position), own.tag, `record ${i}`);
          }
        }
        assert.equal(await rig.view.tagAt('chat:1', '0'), undefined);
        assert.equal(await rig.view.tagAt('chat:none', '15'), undefined);
      }));

    test('followers get each batch’s records of their channel in order, before the verdicts; nobody gets the past', () =>
      withRig({}, async (rig) => {
        await rig.fill('chat:1', 2);
        const listener = new Listener();
        const stop = rig.view.follow('chat:1', listener);
        const verdicts = await rig.append({}, { channel: 'chat:2' }, {}, { kind: 'close' });
        assert.deepEqual(listener.heard, ['records 2', 'closed']);
        assert.deepEqual(
          listener.records.map((record) => record.cursor),
          [verdicts[0], verdicts[2]].map((verdict) => (verdict as { cursor: string }).cursor),
        );
        assert.equal(rig.view.state('chat:1').closed, true);
        assert.equal((await rig.append({}))[0]?.state, 'closed');
        stop();
        await rig.append({ kind: 'trim' });
        assert.equal(listener.heard.length, 2);
      }));

    test('a follower that throws harms neither the others nor the view', async () => {
      const store = makeStore();
      const rig = await Rig.open(store.open());
      const listener = new Listener();
      const failing = new Listener();
      failing.onRecords = () => assert.fail('on purpose');
      rig.view.follow('chat:1', failing);
      rig.view.follow('chat:1', listener);
      await rig.fill('chat:1', 1);
      assert.equal(listener.records.length, 1);
      assert.deepEqual(
        rig.troubles.map(({ event }) => event),
        ['follower_failed'],
      );
      await rig.view.close();
      await store.remove();
    });

    test('APP-2: a repeated rid is a duplicate with the first one’s cursor, also after a restart', () =>
      withRig({}, async (rig, open) => {
        const [first] = await rig.append({ rid: 'r', user: 'ann' });
        assert.deepEqual((await rig.append({ rid: 'r', user: 'ann' }))[0], { state: 'duplicate', first });
        assert.deepEqual(rig.view.findRid('chat:1', 'ann', 'r'), first);
        assert.equal(rig.view.findRid('chat:1', 'bob', 'r'), undefined);
        const again = await rig.reopen(open());
        assert.deepEqual(again.view.findRid('chat:1', 'ann', 'r'), first);
        assert.equal((await again.readAll('chat:1')).length, 1);
        return again;
      }));

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

    test('after a restart everything is as it was: heads, floors, records, closes, and the chain goes on', () =>
      withRig({}, async (rig, open) => {
        const cursors = await rig.fill('chat:1', 90, 13);
        await rig.append({ channel: 'chat:2' }, { channel: 'chat:2', kind: 'close' });
        const states = ['chat:1', 'chat:2', 'chat:none'].map((name) => rig.view.state(name));
        const applied = rig.view.applied('chat:1');
        const again = await rig.reopen(open());
        assert.deepEqual(
          ['chat:1', 'chat:2', 'chat:none'].map((name) => again.view.state(name)),
          states,
        );
        assert.equal(again.view.applied('chat:1'), applied);
        cursors.push(...(await again.fill('chat:1', 3)));
        assert.deepEqual(
          (await again.readAll('chat:1')).map((record) => record.cursor),
          cursors,
        );
        assert.equal((await again.append({ channel: 'chat:2' }))[0]?.state, 'closed');
        return again;
      }));

    test('a view that was cut off catches up from the log without telling anybody twice', () =>
      withRig({}, async (rig, open) => {
        await rig.fill('chat:1', 10, 3);
        await rig.view.close();
        const outcomes = await rig.log.append(
          [1, 2, 3].map((n) => ({
            channel: 'chat:1',
            kind: 'data',
            encoding: 'json',
            time: n,
            payload: Buffer.from(`${n}`),
          })),
        );
        assert.ok(outcomes.every(({ state }) => state === 'stored'));
        const again = await rig.reopen(open());
        assert.equal((await again.readAll('chat:1')).length, 13);
        return again;
      }));

    test('reach resolves when the position is applied, and false when it is not in time', () =>
      withRig({}, async (rig) => {
        const [cursor] = await rig.fill('chat:1', 1);
        const { position } = parseCursor(cursor as string) as { position: string };
        assert.equal(await rig.view.reach('chat:1', position, 5), true);
        assert.equal(await rig.view.reach('chat:1', '1z', 5), false);
        const reached = rig.view.reach('chat:1', '11', 10_000);
        await rig.fill('chat:2', 1);
        assert.equal(await reached, true);
        assert.equal(await rig.view.logNewest('chat:1'), '11');
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
  });
}
