/** How readers catch up: what is read for them and kept, what they are told where the view has nothing left or cannot say; nobody else is harmed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TidewayError, type ServerFrame } from '@tideway/protocol';
import type { LogView } from '../view/log-view.ts';
import { appendControl } from './direct-append.ts';
import { World, type WorldOptions } from './testing/hub-world.ts';
import type { Received, Talk } from './testing/talk.ts';

/** A view that a test takes away: it answers reads, and says `behind` where it would have to look into its store. */
class AwayView {
  /** How often it may still be asked for a channel's state before it is away. */
  statesLeft = Number.POSITIVE_INFINITY;

  readonly over = (view: LogView): Partial<LogView> => ({
    state: (channel) => {
      if (this.statesLeft-- <= 0)
        throw new TidewayError('behind', 'the store is being opened anew', { retryMs: 1_000 });
      return view.state(channel);
    },
  });
}

async function inWorld(options: WorldOptions, run: (world: World) => Promise<void>): Promise<void> {
  const world = await World.create(options);
  try {
    await run(world);
  } finally {
    await world.close();
  }
}

function frames(talk: Talk, op: ServerFrame['op']): readonly Received['frame'][] {
  return talk.received.flatMap(({ frame }) => (frame.op === op ? [frame] : []));
}

/** Of the records that came, in order. */
function cursorsOf(talk: Talk): unknown[] {
  return frames(talk, 'record').map((frame) => frame['cursor']);
}

test('who reads on where all was trimmed is told the floor, also while the store is opened anew (SUB-9)', async () => {
  const away = new AwayView();
  await inWorld({ outboxBytesMax: 20_000, overView: away.over }, async (world) => {
    const slow = await world.session();
    await slow.ask({ op: 'subscribe', channel: 'a:b', from: 'oldest' });
    slow.stuck = true;
    for (let round = 0; round < 20; round++) await world.appendMany('a:b', 20, 'y'.repeat(1_000));
    // Nothing of the channel is in the ring: what the reader lacks is asked of the view.
    world.hub.liveChannel('a:b')?.ring.shrink(0, 0);
    const trimmed = await appendControl(world.hub, { kind: 'anonymous', roles: [] }, 'a:b', 'trim');
    assert.equal(trimmed.state, 'ok');
    const { floor } = world.view.state('a:b');
    away.statesLeft = 0;
    slow.release();
    const gap = await slow.until('the gap', () => frames(slow, 'gap')[0]);
    assert.deepEqual(gap, { op: 'gap', channel: 'a:b', cursor: floor, reason: 'trimmed' });
    away.statesLeft = Number.POSITIVE_INFINITY;
    const [last] = await world.appendMany('a:b', 1);
    await slow.until('what comes then', () => slow.records('a:b').find(({ frame }) => frame['cursor'] === last));
  });
});

test('a view that goes away between the answer to a subscribe and its beginning: the client takes it up again (REC-4)', async () => {
  const away = new AwayView();
  await inWorld({ overView: away.over }, async (world) => {
    const talk = await world.session();
    // It is asked where to start, for the head that the answer names, and by who begins to follow.
    away.statesLeft = 2;
    const answer = await talk.ask({ op: 'subscribe', channel: 'a:b' });
    assert.equal(answer.op, 'ok');
    const ended = await talk.until('its end', () => frames(talk, 'unsubscribed')[0]);
    assert.deepEqual(ended, { op: 'unsubscribed', channel: 'a:b', code: 'behind' });
    away.statesLeft = Number.POSITIVE_INFINITY;
    assert.equal((await talk.ask({ op: 'subscribe', channel: 'a:b', from: answer['cursor'] }))['resumed'], true);
    await world.appendMany('a:b', 1);
    assert.equal((await talk.recordsOf('a:b', 1)).length, 1);
  });
});

test('what goes wrong with a page ends that subscription, and no other', async () => {
  const troubles: unknown[] = [];
  await inWorld({ onTrouble: (error) => troubles.push(error) }, async (world) => {
    const [first] = await world.appendMany('a:b', 400);
    const [broken, whole] = [await world.session(), await world.session()];
    const { codec } = broken.session;
    Object.defineProperty(broken.session, 'codec', {
      value: {
        ...codec,
        record: () => {
          throw new Error('no form for this record');
        },
      },
    });
    for (const talk of [broken, whole]) await talk.ask({ op: 'subscribe', channel: 'a:b', from: first });
    const ended = await broken.until('its end', () => frames(broken, 'unsubscribed')[0]);
    assert.deepEqual(ended, { op: 'unsubscribed', channel: 'a:b', code: 'internal' });
    assert.match(String(troubles[0]), /no form for this record/);
    assert.equal((await whole.recordsOf('a:b', 399)).length, 399);
    assert.equal(world.hub.subscriptions, 1);
  });
});

/** Three come back to a channel, one after the other: what the view was asked for by then, and what the ring holds. */
async function comeBack(ringBytesTotal: number): Promise<{ pages: number[]; tags: number; inRing: unknown[] }> {
  const pages: number[] = [];
  const inRing: unknown[] = [];
  let tags = 0;
  await inWorld({ ringBytesTotal }, async (world) => {
    const cursors = await world.appendMany('a:b', 100);
    const before = world.reads;
    for (let client = 0; client < 3; client++) {
      const talk = await world.session();
      await talk.ask({ op: 'subscribe', channel: 'a:b', from: cursors[49] });
      await talk.recordsOf('a:b', 50);
      assert.deepEqual(cursorsOf(talk), cursors.slice(50));
      pages.push(world.reads - before);
      inRing.push(world.hub.liveChannel('a:b')?.ring.length);
    }
    tags = world.tagReads;
  });
  return { pages, tags, inRing };
}

test('who comes back to a channel is read one page, which says whether its place holds and fills the ring for others', async () =>
  assert.deepEqual(await comeBack(64 * 1024 * 1024), { pages: [1, 1, 1], tags: 0, inRing: [50, 50, 50] }));

test('where rings have little room they keep nothing for one alone; the second to come fills it', async () =>
  assert.deepEqual(await comeBack(16 * 1024), { pages: [1, 2, 2], tags: 0, inRing: [0, 100, 100] }));
