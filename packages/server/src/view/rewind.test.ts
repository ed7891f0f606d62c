/**
 * A log comes back without its newest records: the view keeps what both have, whose records are all there goes on as if
 * nothing had happened, and whoever followed a channel that lost some is told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { encodePositionNumber } from '@tideway/protocol';
import type { TailRecord } from '../log/log.ts';
import { recordTag } from '../log/record.ts';
import { checkView } from './check.ts';
import { positionNumber, positionOf } from './packed-place.ts';
import { MemoryStore } from './store-memory.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { CHANNELS, EPOCH, foreignLog, partitionOf } from './testing/foreign-records.ts';
import { GivenLog, givenRecords } from './testing/given-log.ts';
import type { ChannelState } from './view.ts';
import { instantEnv, Listener, Rig, waitFor } from './testing/view-rig.ts';

const RUNS = Number(process.env['TIDEWAY_SEEDS'] ?? 60);

function place(number: number): string {
  return encodePositionNumber(number);
}

function repeat(channels: readonly string[], times: number): string[] {
  return Array.from({ length: times }, () => channels).flat();
}

async function positionsOf(rig: Rig, channel: string): Promise<number[]> {
  return (await rig.readAll(channel)).map(({ position }) => positionNumber(position));
}

/** All of a log applied: to be waited for, since a view that begins again has nothing for a moment. */
async function caughtUp(rig: Rig, log: GivenLog): Promise<void> {
  const { newest } = await log.bounds();
  await waitFor('the end of the log', () => rig.view.applied('') === newest && !rig.view.isStalled);
}

test('a rewound log: only the followers of what was lost are told, and what is older than the log stays', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: 1_000 });
  const rig = await Rig.open(new MemoryStore(), { log, constants: log.constants, env: instantEnv() });
  log.give(givenRecords(1, repeat(['chat:lost', 'chat:grown', 'chat:same', 'chat:open'], 99)));
  log.give(givenRecords(397, ['chat:lost', 'chat:grown', 'chat:emptied', 'chat:shut']));
  // 401 and 402 are common, what comes then is lost.
  log.give(givenRecords(401, ['chat:lost', 'chat:grown', 'chat:lost', 'chat:new', 'chat:lost']));
  log.give(givenRecords(406, ['chat:open', 'chat:shut'], { kind: 'close', payload: Buffer.alloc(0) }));
  log.give(givenRecords(408, ['chat:emptied'], { kind: 'trim', payload: Buffer.alloc(0) }));
  await caughtUp(rig, log);
  await rig.view.flush();
  log.trim(place(350));
  const followed = ['chat:lost', 'chat:grown', 'chat:same', 'chat:open', 'chat:shut', 'chat:emptied', 'chat:new'];
  const listeners = new Map(followed.map((channel) => [channel, new Listener()]));
  for (const [channel, listener] of listeners) rig.view.follow(channel, listener);
  const heard = (channel: string): readonly string[] => listeners.get(channel)?.heard ?? [];

  log.rewind(
    place(402),
    givenRecords(403, ['chat:grown', 'chat:grown', 'chat:open', 'chat:emptied'], { user: 'another' }),
  );
  await waitFor('the view', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));
  await caughtUp(rig, log);
  assert.deepEqual(
    rig.troubles.map(({ event }) => event),
    ['view_rebuilt'],
    'nothing is made anew',
  );
  assert.deepEqual(heard('chat:same'), []);
  assert.deepEqual(
    listeners.get('chat:grown')?.records.map(({ position }) => positionNumber(position)),
    [403, 404],
  );
  assert.ok(!heard('chat:grown').some((what) => what.startsWith('gap')));
  assert.deepEqual(heard('chat:open'), ['records 1']);
  assert.deepEqual(heard('chat:lost'), [`gap diverged ${EPOCH}.0.zzzz`]);
  assert.deepEqual(heard('chat:new'), [`gap diverged ${EPOCH}.0.zzzz`]);
  assert.deepEqual((await positionsOf(rig, 'chat:lost')).slice(-2), [397, 401]);
  assert.equal((await positionsOf(rig, 'chat:lost')).length, 101, 'what the log does not have any more is there');
  assert.deepEqual((await positionsOf(rig, 'chat:grown')).slice(-3), [402, 403, 404]);
  assert.deepEqual(await positionsOf(rig, 'chat:new'), []);
  for (const channel of ['chat:open', 'chat:shut']) {
    assert.equal(rig.view.state(channel).closed, false, `the close of ${channel} is lost`);
  }
  // Who stands at a trim that is lost would take what comes before it for something it has.
  const trimmed = `${EPOCH}.${place(402)}`;
  assert.match(heard('chat:emptied')[0] ?? '', new RegExp(`^gap diverged ${trimmed}`));
  assert.deepEqual(heard('chat:emptied').slice(1), ['records 1']);
  assert.deepEqual(await positionsOf(rig, 'chat:emptied'), [406]);
  assert.deepEqual(heard('chat:shut'), []);
  assert.equal(rig.view.state('chat:lost').head, (await rig.readAll('chat:lost')).at(-1)?.cursor);

  // Once more, and not as far.
  for (const listener of listeners.values()) listener.heard.length = 0;
  log.rewind(place(404), givenRecords(405, ['chat:same'], { user: 'a third' }));
  await waitFor('the view', () => rig.troubles.filter(({ event }) => event === 'view_rebuilt').length === 2);
  await caughtUp(rig, log);
  assert.deepEqual([heard('chat:grown'), heard('chat:lost')], [[], []], 'all of theirs is there');
  assert.deepEqual(heard('chat:same'), ['records 1']);
  assert.match(heard('chat:open')[0] ?? '', /^gap diverged/);
  await rig.view.close();
});

test('a log that was rewound while the view was closed: what both have stays, and so does what ids were seen', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: 1_000 });
  const store = new MemoryStore();
  const options = { log, constants: log.constants, env: instantEnv() };
  const first = await Rig.open(store, options);
  const channels = ['chat:1', 'chat:2'];
  for (let from = 1; from <= 400; from += 20) {
    log.give(givenRecords(from, repeat(channels, 10)));
    await caughtUp(first, log);
    await first.view.flush();
  }
  log.give(givenRecords(401, ['chat:1'], { rid: 'kept' }));
  log.give(givenRecords(402, ['chat:1'], { rid: 'lost' }));
  await caughtUp(first, log);
  await first.view.close();
  log.trim(place(300));
  log.rewind(place(401), [
    ...givenRecords(402, ['chat:2'], { user: 'another' }),
    ...givenRecords(403, ['chat:1'], { rid: 'kept' }),
    ...givenRecords(404, ['chat:1'], { rid: 'lost' }),
  ]);
  const rig = await Rig.open(store, options);
  await caughtUp(rig, log);
  assert.deepEqual(rig.troubles, []);
  const [one, two] = [await positionsOf(rig, 'chat:1'), await positionsOf(rig, 'chat:2')];
  assert.deepEqual([one.length, one.slice(-3)], [202, [399, 401, 404]]);
  assert.deepEqual([two.length, two.slice(-2)], [201, [400, 402]]);
  await rig.view.close();
  assert.deepEqual((await checkView(store)).problems, []);
});

test('behind a rewind the ids of a whole window before it are known', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: 50 });
  const rig = await Rig.open(new MemoryStore(), { log, constants: log.constants, env: instantEnv() });
  for (let at = 1; at <= 100; at++) {
    log.give(givenRecords(at, ['chat:1'], { rid: `r${at}` }));
    await caughtUp(rig, log);
    await rig.view.flush();
  }
  // At 81 a repeat of what stands at 35 is one, of what stands at 30 not any more.
  const repeats = ['r35', 'r90', 'r30'].flatMap((rid, i) => givenRecords(81 + i, ['chat:1'], { rid }));
  log.rewind(place(80), repeats);
  await waitFor('the view', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));
  await caughtUp(rig, log);
  assert.ok(!rig.troubles.some(({ event }) => event === 'store_set_aside'));
  assert.deepEqual((await positionsOf(rig, 'chat:1')).slice(-3), [80, 82, 83]);
  await rig.view.close();
});

test('a log that lost more than a window: the view is made anew', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: 4 });
  const rig = await Rig.open(new MemoryStore(), { log, constants: log.constants, env: instantEnv() });
  log.give(givenRecords(1, ['chat:1']));
  log.give(givenRecords(2, ['chat:1'], { kind: 'close', payload: Buffer.alloc(0) }));
  log.give(givenRecords(3, repeat(['chat:2'], 6)));
  await caughtUp(rig, log);
  await rig.view.flush();
  log.rewind(place(1), givenRecords(2, ['chat:2'], { user: 'another' }));
  await waitFor('the view', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));
  await caughtUp(rig, log);
  assert.equal(rig.view.state('chat:1').closed, false);
  await rig.view.close();
});

test('a log with too little of the view’s: it is made anew', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: 1_000 });
  const rig = await Rig.open(new MemoryStore(), { log, constants: log.constants, env: instantEnv() });
  log.give(givenRecords(1, repeat(['chat:1'], 50)));
  await caughtUp(rig, log);
  log.rewind(place(0), givenRecords(1, ['chat:1', 'chat:2'], { user: 'another' }));
  await waitFor('the view', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));
  await caughtUp(rig, log);
  assert.ok(rig.troubles.some(({ event }) => event === 'store_set_aside'));
  assert.deepEqual([await positionsOf(rig, 'chat:1'), await positionsOf(rig, 'chat:2')], [[1], [2]]);
  await rig.view.close();
});

/** What two histories have in common, and how each goes on. */
const histories = fc.constantFrom(4, 12, 30, 65_536).chain((window) =>
  fc.record({
    window: fc.constant(window),
    log: foreignLog(window, 60),
    // The same place in the log, other records.
    other: foreignLog(window, 40),
    common: fc.nat({ max: 60 }),
    /** How much of it was surely in the store before the rest came. */
    written: fc.nat({ max: 60 }),
    isClosed: fc.boolean(),
    /** What befalls the next write, which may be one that cuts. */
    fault: fc.constantFrom(undefined, undefined, 'refuse' as const, 'write and fail' as const),
  }),
);

test('wherever a log is rewound to and whatever comes then: the view is that of the log, and nobody is told in vain', async () => {
  const counts = { cut: 0, anew: 0, told: 0, untold: 0 };
  const property = fc.asyncProperty(histories, async ({ window, log: { records: all }, other, ...plan }) => {
    const common = Math.min(plan.common, all.length - 1);
    const at = positionNumber(all[common - 1]?.position ?? '0');
    /** How the log goes on from there, each time with records of its own. */
    const next = (round: number): TailRecord[] =>
      other.records.map((item) => {
        const record = { ...item.record, time: 1_800_000_000_000 + round };
        return { position: place(at + positionNumber(item.position)), tag: recordTag(record), record };
      });
    const given = new GivenLog({ epoch: EPOCH, window, partitionOf, readRecords: 5 });
    const store = new FaultyStore(new MemoryStore());
    const options = { log: given, constants: given.constants, env: instantEnv() };
    let rig = await Rig.open(store, options);
    const written = Math.min(plan.written, all.length);
    given.give(all.slice(0, written));
    await caughtUp(rig, given);
    await rig.view.flush();
    given.give(all.slice(written));
    await caughtUp(rig, given);
    for (const round of [1, 2]) {
      const before = new Map(CHANNELS.map((channel) => [channel, rig.view.state(channel)]));
      const listeners = new Map(CHANNELS.map((channel) => [channel, new Listener()]));
      let known = rig.troubles.length;
      if (plan.isClosed) {
        await rig.view.close();
        given.rewind(place(at), next(round));
        rig = await Rig.open(store, options);
        known = 0;
      } else {
        for (const [channel, listener] of listeners) rig.view.follow(channel, listener);
        if (plan.fault !== undefined) store.faults.push(plan.fault);
        given.rewind(place(at), next(round));
        await waitFor('the view', () => rig.troubles.slice(known).some(({ event }) => event === 'view_rebuilt'));
      }
      await caughtUp(rig, given);
      const isAnew = rig.troubles.slice(known).some(({ event }) => event === 'store_set_aside');
      counts[isAnew ? 'anew' : 'cut']++;

      const truth = await Rig.open(new MemoryStore(), { log: given, constants: given.constants });
      for (const channel of CHANNELS) {
        const was = before.get(channel) as ChannelState;
        const [is, real] = [rig.view.state(channel), truth.view.state(channel)];
        // A `trim` that was lost has let go of what it has let go of.
        assert.ok(is.floor >= real.floor || is.floor.slice(0, -4) === real.floor.slice(0, -4), channel);
        const above = await rig.readAll(channel);
        assert.deepEqual(
          above.map(({ cursor }) => cursor),
          (await truth.readAll(channel))
            .map(({ cursor }) => cursor)
            .filter((cursor) => positionOf(cursor) > positionOf(is.floor)),
          channel,
        );
        // A close from before the window, behind which records came, is forgotten with the first of them.
        const isReopened =
          !was.closed &&
          all.slice(0, common).some(({ record }) => record.channel === channel && record.kind === 'close');
        if (!isReopened) assert.equal(is.closed, real.closed, `${channel} is closed`);
        if (plan.isClosed || isAnew) continue;
        const { heard, records: told } = listeners.get(channel) as Listener;
        // A follower may stand at the newest record, or at the newest trim.
        const isConcerned = positionNumber(positionOf(was.place)) > at;
        counts[isConcerned ? 'told' : 'untold']++;
        assert.equal(heard.filter((what) => what.startsWith('gap diverged')).length, isConcerned ? 1 : 0, channel);
        const fresh = above.filter(({ position }) => positionNumber(position) > at).map(({ cursor }) => cursor);
        assert.deepEqual(told.map(({ cursor }) => cursor).slice(-fresh.length || told.length), fresh, channel);
      }
      await truth.view.close();
    }
    await rig.view.close();
    assert.deepEqual((await checkView(store)).problems, []);
    assert.equal(store.writesAfterFailure, 0);
  });
  await fc.assert(property, { numRuns: RUNS });
  if (RUNS >= 60) for (const [what, count] of Object.entries(counts)) assert.ok(count > 0, `${what}: never`);
});
