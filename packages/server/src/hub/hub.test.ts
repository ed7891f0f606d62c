import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from '@tideway/protocol';
import { World } from './testing/hub-world.ts';
import type { Received, Talk } from './testing/talk.ts';

/** Follows the client's rule over everything received for a channel; returns the cursors applied (CUR-7, SUB-8). */
function follow(talk: Talk, channel: string, start: string): string[] {
  let place = start;
  const applied: string[] = [];
  for (const { frame } of talk.received) {
    if (frame['channel'] !== channel) continue;
    if (frame.op === 'gap') place = frame.cursor;
    if (frame.op !== 'record') continue;
    assert.equal(judge(place, frame), 'apply', `${frame.prev} ≤ ${place} < ${frame.cursor}`);
    place = frame.cursor;
    applied.push(frame.cursor);
  }
  return applied;
}

function ops(talk: Talk, channel: string): string[] {
  return talk.received.filter(({ frame }) => frame['channel'] === channel).map(({ frame }) => frame.op);
}

async function inWorld(
  options: Parameters<typeof World.create>[0],
  run: (world: World) => Promise<void>,
): Promise<void> {
  const world = await World.create(options);
  try {
    await run(world);
  } finally {
    await world.close();
  }
}

test('the ok of an append comes before its record, and a tick is one write', () =>
  inWorld({}, async (world) => {
    const talk = await world.session();
    await talk.ask({ op: 'subscribe', channel: 'a:b' });
    const before = talk.writes.length;
    const ids = ['1', '2', '3'].map((rid) => talk.request({ op: 'append', channel: 'a:b', rid }, '1'));
    await talk.recordsOf('a:b', 3);
    const order = talk.received.slice(-6).map(({ frame }) => frame.op);
    assert.deepEqual(order, ['ok', 'ok', 'ok', 'record', 'record', 'record']);
    assert.equal(ids.length, 3);
    assert.ok(talk.writes.length - before <= 2, `${talk.writes.length - before} writes for one batch`);
  }));

test('a reader that takes nothing keeps a place, costs no memory, and reads on to live while appends go on (SUB-8)', () =>
  inWorld({ outboxBytesMax: 20_000 }, async (world) => {
    const slow = await world.session();
    const fast = await world.session();
    const { cursor } = await slow.ask({ op: 'subscribe', channel: 'a:b', from: 'oldest' });
    await fast.ask({ op: 'subscribe', channel: 'a:b' });
    slow.stuck = true;
    let peak = 0;
    for (let round = 0; round < 20; round++) {
      await world.appendMany('a:b', 100, 'y'.repeat(200));
      peak = Math.max(peak, slow.session.outboxBytes);
    }
    assert.ok(peak < 150_000, `${peak} bytes were queued for a reader that takes nothing`);
    assert.equal((await fast.recordsOf('a:b', 2_000)).length, 2_000, 'the others are not slowed');
    slow.release();
    const going = (async () => {
      for (let round = 0; round < 20; round++) await world.appendMany('a:b', 50, 'z');
    })();
    await slow.recordsOf('a:b', 3_000);
    await going;
    assert.equal(follow(slow, 'a:b', String(cursor)).length, 3_000);
    assert.equal(slow.session.behind.size, 0, 'it is live');
  }));

test('after a gap in mid-subscription everything behind its place comes, then what is appended, once and in order (GAP-1)', () =>
  inWorld({}, async (world) => {
    const [live, slow] = [await world.session(), await world.session()];
    const { cursor: start } = await live.ask({ op: 'subscribe', channel: 'a:b' });
    await slow.ask({ op: 'subscribe', channel: 'a:b' });
    slow.stuck = true;
    await world.appendMany('a:b', 20);
    await live.recordsOf('a:b', 20);
    // As after a rewind: the history from its first place on is another one.
    world.hub.liveChannel('a:b')?.onGap({ cursor: String(start), reason: 'diverged' });
    const going = world.appendMany('a:b', 20);
    slow.release();
    for (const talk of [live, slow]) {
      await talk.until('every record again', () => (talk.records('a:b').length >= 60 ? true : undefined));
      const at = ops(talk, 'a:b').indexOf('gap');
      assert.ok(at >= 0);
      assert.equal(follow(talk, 'a:b', String(start)).length, 60);
    }
    await going;
    await world.appendMany('a:b', 1);
    await live.recordsOf('a:b', 61);
    assert.equal(live.session.behind.size, 0, 'it is live');
  }));

test('what is trimmed under a slow reader is said by a gap before the next record (SUB-9, GAP-1)', () =>
  inWorld({ outboxBytesMax: 20_000, retention: { records: 100 } }, async (world) => {
    const slow = await world.session();
    const { cursor } = await slow.ask({ op: 'subscribe', channel: 'a:b' });
    slow.stuck = true;
    for (let round = 0; round < 20; round++) await world.appendMany('a:b', 100, 'y'.repeat(1_000));
    await world.view.tidy();
    slow.release();
    const [last] = await world.appendMany('a:b', 1, 'last');
    await slow.until('the last record', () => slow.records('a:b').find(({ frame }) => frame['cursor'] === last));
    const gaps = slow.received.filter(({ frame }) => frame.op === 'gap');
    assert.deepEqual(
      gaps.map(({ frame }) => frame['reason']),
      ['trimmed'],
    );
    follow(slow, 'a:b', String(cursor));
  }));

test('a thousand who come back to one channel share its ring: the view is read a few times only', () =>
  inWorld({}, async (world) => {
    const cursors = await world.appendMany('a:b', 100);
    const talks = await Promise.all(Array.from({ length: 1_000 }, () => world.session()));
    const readsBefore = world.reads;
    for (const talk of talks) talk.request({ op: 'subscribe', channel: 'a:b', from: cursors[49] });
    await Promise.all(talks.map((talk) => talk.recordsOf('a:b', 50)));
    assert.ok(world.reads + world.tagReads - readsBefore <= 8, `${world.reads + world.tagReads - readsBefore} reads`);
    for (const talk of talks) assert.equal(follow(talk, 'a:b', cursors[49] as string).length, 50);
  }));

test('a second subscribe replaces the first in one step (SUB-12)', () =>
  inWorld({}, async (world) => {
    const [, second] = await world.appendMany('a:b', 3);
    const talk = await world.session();
    await talk.ask({ op: 'subscribe', channel: 'a:b', from: 'oldest' });
    await talk.recordsOf('a:b', 3);
    await talk.ask({ op: 'subscribe', channel: 'a:b', from: second });
    await talk.recordsOf('a:b', 4);
    await world.appendMany('a:b', 1);
    await talk.recordsOf('a:b', 5);
    assert.equal(talk.session.subscriptions.size, 1);
    assert.equal(world.hub.subscriptions, 1);
  }));

test('after a retryable failure later appends of the channel get the same code until restart (APP-3)', () => {
  let refuseNext = false;
  const refusal = { state: 'refused', code: 'not_durable', message: 'no room' } as const;
  return inWorld(
    {
      intercept: (records) => {
        const refuse = refuseNext;
        refuseNext = false;
        return records.map(() => (refuse ? refusal : undefined));
      },
    },
    async (world) => {
      const talk = await world.session();
      const append = (rid: string, more = {}) => talk.ask({ op: 'append', channel: 'a:b', rid, ...more }, `"${rid}"`);
      assert.equal((await append('1')).op, 'ok');
      refuseNext = true;
      const first = await append('2');
      assert.deepEqual([first['code'], typeof first['retryMs']], ['not_durable', 'number']);
      assert.equal((await append('3'))['code'], 'not_durable');
      assert.equal((await talk.ask({ op: 'append', channel: 'c:d', rid: '1' }, '1')).op, 'ok', 'other channels go on');
      assert.equal((await append('2', { restart: true })).op, 'ok');
      assert.equal((await append('3')).op, 'ok');
      await talk.ask({ op: 'subscribe', channel: 'a:b', from: 'oldest' });
      const payloads = (await talk.recordsOf('a:b', 3)).map(({ payload }) => payload);
      assert.deepEqual(payloads, ['"1"', '"2"', '"3"']);
    },
  );
});

test('what waits behind a failed append in the same tick is not stored before it (APP-3)', () => {
  let refused = 0;
  return inWorld(
    {
      intercept: (records) =>
        records.map((record) => {
          if (record.rid !== 'first' || refused++ > 0) return undefined;
          return { state: 'refused', code: 'overloaded', message: 'queue full' } as const;
        }),
    },
    async (world) => {
      const talk = await world.session();
      const first = talk.request({ op: 'append', channel: 'a:b', rid: 'first' }, '1');
      assert.equal((await talk.answer(first))['code'], 'overloaded');
      const again = talk.request({ op: 'append', channel: 'a:b', rid: 'first', restart: true }, '1');
      const second = talk.request({ op: 'append', channel: 'a:b', rid: 'second' }, '2');
      assert.equal((await talk.answer(again)).op, 'ok');
      assert.equal((await talk.answer(second)).op, 'ok');
    },
  );
});

test('a repeat in flight waits for the first one, and is answered alike (APP-2)', () =>
  inWorld({}, async (world) => {
    const a = await world.session();
    const b = await world.session();
    const first = a.request({ op: 'append', channel: 'a:b', rid: 'same' }, '1');
    const repeat = b.request({ op: 'append', channel: 'a:b', rid: 'same' }, '2');
    const [one, two] = [await a.answer(first), await b.answer(repeat)];
    assert.equal(one['cursor'], two['cursor']);
    assert.deepEqual([one['duplicate'], two['duplicate']], [undefined, true]);
  }));

test('a closed channel is told after its records, and its subscription is over (REC-4)', () =>
  inWorld({}, async (world) => {
    await world.appendMany('a:b', 3);
    const live = await world.session();
    await live.ask({ op: 'subscribe', channel: 'a:b', from: 'oldest' });
    world.hub.backbones
      .appender('a:b')
      .append({ channel: 'a:b', kind: 'close', encoding: 'json', payload: Buffer.alloc(0) }, () => {});
    await live.until('closed', () => live.received.find(({ frame }) => frame.op === 'closed'));
    assert.deepEqual(ops(live, 'a:b').slice(-4), ['record', 'record', 'record', 'closed']);
    const late = await world.session();
    await late.ask({ op: 'subscribe', channel: 'a:b', from: 'oldest' });
    await late.until('closed', () => late.received.find(({ frame }) => frame.op === 'closed'));
    assert.deepEqual(ops(late, 'a:b'), ['ok', 'record', 'record', 'record', 'closed']);
    assert.equal(world.hub.subscriptions, 0);
    assert.equal((await late.ask({ op: 'append', channel: 'a:b', rid: 'x' }, '1'))['code'], 'channel_closed');
  }));

test('signals reach the others, not their sender, and are dropped where there is no room (SIG-1, SIG-2)', () =>
  inWorld({ outboxBytesMax: 4_000 }, async (world) => {
    const [a, b, stuck] = [await world.session(), await world.session(), await world.session()];
    for (const talk of [a, b, stuck]) await talk.ask({ op: 'subscribe', channel: 'a:b' });
    stuck.stuck = true;
    const isSignal = ({ frame }: Received): boolean => frame.op === 'signal';
    for (let i = 0; i < 150; i++) {
      a.send({ op: 'signal', channel: 'a:b' }, String(i));
      await b.until('the signal', () => (b.received.filter(isSignal).length > i ? true : undefined));
    }
    assert.deepEqual(
      b.received.filter(isSignal).map(({ payload }) => Number(payload)),
      [...Array(150).keys()],
    );
    assert.equal(a.received.filter(isSignal).length, 0);
    assert.ok(stuck.session.outboxBytes <= 4_000);
    assert.ok(world.hub.figures.signalsDropped > 0);
  }));

test('channels that nobody follows any more leave nothing behind, whatever they were called', () =>
  inWorld({}, async (world) => {
    const talk = await world.session();
    for (let i = 0; i < 500; i++) {
      await talk.ask({ op: 'subscribe', channel: `flood:${i}` });
      await talk.ask({ op: 'unsubscribe', channel: `flood:${i}` });
    }
    assert.equal(world.hub.channels, 0);
    assert.equal(world.hub.rings.bytes, 0);
    assert.equal(talk.session.lanes?.size ?? 0, 0);
    assert.equal(talk.session.subscriptions.size, 0);
  }));

test('a place with the tag of a record in a channel that has none is of another history (SUB-6, step 5)', () =>
  inWorld({}, async (world) => {
    const [cursor = ''] = await world.appendMany('a:b', 1);
    await world.appendMany('a:b', 3);
    const talk = await world.session();
    const other = await talk.ask({ op: 'subscribe', channel: 'never:used', from: cursor });
    assert.deepEqual([other['resumed'], other['reason']], [false, 'diverged']);
    const untagged = `${cursor.slice(0, cursor.lastIndexOf('.'))}.zzzz`;
    const same = await talk.ask({ op: 'subscribe', channel: 'never:used', from: untagged });
    assert.deepEqual([same['resumed'], same['cursor']], [true, untagged]);
  }));

test('a list over the limit refuses the last ones and takes the others (SUB-4)', () =>
  inWorld({}, async (world) => {
    const talk = await world.session();
    const channels = Array.from({ length: 7 }, (_, i) => `a:${i}`);
    const ok = await talk.ask({ op: 'subscribe', channels });
    const codes = (ok['channels'] as readonly { readonly code?: string }[]).map(({ code }) => code);
    assert.deepEqual(codes, [
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      'limit_exceeded',
      'limit_exceeded',
    ]);
    assert.equal(talk.session.subscriptions.size, 5);
  }));

test('while a policy function decides, a later append of the channel does not overtake (APP-3)', () => {
  let first: ((may: boolean) => void) | undefined;
  return inWorld(
    {
      may: (_identity, permission) =>
        permission === 'append' && first === undefined ? new Promise((resolve) => (first = resolve)) : true,
    },
    async (world) => {
      const talk = await world.session();
      await talk.ask({ op: 'subscribe', channel: 'a:b' });
      const one = talk.request({ op: 'append', channel: 'a:b', rid: '1' }, '1');
      const two = talk.request({ op: 'append', channel: 'a:b', rid: '2' }, '2');
      first?.(true);
      await Promise.all([talk.answer(one), talk.answer(two)]);
      assert.deepEqual(
        (await talk.recordsOf('a:b', 2)).map(({ payload }) => payload),
        ['1', '2'],
      );
    },
  );
});

test('when all outboxes together are over the budget only empty ones take records', () =>
  inWorld({ outboxBytesMax: 100_000, outboxBytesTotal: 30_000 }, async (world) => {
    const stuck = await Promise.all(Array.from({ length: 5 }, () => world.session()));
    for (const talk of stuck) {
      await talk.ask({ op: 'subscribe', channel: 'a:b' });
      talk.stuck = true;
    }
    const healthy = await world.session();
    await healthy.ask({ op: 'subscribe', channel: 'a:b' });
    for (let round = 0; round < 10; round++) await world.appendMany('a:b', 20, 'x'.repeat(500));
    await healthy.recordsOf('a:b', 200);
    const queued = stuck.reduce((sum, talk) => sum + talk.session.outboxBytes, 0);
    assert.ok(queued < 30_000 + 5 * 15_000, `${queued} bytes queued`);
    for (const talk of stuck) talk.release();
    for (const talk of stuck) assert.equal((await talk.recordsOf('a:b', 200)).length, 200);
  }));
