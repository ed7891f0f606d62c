/** What every view tells those who follow a channel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Listener } from '../view-rig.ts';
import type { WithRig } from './view-case.ts';

export function followCases(withRig: WithRig): void {
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

  test('a follower that throws harms neither the others nor the view', () =>
    withRig({}, async (rig) => {
      const listener = new Listener();
      const failing = new Listener();
      failing.onRecords = () => assert.fail('on purpose');
      rig.view.follow('chat:1', failing);
      rig.view.follow('chat:1', listener);
      await rig.fill('chat:1', 1);
      assert.equal(listener.records.length, 1);
      assert.deepEqual(
        rig.troubles.splice(0).map(({ event }) => event),
        ['follower_failed'],
      );
    }));
}
