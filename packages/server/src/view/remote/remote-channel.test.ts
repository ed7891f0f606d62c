import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RemoteChannel } from './remote-channel.ts';

const at = (position: number): string => `epoch1.1${position}.zzzz`;

test('LNK-3 a floor that has become final is noticed once; the place stays where everything has come to', () => {
  const channel = new RemoteChannel('chat:1');
  const told = { epoch: 'epoch1', floor: at(5), floorIsFinal: false, closed: false, applied: '17' };
  channel.begin({ ...told, place: at(5) });
  assert.equal(channel.state?.floorIsFinal, false);
  assert.equal(channel.told({ ...told, place: at(5) }), false);
  const filled = { ...told, floor: 'epoch1.0.zzzz', floorIsFinal: true, head: 'epoch1.13.tag3' };
  assert.equal(channel.told({ ...filled, place: at(5) }), true);
  assert.deepEqual([channel.state?.floor, channel.state?.floorIsFinal], ['epoch1.0.zzzz', true]);
  assert.equal(channel.place, at(5));
  assert.ok(channel.isCurrent, 'nothing is outstanding: what it has not is below its place');
  assert.equal(channel.told({ ...filled, place: at(5) }), false);
});
