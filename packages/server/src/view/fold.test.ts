import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { computeTag, encodePositionNumber, formatCursor } from '@tideway/protocol';
import type { PhysicalRecord, TailRecord } from '../log/log.ts';
import { Fold, type Judgement } from './fold.ts';
import { positionNumber } from './packed-place.ts';
import { judgeSlowly } from './testing/slow-fold.ts';

const EPOCH = 'epochA';
const HASH_KEY = [0x01234567, 0x89abcdef] as const;

type Parts = Partial<Omit<PhysicalRecord, 'payload'>> & { payload?: string };

function physical(at: number, parts: Parts = {}): TailRecord {
  const record: PhysicalRecord = {
    channel: 'chat:1',
    kind: 'data',
    encoding: 'json',
    time: 1_000 + at,
    ...parts,
    payload: Buffer.from(parts.payload ?? `"${at}"`),
  };
  return { position: encodePositionNumber(at), tag: computeTag(record), record };
}

function place(at: number): string {
  return formatCursor(EPOCH, encodePositionNumber(at), 'zzzz');
}

function fold(window = 100): Fold {
  return new Fold({ epoch: EPOCH, window, hashKey: HASH_KEY });
}

/** Judges records one after the other; heads are kept as a view would. */
function judgeAll(judge: Fold, records: readonly TailRecord[]): Judgement[] {
  const heads = new Map<string, string>();
  return records.map((item) => {
    const judgement = judge.judge(item, heads.get(item.record.channel));
    if (judgement.verdict.state === 'visible') heads.set(item.record.channel, item.tag);
    return judgement;
  });
}

function states(judge: Fold, records: readonly TailRecord[]): string[] {
  return judgeAll(judge, records).map(({ verdict }) => verdict.state);
}

test('a record is visible at its own place', () => {
  const item = physical(7);
  assert.deepEqual(fold().judge(item, undefined), {
    verdict: { state: 'visible', cursor: `${EPOCH}.${item.position}.${item.tag}` },
    unsure: false,
  });
});

test('APP-2: a second record with the same channel, user and rid is a duplicate and answers as the first', () => {
  const first = physical(1, { rid: 'r', user: 'ann' });
  const [, second] = judgeAll(fold(), [first, physical(2, { rid: 'r', user: 'ann', payload: '"other"' })]);
  assert.deepEqual(second?.verdict, {
    state: 'duplicate',
    first: { state: 'visible', cursor: formatCursor(EPOCH, first.position, first.tag) },
  });
});

test('APP-2: the same rid of another user, of nobody or in another channel is another record', () => {
  const records = [
    physical(1, { rid: 'order-42', user: 'mallory' }),
    physical(2, { rid: 'order-42', user: 'alice' }),
    physical(3, { rid: 'order-42' }),
    physical(4, { rid: 'order-42', user: '' }),
    physical(5, { rid: 'order-42', user: 'alice', channel: 'chat:2' }),
  ];
  assert.deepEqual(states(fold(), records), ['visible', 'visible', 'visible', 'visible', 'visible']);
});

test('a repeat is recognized exactly W positions later, and not one more', () => {
  const last = physical(101, { rid: 'r' });
  assert.deepEqual(states(fold(100), [physical(1, { rid: 'r' }), last]), ['visible', 'duplicate']);
  assert.deepEqual(states(fold(100), [physical(1, { rid: 'r' }), physical(102, { rid: 'r' })]), ['visible', 'visible']);
});

test('each copy of a chain is found through the copy before it, and all answer as the first', () => {
  const chain = [100, 180, 260].map((at) => physical(at, { rid: 'r' }));
  const verdicts = judgeAll(fold(100), chain).map(({ verdict }) => verdict);
  const cursor = formatCursor(EPOCH, encodePositionNumber(100), (chain[0] as TailRecord).tag);
  assert.deepEqual(verdicts, [
    { state: 'visible', cursor },
    { state: 'duplicate', first: { state: 'visible', cursor } },
    { state: 'duplicate', first: { state: 'visible', cursor } },
  ]);
});

test('behind a close nothing is visible, and a repeat of what was stored before it still gets its cursor', () => {
  const judge = fold();
  const verdicts = judgeAll(judge, [
    physical(1, { rid: 'a' }),
    physical(2, { kind: 'close', payload: '' }),
    physical(3, { rid: 'b' }),
    physical(4, { rid: 'a' }),
    physical(5, { rid: 'b' }),
    physical(6, { channel: 'chat:2' }),
  ]).map(({ verdict }) => verdict);
  assert.deepEqual(
    verdicts.map(({ state }) => state),
    ['visible', 'control', 'closed', 'duplicate', 'duplicate', 'visible'],
  );
  assert.equal(verdicts[3]?.state === 'duplicate' && verdicts[3].first.state, 'visible');
  assert.equal(verdicts[4]?.state === 'duplicate' && verdicts[4].first.state, 'closed');
});

test('a control stands at its own position with the tag of the newest visible record', () => {
  const head = physical(1);
  const judge = fold();
  judge.judge(head, undefined);
  const trim = physical(2, { kind: 'trim', payload: '', rid: 't' });
  const cursor = formatCursor(EPOCH, trim.position, head.tag);
  assert.deepEqual(judge.judge(trim, head.tag).verdict, { state: 'control', cursor });
  assert.deepEqual(judge.judge(physical(3, { kind: 'trim', payload: '', rid: 't' }), head.tag).verdict, {
    state: 'duplicate',
    first: { state: 'control', cursor },
  });
});

test('of two writers that both read a key at the same place the first one wins', () => {
  const records = [
    physical(1, { key: 'k' }),
    physical(2, { key: 'k', expect: place(1), rid: 'a' }),
    physical(3, { key: 'k', expect: place(1), rid: 'b' }),
    physical(4, { key: 'other', expect: place(1) }),
    physical(5, { key: 'k', expect: place(2) }),
  ];
  assert.deepEqual(states(fold(), records), ['visible', 'visible', 'conflict', 'visible', 'visible']);
});

test('a record hidden by a conflict changes nothing for the writers after it', () => {
  const records = [
    physical(1, { key: 'k' }),
    physical(2, { key: 'k', expect: place(0) }),
    physical(3, { key: 'k', expect: place(1) }),
  ];
  assert.deepEqual(states(fold(), records), ['visible', 'conflict', 'visible']);
});

test('expect is a conflict when its place is too old, of another epoch, in the future, broken, or without a key', () => {
  const far = physical(301, { key: 'k', expect: place(200) });
  assert.deepEqual(states(fold(100), [far]), ['conflict']);
  assert.deepEqual(states(fold(100), [physical(300, { key: 'k', expect: place(200) })]), ['visible']);
  for (const expect of [formatCursor('epochB', '10', 'zzzz'), place(50), 'nonsense']) {
    assert.deepEqual(states(fold(), [physical(50, { key: 'k', expect })]), ['conflict'], expect);
  }
  assert.deepEqual(states(fold(), [physical(50, { expect: place(49) })]), ['conflict']);
});

test('what no frame can be made of, or belongs to another partition, is hidden', () => {
  const judge = new Fold({
    epoch: EPOCH,
    window: 10,
    hashKey: HASH_KEY,
    isMisplaced: (channel) => channel === 'far:1',
  });
  const records = [
    physical(1, { channel: 'no name' }),
    { ...physical(2), record: { ...physical(2).record, time: Number.NaN } },
    physical(3, { channel: 'far:1' }),
    physical(4),
  ];
  assert.deepEqual(states(judge, records), ['unreadable', 'unreadable', 'unreadable', 'visible']);
});

test('findRid gives the answer of the first one as far as the window reaches', () => {
  const judge = fold(100);
  const item = physical(5, { rid: 'r', user: 'ann' });
  judge.judge(item, undefined);
  const first = { state: 'visible', cursor: formatCursor(EPOCH, item.position, item.tag) };
  assert.deepEqual(judge.findRid('chat:1', 'ann', 'r', 105), first);
  assert.equal(judge.findRid('chat:1', 'ann', 'r', 106), undefined);
  assert.equal(judge.findRid('chat:1', undefined, 'r', 6), undefined);
});

/** Logs full of what the rules are about: few channels, few rids, contested keys, closes and trims. */
const crowdedLog = fc
  .array(
    fc.record({
      channel: fc.constantFrom('chat:1', 'chat:2'),
      kind: fc.oneof(
        { weight: 20, arbitrary: fc.constant('data' as const) },
        { weight: 1, arbitrary: fc.constantFrom('trim' as const, 'close' as const) },
      ),
      rid: fc.option(fc.integer({ min: 0, max: 12 }).map(String), { nil: undefined }),
      user: fc.constantFrom(undefined, 'ann'),
      key: fc.option(fc.constantFrom('k', 'l'), { nil: undefined }),
      back: fc.option(fc.integer({ min: 1, max: 14 }), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 120 },
  )
  .map((items) =>
    items.map(({ back, ...parts }, i) =>
      physical(i + 1, {
        ...parts,
        ...(back === undefined || parts.key === undefined ? {} : { expect: place(Math.max(0, i + 1 - back)) }),
        ...(parts.kind === 'data' ? {} : { payload: '', key: undefined, expect: undefined }),
      }),
    ),
  );

function summary({ verdict }: Judgement): string {
  const first = verdict.state === 'duplicate' ? verdict.first : verdict;
  const answer =
    'cursor' in first ? `${first.state} ${positionNumber(first.cursor.split('.')[1] as string)}` : first.state;
  return `${verdict.state} ${answer}`;
}

test('the fold says what the rules say, whatever the log', () => {
  fc.assert(
    fc.property(crowdedLog, fc.integer({ min: 1, max: 40 }), (records, window) => {
      assert.deepEqual(
        judgeAll(fold(window), records).map(summary),
        judgeSlowly(records, window).map(({ state, answer }) => `${state} ${answer}`),
      );
    }),
    { numRuns: 400 },
  );
});

test('F6: a fold that starts in mid-log agrees with one from the beginning above each channel’s newest unsure record', () => {
  fc.assert(
    fc.property(crowdedLog, fc.integer({ min: 1, max: 20 }), fc.nat(119), (records, window, cut) => {
      const start = cut % records.length;
      const whole = judgeAll(fold(window), records).map(summary);
      const late = fold(window);
      late.startAfter(start, window);
      const judged = judgeAll(late, records.slice(start));
      const floors = new Map<string, number>();
      judged.forEach(({ unsure }, i) => {
        if (unsure) floors.set((records[start + i] as TailRecord).record.channel, i);
      });
      judged.forEach((judgement, i) => {
        if (i <= (floors.get((records[start + i] as TailRecord).record.channel) ?? -1)) return;
        assert.equal(summary(judgement), whole[start + i], `record ${start + i + 1}`);
      });
      assert.ok(
        judged.every(({ unsure }, i) => !unsure || i < 6 * window),
        'certainty comes back',
      );
    }),
    { numRuns: 600 },
  );
});

test('a fold that took back its journals goes on as if it had never stopped', () => {
  fc.assert(
    fc.property(crowdedLog, fc.integer({ min: 1, max: 40 }), fc.nat(119), fc.nat(119), (records, window, a, b) => {
      const cuts = [a % records.length, b % records.length].sort((x, y) => x - y) as [number, number];
      const whole = fold(window);
      const heads = new Map<string, string>();
      const journals: Uint32Array[] = [];
      const expected: string[] = [];
      records.forEach((item, i) => {
        if (cuts.includes(i)) journals.push(whole.table.takeJournal());
        const judgement = whole.judge(item, heads.get(item.record.channel));
        if (judgement.verdict.state === 'visible') heads.set(item.record.channel, item.tag);
        expected.push(summary(judgement));
      });
      const again = fold(window);
      again.load(journals, cuts[1]);
      const rest = records.slice(cuts[1]).map((item) => summary(again.judge(item, undefined)));
      assert.deepEqual(rest, expected.slice(cuts[1]));
    }),
    { numRuns: 300 },
  );
});
