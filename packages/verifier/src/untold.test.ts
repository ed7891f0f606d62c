/** A log that was rewound, and a writer that hears of it before any reader. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistoryChecker, type CheckerOptions, type HistoryEvent, type Verdict } from './checker.ts';

const CHANNEL = 'test:a';
const at = (n: number, tag: string): string => (n === 0 ? 'EpochA.0.----' : `EpochA.1${n}.${tag}`);

const appended = (rid: string, cursor: string): readonly HistoryEvent[] => [
  { kind: 'append', channel: CHANNEL, rid, writer: 'w', sequence: Number(rid.slice(1)) },
  { kind: 'outcome', channel: CHANNEL, rid, outcome: { state: 'stored', cursor } },
];
const read = (rid: string, cursor: string, prev: string): HistoryEvent => {
  return { kind: 'record', reader: 'a', channel: CHANNEL, cursor, prev, rid, hash: rid };
};
const told: HistoryEvent = { kind: 'gap', reader: 'a', channel: CHANNEL, cursor: at(0, ''), reason: 'diverged' };

/** Three records, read; then two of them are gone, and the fourth is acknowledged in their place. */
const rewound: readonly HistoryEvent[] = [
  ...[1, 2, 3].flatMap((n) => appended(`r${n}`, at(n, 'aaaa'))),
  ...[1, 2, 3].map((n) => read(`r${n}`, at(n, 'aaaa'), at(n - 1, 'aaaa'))),
  ...appended('r4', at(2, 'bbbb')),
];
const after: readonly HistoryEvent[] = [read('r1', at(1, 'aaaa'), at(0, '')), read('r4', at(2, 'bbbb'), at(1, 'aaaa'))];

function check(events: readonly HistoryEvent[], options: CheckerOptions = {}): Verdict {
  const checker = new HistoryChecker({ manyNodes: true, ...options });
  for (const event of events) checker.accept(event);
  return checker.finish();
}

test('a record of the new history that is acknowledged before anybody was told of it is no contradiction', () => {
  assert.deepEqual(check([...rewound, told, ...after]).violations, []);
});

test('neither is one in the place of the newest record', () => {
  const instead = [
    ...rewound.slice(0, -2),
    ...appended('r4', at(3, 'bbbb')),
    told,
    read('r1', at(1, 'aaaa'), at(0, '')),
    read('r2', at(2, 'aaaa'), at(1, 'aaaa')),
    read('r4', at(3, 'bbbb'), at(2, 'aaaa')),
  ];
  assert.deepEqual(check(instead).violations, []);
});

test('it must be given to readers of the new history like any other', () => {
  const verdict = check([
    ...rewound,
    told,
    read('r1', at(1, 'aaaa'), at(0, '')),
    read('r5', at(3, 'bbbb'), at(1, 'aaaa')),
  ]);
  assert.deepEqual(
    verdict.violations.map(({ kind, cursor }) => [kind, cursor]),
    [['lost', at(2, 'bbbb')]],
  );
});

test('without a gap it is a loss, at the end, or once it has waited long enough', () => {
  const kinds = (verdict: Verdict): Set<string> => new Set(verdict.violations.map(({ kind }) => kind));
  assert.ok(kinds(check(rewound)).has('gone'));
  const checker = new HistoryChecker({ manyNodes: true });
  for (const event of rewound) checker.accept(event);
  for (let n = 4; n < 20_010; n++) checker.accept({ kind: 'disconnect', reader: 'nobody' });
  for (const event of appended('r5', at(1, 'cccc'))) checker.accept(event);
  assert.ok(kinds(checker.verdict()).has('gone'));
});

test('where no history may take the place of another one, nothing waits', () => {
  const checker = new HistoryChecker({ manyNodes: true, mayDiverge: false });
  for (const event of rewound) checker.accept(event);
  assert.equal(checker.verdict().ok, false);
});
