import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber } from '@tideway/protocol';
import * as fc from 'fast-check';
import { nodeEnv } from '../env.ts';
import { MemoryLog } from '../log/memory/memory-log.ts';
import { checkView } from './check.ts';
import { positionNumber } from './packed-place.ts';
import { APPLIED_KEY, decodeApplied, encodeApplied } from './store-keys.ts';
import { MemoryStore } from './store-memory.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { instantEnv, movableEnv, Rig, waitFor, type AppendParts } from './testing/view-rig.ts';
import type { Feed, VisibleRecord } from './view.ts';

const ALL = (): boolean => true;

function feedOf({ view }: Rig): Feed {
  return view.feeds[0] as Feed;
}

/** Every record behind a place, in pages of `limit`; what is no longer kept is counted. */
async function readFeed(
  feed: Feed,
  options: { readonly after?: string; readonly limit?: number; readonly wants?: (channel: string) => boolean } = {},
): Promise<{ records: VisibleRecord[]; trimmed: string[]; next: string }> {
  const records: VisibleRecord[] = [];
  const trimmed: string[] = [];
  let after = options.after ?? (await feed.base());
  for (;;) {
    const { limit = 7, wants = ALL } = options;
    const page = await feed.read({ after, limit, bytes: 1_000_000, wants });
    records.push(...page.records);
    trimmed.push(...page.trimmed.map(({ channel }) => channel));
    after = page.next;
    if (page.end) return { records, trimmed, next: after };
  }
}

/** What the channels hold, as one list in log order. */
async function histories(rig: Rig, channels: readonly string[]): Promise<string[]> {
  const all = await Promise.all(channels.map((channel) => rig.readAll(channel)));
  const cursors = all.flat().map(({ cursor }) => cursor);
  return cursors.sort();
}

const cursorsOf = (records: readonly VisibleRecord[]): string[] => records.map(({ cursor }) => cursor);

test('a feed is the union of its channels in log order, however it is written, read and restarted', async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ channel: fc.nat(4), count: fc.integer({ min: 1, max: 40 }) }) },
    { weight: 1, arbitrary: fc.record({ channel: fc.nat(4), repeat: fc.nat(5) }) },
    { weight: 2, arbitrary: fc.constant('flush' as const) },
    { weight: 1, arbitrary: fc.constant('fail' as const) },
    { weight: 1, arbitrary: fc.constant('restart' as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.integer({ min: 1, max: 20 }), async (steps, limit) => {
      const inner = new MemoryStore();
      const faulty = new FaultyStore(inner);
      const options = { env: instantEnv() };
      let rig = await Rig.open(faulty, options);
      for (const one of steps) {
        if (one === 'flush') await rig.view.flush();
        else if (one === 'fail') {
          faulty.isFull = true;
          await rig.append({ channel: 'n:0' });
          faulty.isFull = false;
        } else if (one === 'restart') rig = await rig.reopen(faulty, options);
        else if ('count' in one) await rig.fill(`n:${one.channel}`, one.count, 9);
        else await rig.append({ channel: `n:${one.channel}`, rid: `r${one.repeat}` });
      }
      const feed = feedOf(rig);
      for (const channels of [['n:0', 'n:1', 'n:2', 'n:3', 'n:4'], ['n:1', 'n:3'], ['n:9']]) {
        const expected = await histories(rig, channels);
        const read = await readFeed(feed, { limit, wants: (channel) => channels.includes(channel) });
        assert.deepEqual(cursorsOf(read.records), expected);
        assert.deepEqual(read.trimmed, []);
        assert.equal(read.next, await feed.newest());
        // From each record on, what is behind it comes: a record's cursor is a place of the feed.
        const middle = expected[Math.floor(expected.length / 2)];
        if (middle === undefined) continue;
        const rest = await readFeed(feed, { limit, after: middle, wants: (channel) => channels.includes(channel) });
        assert.deepEqual(cursorsOf(rest.records), expected.slice(expected.indexOf(middle) + 1));
      }
      await rig.view.close();
      assert.deepEqual((await checkView(inner)).problems, []);
    }),
    { numRuns: Number(process.env['TIDEWAY_SEEDS'] ?? 40) },
  );
});

test('the tag of each place is that of the newest visible record at or before it, in the store as in memory', async () => {
  const rig = await Rig.open(new MemoryStore());
  await rig.append(
    { channel: 'a:1', rid: 'x' },
    { channel: 'a:1', rid: 'x' },
    { channel: 'b:1' },
    { kind: 'close', channel: 'b:1' },
  );
  const feed = feedOf(rig);
  const places = async (): Promise<(string | undefined)[]> =>
    await Promise.all([1, 2, 3, 4].map((number) => feed.tagAt(encodePositionNumber(number))));
  const { records } = await readFeed(feed);
  const [first, second] = records.map(({ cursor }) => cursor.slice(-4));
  const expected = [first, first, second, second];
  assert.deepEqual(await places(), expected);
  await rig.view.flush();
  assert.deepEqual(await places(), expected);
  assert.equal((await feed.newest()).slice(-4), second);
  await rig.view.close();
});

test('what a channel no longer keeps is said once for the page that would have held it, and the rest comes', async () => {
  const rig = await Rig.open(new MemoryStore());
  await rig.fill('a:1', 10);
  await rig.fill('b:1', 10);
  await rig.view.flush();
  await rig.append({ channel: 'a:1', kind: 'trim' }, { channel: 'a:1' });
  const { records, trimmed } = await readFeed(feedOf(rig), { limit: 100 });
  assert.deepEqual(trimmed, ['a:1']);
  assert.deepEqual(cursorsOf(records), await histories(rig, ['a:1', 'b:1']));
  const page = await feedOf(rig).read({ after: await feedOf(rig).base(), limit: 100, bytes: 1e6, wants: ALL });
  assert.equal(page.trimmed[0]?.floor, rig.view.state('a:1').floor);
  const behind = await readFeed(feedOf(rig), { after: records[9]?.cursor as string });
  assert.deepEqual(behind.trimmed, []);
  await rig.view.close();
});

test('what the log let go of leaves the feed, and its base says where it begins', async () => {
  const log = new MemoryLog({ window: 1_000, keepBytes: 30_000 });
  const env = movableEnv();
  const rig = await Rig.open(new MemoryStore(), { log, env });
  const channels = ['a:0', 'a:1', 'a:2', 'a:3'];
  for (const channel of channels) {
    await rig.fill(channel, 100);
    await rig.view.flush();
  }
  // The log is told what it may let go of after a write, and not all the time.
  await waitFor('the log to let go', async () => {
    env.monotonicOffsetMs += 60_000;
    await rig.fill('a:0', 1);
    await rig.view.flush();
    return !(await log.bounds(0)).fromGenesis;
  });
  const { oldest } = await log.bounds(0);
  await rig.view.tidy();
  const feed = feedOf(rig);
  const base = await feed.base();
  assert.ok(base.slice(7, -5) >= oldest);
  const all = await histories(rig, channels);
  const { records } = await readFeed(feed, { limit: 100 });
  assert.deepEqual(
    cursorsOf(records),
    all.filter((cursor) => cursor.slice(7, -5) > base.slice(7, -5)),
  );
  assert.ok(records.length > 0 && records.length < all.length);
  await rig.view.close();
});

test('a view that begins in mid-log has a feed from where every record is sure to be visible', async () => {
  const log = new MemoryLog({ window: 1_000, keepBytes: 30_000 });
  const env = movableEnv();
  const whole = await Rig.open(new MemoryStore(), { log, env });
  await waitFor('the log to let go', async () => {
    env.monotonicOffsetMs += 60_000;
    await whole.fill('a:1', 20);
    await whole.view.flush();
    return !(await log.bounds(0)).fromGenesis;
  });
  const { oldest } = await log.bounds(0);
  const late = await Rig.open(new MemoryStore(), { log, constants: whole.constants, env, repeatSpan: 10 });
  const base = await feedOf(late).base();
  assert.equal(positionNumber(base.slice(7, -5)), positionNumber(oldest) + 10);
  assert.ok(base.endsWith('.zzzz'), 'what stands there is not sure to be there');
  const { records, trimmed } = await readFeed(feedOf(late), { limit: 100 });
  assert.deepEqual(trimmed, []);
  const sure = (await whole.readAll('a:1')).filter(({ position }) => position > base.slice(7, -5));
  assert.deepEqual(cursorsOf(records), cursorsOf(sure));
  assert.equal(await feedOf(late).newest(), await feedOf(whole).newest());
  await late.view.close();
  await whole.view.close();
});

test('a store of before there was a feed begins one where it stands', async () => {
  const store = new MemoryStore();
  const first = await Rig.open(store);
  await first.fill('a:1', 5);
  await first.view.flush();
  await first.view.close();
  await store.open();
  const { feedBase: _, ...applied } = decodeApplied(store.getSync(APPLIED_KEY) as Buffer);
  await store.write([{ type: 'put', key: APPLIED_KEY, value: encodeApplied(applied) }]);
  await store.close();
  const rig = await first.reopen(store);
  const [cursor] = await rig.fill('a:1', 1);
  const { records } = await readFeed(feedOf(rig));
  assert.deepEqual(cursorsOf(records), [cursor]);
  await rig.view.close();
});

test('pages are cut by count and by bytes, and hold at least one record', async () => {
  const rig = await Rig.open(new MemoryStore());
  const big = (n: number): AppendParts => ({ channel: `a:${n}`, payload: `"${'x'.repeat(1_000)}"` });
  await rig.append(big(1), big(2), big(3));
  const feed = feedOf(rig);
  for (const flushed of [false, true]) {
    if (flushed) await rig.view.flush();
    const after = await feed.base();
    const counts = await Promise.all(
      [1, 2_500, 1e6].map(async (bytes) => (await feed.read({ after, limit: 100, bytes, wants: ALL })).records.length),
    );
    assert.deepEqual(counts, [1, 2, 3]);
    const page = await feed.read({ after, limit: 2, bytes: 1e6, wants: ALL });
    assert.deepEqual([page.records.length, page.end, page.lag], [2, false, 1]);
  }
  await rig.view.close();
});

test('a follower of the feed is told of every channel that gets records', async () => {
  const rig = await Rig.open(new MemoryStore(), { env: nodeEnv });
  const heard: string[] = [];
  const unfollow = feedOf(rig).follow((channel) => void heard.push(channel));
  await rig.append({ channel: 'a:1' }, { channel: 'b:1' });
  unfollow();
  await rig.append({ channel: 'c:1' });
  assert.deepEqual(heard, ['a:1', 'b:1']);
  await rig.view.close();
});
