/** A log that was rewound, whose nodes tell their readers one after the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistoryChecker, type HistoryEvent, type ViolationKind } from './checker.ts';

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

function kinds(events: readonly HistoryEvent[]): ViolationKind[] {
  const checker = new HistoryChecker({ manyNodes: true });
  for (const event of events) checker.accept(event);
  return [...new Set(checker.finish().violations.map(({ kind }) => kind))];
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
