import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import {
  HistoryChecker,
  hashData,
  type CheckerOptions,
  type HistoryEvent,
  type Verdict,
  type ViolationKind,
} from './checker.ts';

const CHANNEL = 'test:a';
/** The cursor of the n-th record; tags are told apart by a letter. */
const at = (n: number, tag = 'aaaa'): string => (n === 0 ? 'EpochA.0.----' : `EpochA.1${n}.${tag}`);
const data = (n: number): string => hashData(`data ${n}`);

const append = (n: number, more: object = {}): HistoryEvent => ({
  kind: 'append',
  channel: CHANNEL,
  rid: `r${n}`,
  writer: 'w',
  sequence: n,
  hash: data(n),
  ...more,
});
const stored = (n: number, cursor = at(n)): HistoryEvent => ({
  kind: 'outcome',
  channel: CHANNEL,
  rid: `r${n}`,
  outcome: { state: 'stored', cursor },
});
const subscribed = (reader: string, more: object = {}): HistoryEvent => ({
  kind: 'subscribed',
  reader,
  channel: CHANNEL,
  cursor: at(0),
  head: at(0),
  ...more,
});
const record = (reader: string, n: number, more: object = {}): HistoryEvent => ({
  kind: 'record',
  reader,
  channel: CHANNEL,
  cursor: at(n),
  prev: at(n - 1),
  rid: `r${n}`,
  hash: data(n),
  ...more,
});
const gap = (reader: string, n: number, reason: 'trimmed' | 'diverged' | 'epoch' = 'trimmed'): HistoryEvent => ({
  kind: 'gap',
  reader,
  channel: CHANNEL,
  cursor: at(n),
  reason,
});

/** Three appends, acknowledged. */
const three: readonly HistoryEvent[] = [1, 2, 3].flatMap((n) => [append(n), stored(n)]);

function check(events: readonly HistoryEvent[], options: CheckerOptions = {}): Verdict {
  const checker = new HistoryChecker(options);
  for (const event of events) checker.accept(event);
  return checker.finish();
}

function found(
  events: readonly HistoryEvent[],
  kind: ViolationKind,
  cursor: string | undefined,
  options: CheckerOptions = {},
): void {
  const verdict = check(events, options);
  assert.ok(
    verdict.violations.some((violation) => violation.kind === kind && violation.cursor === cursor),
    `no ${kind} at ${cursor} among ${JSON.stringify(verdict.violations)}`,
  );
  assert.equal(verdict.ok, false);
}

function clean(events: readonly HistoryEvent[], options: CheckerOptions = {}): Verdict {
  const verdict = check(events, options);
  assert.deepEqual(verdict.violations, []);
  assert.equal(verdict.ok, true);
  return verdict;
}

test('a history in which everything arrives has no violation, and its figures meet', () => {
  const verdict = clean(
    [...three, subscribed('a'), subscribed('b'), ...[1, 2, 3].flatMap((n) => [record('a', n), record('b', n)])],
    { closedWorld: true, mayDiverge: false },
  );
  assert.deepEqual(verdict.appends, { sent: 3, stored: 3, duplicates: 0, refused: 0, unconfirmed: 0, pending: 0 });
  assert.equal(verdict.records, 3);
  assert.equal(verdict.delivered, 6);
  assert.equal(new Set(verdict.readers.map((reader) => reader.order)).size, 1);
});

test('a record skipped in silence is an undeclared gap that names it (SUB-9)', () => {
  found([...three, subscribed('a'), record('a', 1), record('a', 3)], 'undeclared-gap', at(2));
});

test('the order hash of a reader that missed a record differs from the others for good', () => {
  const verdict = check([
    subscribed('a'),
    subscribed('b'),
    record('a', 1),
    record('a', 2),
    record('a', 3),
    record('b', 1),
    record('b', 3),
  ]);
  assert.notEqual(verdict.readers[0]?.order, verdict.readers[1]?.order);
});

test('an acknowledged record that a reader passed under a matching chain is lost', () => {
  found([...three, subscribed('a'), record('a', 1), record('a', 3, { prev: at(1) })], 'lost', at(2));
});

test('an acknowledgement that comes late still shows what a reader was not given', () => {
  found([append(1), append(2), subscribed('a'), record('a', 2, { prev: at(0) }), stored(1), stored(2)], 'lost', at(1));
});

test('a record that one reader got and another passed is lost for that other', () => {
  found(
    [subscribed('a'), subscribed('b'), record('a', 2, { prev: at(0) }), record('b', 1), record('b', 2)],
    'lost',
    at(1),
  );
});

test('an acknowledged record at the end that no settled reader reached is lost', () => {
  found([...three, subscribed('a'), record('a', 1), record('a', 2)], 'lost', at(3));
});

test('a reader that is known not to have settled is not judged for what it did not reach', () => {
  const checker = new HistoryChecker();
  for (const event of [...three, subscribed('a'), record('a', 1)]) checker.accept(event);
  assert.equal(checker.finish(new Set()).ok, true);
});

test('a mark that passes over a record, or stands at it, loses it', () => {
  const mark = (n: number): HistoryEvent => ({
    kind: 'mark',
    reader: 'a',
    channel: CHANNEL,
    prev: at(0),
    cursor: at(n),
  });
  found([...three, subscribed('a'), mark(2)], 'lost', at(1));
  found([...three, subscribed('a'), mark(1)], 'lost', at(1));
});

test('a mark beyond the place is an undeclared gap', () => {
  found(
    [subscribed('a'), { kind: 'mark', reader: 'a', channel: CHANNEL, prev: at(1), cursor: at(2) }],
    'undeclared-gap',
    at(2),
  );
});

test('one rid with two records is duplicated', () => {
  found(
    [...three, subscribed('a'), ...[1, 2, 3].map((n) => record('a', n)), record('a', 4, { rid: 'r2' })],
    'duplicated',
    at(4),
  );
});

test('an acknowledgement that names another place than the record has is duplicated', () => {
  found([append(1), stored(1, at(5)), subscribed('a'), record('a', 1)], 'duplicated', at(1));
});

test('a cursor given to a reader twice is duplicated', () => {
  found([...three, subscribed('a'), record('a', 1), record('a', 2), record('a', 2)], 'duplicated', at(2));
});

test('an older record after a newer one is out of order', () => {
  found([subscribed('a'), record('a', 2, { prev: at(0) }), record('a', 1)], 'duplicated', at(1));
  found([subscribed('a', { cursor: at(2) }), record('a', 3), record('a', 1)], 'reordered', at(1));
});

test('records of one writer stored against the order they were sent in are out of order (APP-3)', () => {
  found([append(2), append(1), stored(2, at(1)), stored(1, at(2))], 'reordered', at(2));
});

test('readers that got other data at one cursor disagree', () => {
  found([subscribed('a'), subscribed('b'), record('a', 1), record('b', 1, { hash: data(9) })], 'disagreement', at(1));
});

test('readers that got other rids at one cursor disagree', () => {
  found([subscribed('a'), subscribed('b'), record('a', 1), record('b', 1, { rid: 'other' })], 'disagreement', at(1));
});

test('a payload that is not what was appended is altered', () => {
  found([append(1), stored(1), subscribed('a'), record('a', 1, { hash: data(9) })], 'altered', at(1));
});

test('a record nobody appended is a phantom where all writers are known', () => {
  found([subscribed('a'), record('a', 1)], 'phantom', at(1), { closedWorld: true });
  clean([subscribed('a'), record('a', 1)]);
});

test('a refused append that is visible is named, whichever comes first', () => {
  const refused: HistoryEvent = {
    kind: 'outcome',
    channel: CHANNEL,
    rid: 'r1',
    outcome: { state: 'refused', code: 'invalid' },
  };
  found([append(1), refused, subscribed('a'), record('a', 1)], 'refused-but-visible', at(1));
  found([append(1), subscribed('a'), record('a', 1), refused], 'refused-but-visible', at(1));
});

test('an unconfirmed append may be visible or not, once', () => {
  const unconfirmed: HistoryEvent = { kind: 'outcome', channel: CHANNEL, rid: 'r1', outcome: { state: 'unconfirmed' } };
  clean([append(1), unconfirmed, subscribed('a'), record('a', 1)], { closedWorld: true });
  clean([append(1), unconfirmed, subscribed('a')], { closedWorld: true });
});

test('another record at the position of an acknowledged one: the first is gone', () => {
  found([append(1), stored(1), subscribed('a'), record('a', 1, { cursor: at(1, 'bbbb'), rid: 'r9' })], 'gone', at(1));
});

test('a newest record below what was acknowledged before the question: it is gone', () => {
  const events = [...three, subscribed('a', { cursor: at(2), head: at(2), asked: 6 })];
  found(events, 'gone', at(3));
  clean([...three.slice(0, 4), subscribed('a', { cursor: at(2), head: at(2), asked: 4 })]);
  // Another node may not have it yet; the record comes, or it is lost at the end.
  const there = [...events, ...[3].map((n) => record('a', n))];
  clean(there, { manyNodes: true });
  found(events, 'lost', at(3), { manyNodes: true });
});

test('a place that goes back on resume is a lost tail, unless the log may lose it', () => {
  const events = [
    subscribed('a'),
    record('a', 1),
    record('a', 2),
    subscribed('a', { from: at(2), cursor: at(1), head: at(1), resumed: true }),
  ];
  found(events, 'gone', at(1), { mayDiverge: false });
});

test('a place that goes forward on resume is an undeclared gap', () => {
  const events = [
    subscribed('a'),
    record('a', 1),
    subscribed('a', { from: at(1), cursor: at(2), head: at(3), resumed: true }),
  ];
  found(events, 'undeclared-gap', at(2));
});

test('a declared gap is a gap, not a violation', () => {
  const verdict = clean([...three, subscribed('a'), gap('a', 2), record('a', 3)]);
  assert.deepEqual(verdict.gaps, { trimmed: 1, diverged: 0, epoch: 0 });
});

test('a gap behind which nothing was missed is false: the next record tells', () => {
  found([...three, subscribed('a'), record('a', 1), record('a', 2), gap('a', 2)], 'false-gap', at(2));
  found([subscribed('a', { cursor: at(2) }), gap('a', 4), record('a', 5, { prev: at(2) })], 'false-gap', at(4));
});

test('an idle channel whose head the client holds is resumed; a gap there is false (SUB-7)', () => {
  const events = [
    subscribed('a', { cursor: at(2) }),
    record('a', 3),
    subscribed('a', { from: at(3), cursor: at(4), head: at(3), resumed: false, reason: 'trimmed' }),
  ];
  found(events, 'false-gap', at(4));
});

test('a gap is false when a later subscription is still given what was said to be trimmed', () => {
  const events = [
    subscribed('a'),
    gap('a', 2),
    subscribed('b', { asked: 2 }),
    record('b', 1),
    record('b', 2),
    record('a', 3),
    record('b', 3),
  ];
  found(events, 'false-gap', at(2));
});

test('a gap is false when it leaves fewer records than retention promises, unless somebody trimmed', () => {
  const events = [
    ...three,
    subscribed('a'),
    subscribed('b', { from: at(0), cursor: at(2), head: at(3), resumed: false, reason: 'trimmed' }),
    ...[1, 2, 3].map((n) => record('a', n)),
    record('b', 3),
  ];
  found(events, 'false-gap', at(2), { retentionRecords: () => 2 });
  clean(events, { retentionRecords: () => 1 });
  clean([...events, { kind: 'trim', channel: CHANNEL, cursor: at(2) }], { retentionRecords: () => 2 });
});

test('another epoch without a gap is an undeclared gap', () => {
  found(
    [subscribed('a'), record('a', 1), record('a', 2, { cursor: 'EpochB.11.aaaa', prev: 'EpochB.0.----' })],
    'undeclared-gap',
    'EpochB.11.aaaa',
  );
});

test('a log that begins another life says so, and what follows is judged by itself', () => {
  const next = (n: number): HistoryEvent =>
    record('a', n, {
      cursor: `EpochB.1${n}.aaaa`,
      prev: n === 1 ? 'EpochB.0.----' : `EpochB.1${n - 1}.aaaa`,
      rid: `n${n}`,
    });
  const change: HistoryEvent = { kind: 'gap', reader: 'a', channel: CHANNEL, cursor: 'EpochB.0.----', reason: 'epoch' };
  clean([...three, subscribed('a'), ...[1, 2, 3].map((n) => record('a', n)), change, next(1), next(2)]);
  found([subscribed('a'), record('a', 1), change, next(1)], 'gone', 'EpochB.0.----', { mayDiverge: false });
});

test('a record whose prev leaves out a known record breaks the chain', () => {
  found([subscribed('a'), record('a', 1), record('a', 2), record('a', 3, { prev: at(1) })], 'broken-chain', at(3));
});

test('a record that is its own predecessor breaks the chain', () => {
  found([subscribed('a', { cursor: at(1) }), record('a', 2, { prev: at(2) })], 'broken-chain', at(2));
});

test('a prev with an unknown tag is a floor, not a broken chain (CUR-5)', () => {
  clean([subscribed('a'), record('a', 1), record('a', 2, { prev: 'EpochA.0.----' })]);
});

test('frames before the answer to a subscribe, or after the end, are uninvited (SUB-8)', () => {
  found([subscribed('a'), { kind: 'disconnect', reader: 'a' }, record('a', 1)], 'uninvited', at(1));
  found([subscribed('a'), { kind: 'disconnect', reader: 'a', channel: CHANNEL }, gap('a', 1)], 'uninvited', at(1));
});

test("a session that gets its own record before the append's answer is told of (APP-5)", () => {
  const events = [append(1, { session: 's1' }), subscribed('a', { session: 's1' }), record('a', 1), stored(1)];
  found(events, 'record-before-ok', at(1));
  clean([append(1, { session: 's1' }), subscribed('a', { session: 's2' }), record('a', 1), stored(1)]);
  clean([
    append(1, { session: 's1' }),
    append(1, { session: 's2' }),
    subscribed('a', { session: 's1' }),
    record('a', 1),
    stored(1),
  ]);
});

test('the application behind an SDK begins where its first record says, and is held to the same rule', () => {
  clean([record('app', 3), record('app', 4), gap('app', 6), record('app', 7)]);
  found([record('app', 3), record('app', 5)], 'undeclared-gap', at(4));
});

test('a reader that resumes beyond what it was given has skipped something', () => {
  const resume = subscribed('a', { from: at(3), cursor: at(3), head: at(3), resumed: true });
  found([subscribed('a'), record('a', 1), resume], 'undeclared-gap', at(3));
});

test('memory is bounded: a long history keeps its window, and late readers are counted', () => {
  const checker = new HistoryChecker({ windowRecords: 100 });
  const cursor = (n: number): string => `EpochA.3${String(n).padStart(3, '1')}.aaaa`;
  const step = (reader: string, n: number): HistoryEvent => ({
    kind: 'record',
    reader,
    channel: CHANNEL,
    cursor: cursor(n),
    prev: cursor(n - 1),
    rid: `r${n}`,
    hash: data(n),
  });
  const from = 200;
  for (let n = from; n < from + 700; n++) checker.accept(step('fast', n));
  for (let n = from; n < from + 700; n++) checker.accept(step('slow', n));
  const verdict = checker.finish();
  assert.deepEqual(verdict.violations, []);
  assert.ok(verdict.beyondWindow >= 570, `only ${verdict.beyondWindow} records were beyond the window`);
  assert.equal(verdict.readers[0]?.order, verdict.readers[1]?.order);
});

test('the checker needs nothing of Node: it bundles for a browser', async () => {
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL('./checker.ts', import.meta.url))],
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'esm',
    conditions: ['tideway-source'],
    logLevel: 'silent',
  });
  assert.equal(bundle.outputFiles.length, 1);
});
