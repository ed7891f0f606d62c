/** What every view still knows after a restart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WithRig } from './view-case.ts';

export function restartCases(withRig: WithRig): void {
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
}
