import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber, limits, parseCursor } from '@tideway/protocol';
import { Random } from '@tideway/verifier/random';
import { createTurnstile } from '../../auth/turnstile.ts';
import type { PhysicalRecord } from '../../log/log.ts';
import { GivenLog, givenRecords } from '../../view/testing/given-log.ts';
import { assertChained, Listener, waitFor } from '../../view/testing/view-rig.ts';
import type { Page, PageRequest, View } from '../../view/view.ts';
import type { Appended, NewRecord } from '../record-appender.ts';
import { findStart } from '../resume.ts';
import { World } from '../testing/hub-world.ts';
import { linkTo, type Linked } from './testing/link-world.ts';

const SEEDS = Number(process.env['TIDEWAY_SEEDS'] ?? 6);
const CHANNELS = ['chat:1', 'chat:2', 'chat:3'] as const;

function record(channel: string, text: string, more: Partial<NewRecord> = {}): NewRecord {
  return { channel, kind: 'data', encoding: 'json', payload: Buffer.from(JSON.stringify(text)), time: 1, ...more };
}

const append = ({ appender }: Linked, one: NewRecord): Promise<Appended> =>
  new Promise((resolve) => appender.submit(one as NewRecord & { rid: string; user: string }, () => one, resolve));

function shown({ records, ...page }: Page): object {
  return { ...page, records: records.map(({ position, cursor, prev, frame }) => ({ position, cursor, prev, frame })) };
}

async function samePages(a: View, b: View, channel: string, roll: (sides: number) => number): Promise<void> {
  const { floor, epoch } = a.state(channel);
  const limit = 1 + roll(9);
  const requests: PageRequest[] = [
    { after: floor, limit, bytes: 1 + roll(5_000) },
    { before: `${epoch}.Bzzzzzzzzzzz.zzzz`, limit, bytes: Number.POSITIVE_INFINITY },
  ];
  for (const request of requests) {
    const remote = shown(await b.read(channel, request));
    // What is kept no longer may leave at any time: then it was read before, or behind that.
    const page = await a.read(channel, request);
    if (a.state(channel).floor === floor) assert.deepEqual(remote, shown(page));
    const cursor = page.records.at(-1)?.cursor;
    if (cursor === undefined) continue;
    const { position } = parseCursor(cursor) as { position: string };
    const tag = await b.tagAt(channel, position);
    const known = await a.tagAt(channel, position);
    if (a.state(channel).floor === floor) assert.equal(tag, known);
  }
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`a remote view says what the view says, however its bytes are cut (seed ${seed})`, async () => {
    const dice = new Random(seed);
    const roll = (sides: number): number => dice.between(0, sides - 1);
    const world = await World.create({ retention: { records: 40 } });
    const linked = linkTo(world, (bytes) => (roll(4) === 0 ? 0 : Math.min(bytes, 1 + roll(roll(3) === 0 ? 7 : 4_000))));
    const heard = new Map<string, { here: Listener; there: Listener }>();
    for (let step = 0; step < 60; step++) {
      const channel = CHANNELS[roll(3)] as string;
      const before = heard.get(channel);
      if (before === undefined && roll(3) === 0) {
        await linked.view.ready(channel);
        const both = { here: new Listener(), there: new Listener() };
        // In one step, as a hub begins to follow; what is on its way belongs to neither's beginning.
        world.view.follow(channel, both.here);
        linked.view.follow(channel, both.there);
        heard.set(channel, both);
      }
      const kind = (['data', 'data', 'data', 'data', 'data', 'trim'] as const)[roll(6)] as 'data' | 'trim';
      const count = kind === 'data' ? 1 + roll(30) : 1;
      const results = await Promise.all(
        Array.from({ length: count }, (_, n) =>
          append(
            linked,
            kind === 'data'
              ? record(channel, 'x'.repeat(roll(300)), { rid: `${step}-${n}`, user: roll(2) === 0 ? 'ann' : undefined })
              : record(channel, '', { kind, payload: Buffer.alloc(0) }),
          ),
        ),
      );
      for (const result of results) assert.equal(result.state, 'ok', JSON.stringify(result));
      const both = heard.get(channel);
      const last = results.at(-1) as Extract<Appended, { state: 'ok' }>;
      if (kind === 'data' && both !== undefined) {
        // Who is answered finds the record here (APP-1).
        assert.equal(linked.view.state(channel).place, last.cursor);
        assert.equal(both.there.records.at(-1)?.cursor, last.cursor);
      }
      if (roll(4) === 0) {
        await world.view.flush();
        await world.view.tidy();
      }
      await linked.view.ready(channel);
      await waitFor('the same state', () => {
        const [a, b] = [world.view.state(channel), linked.view.state(channel)];
        return JSON.stringify(a) === JSON.stringify(b);
      });
      await samePages(world.view, linked.view, channel, roll);
      assert.equal(await linked.view.reach(channel, world.view.applied(channel), 1_000), true);
      assert.equal(linked.view.applied(channel), world.view.applied(channel));
      assert.equal(await linked.view.logNewest(channel), await world.view.logNewest(channel));
    }
    for (const { here, there } of heard.values()) {
      assert.ok(here.records.length > 0);
      // The stored frames, byte for byte.
      assert.deepEqual(there.records, here.records);
      assertChained(there.records, there.records[0]?.prev ?? '');
    }
    linked.end();
    await world.close();
  });
}

test('what comes right behind the answer to a follow belongs to it', async () => {
  const world = await World.create();
  const linked = linkTo(world);
  linked.down.isHeld = true;
  const ready = linked.view.ready('chat:1');
  await waitFor('the answer on its way', () => linked.down.backlogBytes > 200);
  const cursors = await world.appendMany('chat:1', 3);
  await waitFor('the records on their way', () => linked.down.backlogBytes > 600);
  linked.down.isHeld = false;
  linked.down.flow();
  await ready;
  assert.equal(linked.view.state('chat:1').place, cursors.at(-1));
  linked.end();
  await world.close();
});

test('a gap comes through, and behind it everything from its place on', async () => {
  const world = await World.create();
  const linked = linkTo(world, (bytes) => Math.min(bytes, 100));
  await linked.view.ready('chat:1');
  const listener = new Listener();
  linked.view.follow('chat:1', listener);
  const cursors = await world.appendMany('chat:1', 10);
  await waitFor('the records', () => listener.records.length === 10);
  const { floor } = world.view.state('chat:1');
  const life = linked.view.life('chat:1');
  // As the view tells its followers when it was made anew from another history.
  world.hub.liveChannel('chat:1')?.onGap({ cursor: floor, reason: 'diverged' });
  await waitFor('the gap', () => listener.heard.includes(`gap diverged ${floor}`));
  await linked.view.ready('chat:1');
  assert.notEqual(linked.view.life('chat:1'), life, 'a place found before is looked for again');
  assert.equal(linked.view.state('chat:1').place, cursors.at(-1));
  assert.deepEqual(
    listener.records.slice(10).map(({ cursor }) => cursor),
    cursors,
  );
  linked.end();
  await world.close();
});

test('where something is missing it is never handed on: the channel is taken up again from its place', async () => {
  const world = await World.create();
  const linked = linkTo(world);
  await linked.view.ready('chat:1');
  const listener = new Listener();
  linked.view.follow('chat:1', listener);
  const { onMessage } = linked.link;
  let isDropping = true;
  linked.link.onMessage = (message) => {
    const isFirst = message.frame.op === 'record' && isDropping;
    isDropping &&= !isFirst;
    if (!isFirst) onMessage(message);
  };
  const cursors = [...(await world.appendMany('chat:1', 1)), ...(await world.appendMany('chat:1', 1))];
  await waitFor('both records', () => listener.records.length === 2);
  assert.deepEqual(
    listener.records.map(({ cursor }) => cursor),
    cursors,
  );
  linked.end();
  await world.close();
});

test('a closed channel is closed when its last record has come', async () => {
  const world = await World.create();
  const linked = linkTo(world, () => 50);
  await linked.view.ready('chat:1');
  const listener = new Listener();
  linked.view.follow('chat:1', listener);
  const writing = [1, 2, 3].map((n) => append(linked, record('chat:1', `${n}`, { rid: `${n}` })));
  writing.push(append(linked, record('chat:1', '', { kind: 'close', payload: Buffer.alloc(0) })));
  for (const result of await Promise.all(writing)) assert.equal(result.state, 'ok');
  await waitFor('the end', () => listener.heard.at(-1) === 'closed');
  assert.equal(listener.records.length, 3);
  assert.equal(linked.view.state('chat:1').closed, true);
  const late = await append(linked, record('chat:1', 'late', { rid: 'late' }));
  assert.deepEqual([late.state, (late as { code?: string }).code], ['error', 'channel_closed']);
  linked.end();
  await world.close();
});

test('a channel whose close was lost with a rewound log is followed again over a link', async () => {
  const log = new GivenLog({ epoch: 'abcdef', window: 1_000 });
  const world = await World.create({ view: { log } });
  const linked = linkTo(world);
  await linked.view.ready('chat:1');
  const first = new Listener();
  const stop = linked.view.follow('chat:1', first);
  log.give(givenRecords(1, ['chat:1', 'chat:1']));
  log.give(givenRecords(3, ['chat:1'], { kind: 'close', payload: Buffer.alloc(0) }));
  await waitFor('the close', () => first.heard.includes('closed'));
  stop();
  const second = new Listener();
  linked.view.follow('chat:1', second);
  log.rewind(encodePositionNumber(1), givenRecords(2, ['chat:1', 'chat:1'], { payload: Buffer.from('"second"') }));
  await waitFor('the rewind', () => !world.view.state('chat:1').closed);
  await waitFor('the gap', () => second.heard.some((what) => what.startsWith('gap diverged')));
  await linked.view.ready('chat:1');
  const { place, closed } = linked.view.state('chat:1');
  assert.deepEqual([place, closed], [world.view.state('chat:1').place, false]);
  log.give(givenRecords(4, ['chat:1']));
  await waitFor('what comes', () => second.records.at(-1)?.position === encodePositionNumber(4));
  linked.end();
  await world.close();
});

test('a retryable refusal holds back what is behind it on the link, until there is a new beginning (APP-3)', async () => {
  let isRefusing = true;
  const world = await World.create({
    intercept: (records: readonly PhysicalRecord[]) =>
      records.map(({ rid }) =>
        isRefusing && rid === 'b'
          ? ({ state: 'refused', code: 'not_durable', message: 'no room' } as const)
          : undefined,
      ),
  });
  const linked = linkTo(world);
  // Each in a turn of its own, so that they are in different batches of the log.
  const results: Promise<Appended>[] = [];
  linked.down.isHeld = true;
  for (const rid of ['a', 'b', 'c', 'd']) {
    results.push(append(linked, record('chat:1', rid, { rid })));
    results.push(append(linked, record('chat:2', rid, { rid })));
    await waitFor('the log', () => linked.up.backlogBytes === 0);
    for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  linked.down.isHeld = false;
  linked.down.flow();
  const codes = (await Promise.all(results)).map((result) => (result.state === 'ok' ? 'ok' : result.code));
  assert.deepEqual(codes, ['ok', 'ok', ...Array.from({ length: 6 }, () => 'not_durable')]);
  isRefusing = false;
  for (const rid of ['b', 'c', 'd']) {
    assert.equal((await append(linked, record('chat:1', rid, { rid }))).state, 'ok');
  }
  const { records } = await world.view.read('chat:1', {
    after: world.view.state('chat:1').floor,
    limit: 9,
    bytes: 9_999,
  });
  assert.deepEqual(
    records.map(({ frame }) => /"rid":"(.)"/.exec(frame.toString('utf8'))?.[1]),
    ['a', 'b', 'c', 'd'],
  );
  linked.end();
  await world.close();
});

test('a repeat is answered as the first one was, also where it would be refused now (APP-2)', async () => {
  const world = await World.create();
  const linked = linkTo(world);
  const first = await append(linked, record('chat:1', 'x', { rid: 'r', user: 'ann' }));
  assert.equal(first.state, 'ok');
  const refusal = { code: 'too_large', message: `more than ${limits.recordBytes}` } as const;
  const repeat = (user: string): Promise<Appended> =>
    new Promise((resolve) => linked.appender.submit({ channel: 'chat:1', user, rid: 'r' }, () => refusal, resolve));
  assert.deepEqual(await repeat('ann'), { ...first, duplicate: true });
  assert.deepEqual(await repeat('bob'), { state: 'error', ...refusal });
  assert.equal(linked.appender.inFlight, 0);
  await linked.appender.drained();
  linked.end();
  await world.close();
});

test('a page is never ahead of what has come to those who follow the channel', async () => {
  const world = await World.create();
  const linked = linkTo(world);
  await linked.view.ready('chat:1');
  const listener = new Listener();
  linked.view.follow('chat:1', listener);
  const { floor } = linked.view.state('chat:1');
  for (let round = 0; round < 50; round++) {
    const writing = world.appendMany('chat:1', 5);
    const page = await linked.view.read('chat:1', { after: floor, limit: 1_000, bytes: 1_000_000 });
    assert.ok((page.records.at(-1)?.cursor ?? '') <= linked.view.state('chat:1').place);
    assert.ok(page.records.length <= listener.records.length, `${page.records.length} of ${listener.records.length}`);
    await writing;
  }
  linked.end();
  await world.close();
});

test('a page of what comes behind a gap is answered behind the gap (SUB-9)', async () => {
  const made: { world?: World; floor?: string } = {};
  const world = await World.create({
    overView: (view) => ({
      async read(channel, request) {
        const page = await view.read(channel, request);
        const { floor } = made;
        delete made.floor;
        // What was read is of a history that took the place of another one in this very moment.
        if (floor !== undefined) made.world?.hub.liveChannel(channel)?.onGap({ cursor: floor, reason: 'diverged' });
        return page;
      },
    }),
  });
  made.world = world;
  let pieces = 0;
  // In small pieces, one a turn: whoever waits for an answer goes on before what stands behind it.
  const linked = linkTo(world, (bytes) => (++pieces % 2 === 0 ? 0 : Math.min(bytes, 16)));
  await linked.view.ready('chat:1');
  const listener = new Listener();
  linked.view.follow('chat:1', listener);
  const cursors = await world.appendMany('chat:1', 3);
  await waitFor('the records', () => listener.records.length === 3);
  const { floor } = world.view.state('chat:1');
  made.floor = floor;
  const life = linked.view.life('chat:1');
  const page = await linked.view.read('chat:1', { after: cursors[0] as string, limit: 10, bytes: 1_000 });
  assert.notEqual(linked.view.life('chat:1'), life, 'the gap has come');
  assert.deepEqual(listener.heard.slice(-1), [`gap diverged ${floor}`]);
  assert.deepEqual(page.records, [], 'what it holds comes behind the gap');
  linked.end();
  await world.close();
});

test('a place that nobody knows of while the log is away is behind, also over a link (SUB-6, step 3)', async () => {
  const log = new GivenLog({ epoch: 'abcdef', window: 1_000 });
  const world = await World.create({ view: { log } });
  const linked = linkTo(world);
  await linked.view.ready('chat:1');
  log.isAway = true;
  const start = { view: linked.view, channel: 'chat:1', turns: createTurnstile(1) };
  const found = await findStart(start, 'abcdef.15.aaaa');
  assert.equal(found.ok ? found.place : found.code, 'behind');
  linked.end();
  await world.close();
});

test('LNK-2: a link is told which partitions are down in its beats, at once, and never as a client is', async () => {
  const world = await World.create({ partitionOf: (channel) => Number(channel.at(-1)) });
  const linked = linkTo(world);
  const told: object[] = [];
  const take = linked.link.onMessage;
  linked.link.onMessage = (message) => {
    const { op, partitions, down } = message.frame;
    if (op === 'log') assert.fail('said as to a client');
    if (op === 'beat') told.push({ partitions, down });
    take(message);
  };
  const listener = new Listener();
  linked.view.follow('chat:1', listener);
  world.hub.log.set({ partitions: 4, down: [1] });
  world.hub.log.set({ partitions: 4, down: [0, 1, 2, 3] });
  world.hub.log.set({ partitions: 4, down: [] });
  await waitFor('the beats', () => told.length >= 4);
  const isOne = { partitions: 1, down: [] };
  assert.deepEqual(
    told.filter((one) => JSON.stringify(one) !== JSON.stringify(isOne)).slice(0, 3),
    [[1], [0, 1, 2, 3], []].map((down) => ({ partitions: 4, down })),
  );
  linked.end();
  await world.close();
});
