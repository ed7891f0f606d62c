import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VisibleRecord } from '../view/view.ts';
import { LiveChannel } from './live-channel.ts';

const at = (position: number, tag = 'tagx'): string => `epoch1.1${position}.${tag}`;

function record(position: number, prev: string): VisibleRecord {
  return { position: `1${position}`, cursor: at(position), prev, frame: Buffer.from(`${position}`) };
}

test('CUR-6 once what lies below has come, no frame is handed out whose prev is only where a copy began', () => {
  let ringBytes = 0;
  const channel = new LiveChannel(
    'chat:1',
    {
      markChannel: () => {},
      fallBehind: () => assert.fail('nobody is slow'),
      rings: { changed: (byBytes) => void (ringBytes += byBytes) },
      newestPlace: () => at(7),
      countDelivered: () => {},
    },
    { place: at(5, 'zzzz'), closed: false },
  );
  channel.onRecords([record(7, at(5, '----'))]);
  assert.equal(ringBytes, 1);
  assert.ok(channel.ring.covers(at(5, 'zzzz')));
  channel.onFilled();
  assert.equal(ringBytes, 0);
  assert.equal(channel.ring.length, 0);
  assert.ok(!channel.ring.covers(at(5, 'zzzz')), 'who stands there reads the view');
  assert.ok(channel.ring.covers(at(7)), 'who has everything is live');
  assert.equal(channel.delivered, at(7));
  channel.onRecords([record(8, at(7))]);
  assert.deepEqual(
    channel.ring.after(at(7)).map(({ cursor }) => cursor),
    [at(8)],
  );
});
