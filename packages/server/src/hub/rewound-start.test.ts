/** The log turns out to be rewound while a subscription to several channels is still looking for their places. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber } from '@tideway/protocol';
import { GivenLog, givenRecords } from '../view/testing/given-log.ts';
import { World } from './testing/hub-world.ts';

const EPOCH = 'abcdef';
/** Of what takes the place of what was there. */
const SECOND = { payload: Buffer.from('"second"') };

test('who is given a place in a history that ends before all places are found is told (SUB-6, GAP-1)', async (t) => {
  const looking = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const log = new GivenLog({ epoch: EPOCH, window: 1_000 });
  const world = await World.create({
    view: { log },
    overView: (view) => ({
      async tagAt(channel, position) {
        if (channel === 'a:2') {
          looking.resolve();
          await goOn.promise;
        }
        return await view.tagAt(channel, position);
      },
    }),
  });
  t.after(() => world.close());
  const live = await world.session();
  await live.ask({ op: 'subscribe', channel: 'a:1' });
  const first = givenRecords(1, ['a:2', 'a:2', 'a:1', 'a:1', 'a:1']);
  log.give(first);
  await live.recordsOf('a:1', 3);
  const placeOf = (n: number): string => `${EPOCH}.${first[n]?.position}.${first[n]?.tag}`;
  const talk = await world.session();
  const asked = talk.ask({
    op: 'subscribe',
    channels: [
      { channel: 'a:1', from: placeOf(3) },
      { channel: 'a:2', from: placeOf(0) },
    ],
  });
  await looking.promise;
  log.rewind(encodePositionNumber(2), givenRecords(3, ['a:1', 'a:1', 'a:1'], SECOND));
  await live.until('the gap', () => live.received.find(({ frame }) => frame.op === 'gap'));
  goOn.resolve();
  const { channels } = await asked;
  const [one, two] = channels as readonly { readonly resumed?: boolean; readonly reason?: string }[];
  assert.deepEqual([one?.resumed, one?.reason], [false, 'diverged']);
  assert.equal(two?.resumed, true, 'what it has is there');
  const given = await talk.recordsOf('a:1', 3);
  assert.deepEqual(
    given.map(({ payload }) => payload),
    ['"second"', '"second"', '"second"'],
  );
});
