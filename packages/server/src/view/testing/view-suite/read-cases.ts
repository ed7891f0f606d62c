/** What every view gives to those who read it: records, pages, tags, what it has applied. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCursor } from '@tideway/protocol';
import { frameParts, readRecordHeader } from '../../frame.ts';
import { placeBehindAll } from '../view-rig.ts';
import type { WithRig } from './view-case.ts';

export function readCases(withRig: WithRig): void {
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
}
