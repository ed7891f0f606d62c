import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bar, Condition, Source } from './bars.ts';
import { bars, shownOnly } from './bars.ts';
import type { ScenarioResult } from './scenario.ts';
import { scenarios } from './scenarios/scenarios.ts';
import { judge } from './verdict.ts';

function resultOf(contenders: Readonly<Record<string, readonly number[]>>): ScenarioResult {
  const load = { busyPercent: 0, loadAverage: 0 };
  return {
    name: 's',
    title: '',
    columns: [],
    cases: [{ name: 'c', contenders: Object.entries(contenders).map(([name, ms]) => ({ name, metrics: { ms } })) }],
    loadBefore: load,
    loadAfter: load,
    tookSeconds: 1,
  };
}

const ours: Source = { case: 'c', contender: 'ours', metric: 'ms' };
const floor: Source = { case: 'c', contender: 'floor', metric: 'ms' };

function barOf(...any: [Condition, ...Condition[]]): Bar {
  return { scenario: 's', text: 't', any };
}

test('the median of the pairs’ ratios decides, not the ratio of the medians', () => {
  const results = [resultOf({ ours: [10, 40, 30], floor: [10, 20, 30] })];
  const judged = judge(barOf({ of: ours, per: floor, atMost: 1.2 }), results);
  assert.deepEqual(judged.value, { median: 1, min: 1, max: 2 });
  assert.equal(judged.verdict, 'met');
});

test('a median beyond the limit is a miss, on either side', () => {
  const results = [resultOf({ ours: [5, 5, 5] })];
  assert.equal(judge(barOf({ of: ours, atMost: 4.9 }), results).verdict, 'missed');
  assert.equal(judge(barOf({ of: ours, atLeast: 5.1 }), results).verdict, 'missed');
  assert.equal(judge(barOf({ of: ours, atLeast: 5 }), results).verdict, 'met');
});

test('of two ways to meet a bar one is enough, and that one is reported', () => {
  const results = [resultOf({ ours: [15], floor: [10] })];
  const judged = judge(barOf({ of: ours, atMost: 10 }, { of: ours, per: floor, atMost: 2 }), results);
  assert.deepEqual([judged.verdict, judged.value?.median, judged.limit], ['met', 1.5, 2]);
});

test('what was not measured is neither met nor missed', () => {
  const bar = barOf({ of: ours, per: floor, atMost: 2 });
  assert.equal(judge(bar, []).verdict, 'not measured');
  assert.equal(judge(bar, [resultOf({ ours: [1] })]).verdict, 'not measured');
});

test('a quick run decides nothing', () => {
  const judged = judge(barOf({ of: ours, atMost: 2 }), [resultOf({ ours: [1] })], true);
  assert.deepEqual([judged.verdict, judged.value?.median], ['too quick', 1]);
});

test('every scenario has a bar, or a reason why it is only shown', () => {
  for (const { name } of scenarios) {
    const judged = bars.some(({ scenario }) => scenario === name);
    const shown = shownOnly.some(({ scenario }) => scenario === name);
    assert.ok(judged !== shown, `${name} must stand in one of bars and shownOnly`);
  }
});

test('every bar names a case, contenders and conditions that its scenario has', async () => {
  const quiet = { pairs: 1, quick: true, progress: () => {} };
  for (const scenario of scenarios) {
    const open = await scenario.open(quiet);
    for (const bar of bars.filter((one) => one.scenario === scenario.name)) {
      for (const { of, per, atMost, atLeast } of bar.any) {
        assert.ok((atMost === undefined) !== (atLeast === undefined), bar.text);
        for (const source of per === undefined ? [of] : [of, per]) {
          const found = open.cases
            .find((one) => one.name === source.case)
            ?.contenders.find((one) => one.name === source.contender);
          assert.ok(found, `${scenario.name} has no contender "${source.contender}" in a case "${source.case}"`);
        }
      }
    }
    await open.close?.();
  }
});
