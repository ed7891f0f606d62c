import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redis } from '../../../../scripts/brokers/redis.ts';
import { HistoryChecker, type Verdict } from '../checker.ts';
import { tooManyUnjudged } from './fault-run.ts';
import { faults, type Fault } from './faults.ts';
import { matrixPage, readRows, rowOf, type MatrixRow } from './matrix.ts';
import { faultTest } from './testing/fault-test.ts';

faultTest(redis, 'node killed');
faultTest(redis, 'rolling restart');
faultTest(redis, 'clocks skewed');
faultTest(redis, 'stale replica', 'told');

test('a new row takes the place of the older one of the same log and fault', () => {
  const row = (figures: string): MatrixRow => ({
    log: 'nats',
    fault: 'nothing',
    result: 'nothing lost',
    figures,
    run: '2026-11-24, abc',
  });
  assert.deepEqual(readRows(matrixPage([row('new'), ...readRows(matrixPage([row('old')]))])), [row('new')]);
});

function leavingOpen(unjudged: number): Verdict {
  const verdict = new HistoryChecker().verdict();
  return { ...verdict, unjudged, appends: { ...verdict.appends, stored: 1_000 } };
}

test('a cell fails where more than 5 % of what was acknowledged was never judged', () => {
  assert.equal(tooManyUnjudged(leavingOpen(0)), undefined);
  assert.equal(tooManyUnjudged(leavingOpen(50)), undefined);
  assert.match(tooManyUnjudged(leavingOpen(51)) ?? '', /^51 of 1000 acknowledged records were never judged/);
});

test('the figures of a row say what was left unjudged, where something was', () => {
  const figures = (unjudged: number): string => {
    const report = { ok: true, failures: [], verdict: leavingOpen(unjudged), longestSilenceMs: 0 };
    return rowOf('nats', faults[0] as Fault, report).figures;
  };
  assert.match(figures(3), /^1000 stored; 3 unjudged; /);
  assert.doesNotMatch(figures(0), /unjudged/);
});
