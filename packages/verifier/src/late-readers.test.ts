/** A log that was rewound, whose nodes tell their readers one after the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistoryChecker, type HistoryEvent, type Verdict, type ViolationKind } from './checker.ts';

const CHANNEL = 'test:a';
const at = (n: number, tag = 'aaaa'): string => (n === 0 ? 'EpochA.0.----' : `EpochA.1${n}.${tag}`);

const append = (n: number, cursor: string): readonly HistoryEvent[] => [
  { kind: 'append', channel: CHANNEL, rid: `r${n}`, writer: 'w', sequence: n },
  { kind: 'outcome', channel: CHANNEL, rid: `r${n}`, outcome: { state: 'stored', cursor } },
];
const read = (reader: string, n: number, cursor: string, prev: string): HistoryEvent => {
  return { kind: 'record', reader, channel: CHANNEL, cursor, prev, rid: `r${n}`, hash: `r${n}` };
};
const told = (reader: string): HistoryEvent => {
  return { kind: 'gap', reader, channel: CHANNEL, cursor: at(0), reason: 'diverged' };
};

/** Three records of which one remains, and another one in the place of the second. */
const old = (reader: string, from: number, to: number): HistoryEvent[] => {
  return [1, 2, 3].slice(from - 1, to).map((n) => read(reader, n, at(n), at(n - 1)));
};
const fresh = (reader: string): HistoryEvent[] => [
  read(reader, 1, at(1), at(0)),
  read(reader, 4, at(2, 'bbbb'), at(1)),
];
/** One reader has all of it and was told; the other one stands at the first record. */
const rewound: readonly HistoryEvent[] = [
  ...[1, 2, 3].flatMap((n) => append(n, at(n))),
  ...old('told', 1, 3),
  ...old('late', 1, 1),
  told('told'),
  ...fresh('told'),
  ...append(4, at(2, 'bbbb')),
];

function verdictOf(events: readonly HistoryEvent[], windowRecords = 50_000): Verdict {
  const checker = new HistoryChecker({ manyNodes: true, windowRecords });
  for (const event of events) checker.accept(event);
  return checker.finish();
}

function kinds(events: readonly HistoryEvent[]): ViolationKind[] {
  return [...new Set(verdictOf(events).violations.map(({ kind }) => kind))];
}

test('a reader that is told late may still be given what is gone', () => {
  assert.deepEqual(kinds([...rewound, ...old('late', 2, 3), told('late'), ...fresh('late')]), []);
});

test('a writer may hear late that what is gone was stored', () => {
  const [sent, acknowledged] = append(5, at(4)) as [HistoryEvent, HistoryEvent];
  const next = read('told', 6, at(4, 'bbbb'), at(2, 'bbbb'));
  const late = [told('late'), ...fresh('late'), { ...next, reader: 'late' } as HistoryEvent];
  assert.deepEqual(kinds([sent, ...rewound, acknowledged, next, ...late]), []);
  assert.deepEqual(kinds([sent, ...rewound, ...late, acknowledged, next]), ['disagreement', 'lost']);
});

test('a reader that stands before what is gone need not be told', () => {
  assert.deepEqual(kinds([...rewound, read('late', 4, at(2, 'bbbb'), at(1))]), []);
});

test('a reader that was given what is gone and never told is found', () => {
  assert.deepEqual(kinds([...rewound, ...old('late', 2, 3)]), ['gone', 'lost']);
});

test('a reader that was told may not be given what is gone', () => {
  assert.deepEqual(kinds([...rewound, ...old('told', 2, 2), told('late'), ...fresh('late')]), ['duplicated']);
});

test('a reader that is told and goes on over a hole is found', () => {
  const hole = read('late', 4, at(2, 'bbbb'), at(1));
  assert.deepEqual(kinds([...rewound, ...old('late', 2, 3), told('late'), hole]), ['undeclared-gap']);
});

test('what is acknowledged meanwhile and seen by nobody is no violation, and counted as unjudged', () => {
  const end = [told('late'), ...fresh('late')];
  const lost = verdictOf([...rewound, ...append(5, at(3, 'bbbb')), ...end]);
  assert.deepEqual([lost.violations, lost.unjudged], [[], 1]);
  const seen = (reader: string): HistoryEvent => read(reader, 5, at(3, 'bbbb'), at(2, 'bbbb'));
  const kept = verdictOf([...rewound, ...append(5, at(3, 'bbbb')), seen('told'), ...end, seen('late')]);
  assert.deepEqual([kept.violations, kept.unjudged], [[], 0]);
  const judged = verdictOf([...rewound, ...end, ...append(5, at(3, 'bbbb'))]);
  assert.deepEqual([new Set(judged.violations.map(({ kind }) => kind)), judged.unjudged], [new Set(['lost']), 0]);
});

test('the count of what is unjudged is exact beyond what the window holds', () => {
  const acknowledged = [3, 4, 5, 6, 7, 8].flatMap((n) => append(n + 2, at(n, 'bbbb')));
  assert.equal(verdictOf([...rewound, ...acknowledged, told('late'), ...fresh('late')], 4).unjudged, 6);
});
