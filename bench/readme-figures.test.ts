import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { newestResults } from './record.ts';
import type { CaseResult, Recorded } from './scenario.ts';
import { figuresText, readmePath, readmeScenarios, withFigures } from './readme-figures.ts';

function caseOf(name: string, metrics: Readonly<Record<string, Readonly<Record<string, number[]>>>>): CaseResult {
  return { name, contenders: Object.entries(metrics).map(([contender, own]) => ({ name: contender, metrics: own })) };
}

function recordedOf(cases: Readonly<Record<string, CaseResult[]>>): Recorded {
  const load = { busyPercent: 0, loadAverage: 0 };
  return {
    format: 1,
    date: '2026-01-02T03:04:05.000Z',
    commit: { id: '0123456789', dirty: false },
    machine: { cpu: 'Some CPU', cores: 2, memoryGiB: 8, kernel: 'linux 6', node: 'v26.0.0', compiler: 'gcc 12' },
    pairs: 5,
    quick: false,
    scenarios: Object.entries(cases).map(([name, own]) => ({
      name,
      title: '',
      columns: [],
      cases: own,
      loadBefore: load,
      loadAfter: load,
      tookSeconds: 1,
    })),
    bars: [],
  };
}

const recorded = recordedOf({
  'fan-out-1000': [
    caseOf('50 ticks/s', {
      tideway: { cpuUs: [9, 10, 11] },
      'C send': { cpuUs: [6, 5, 11] },
      'ws string': { cpuUs: [10, 20, 20] },
      'Socket.IO': { cpuUs: [20, 20, 20] },
    }),
  ],
  append: [
    caseOf('saturated', { tideway: { perSecond: [60_000] }, floor: { perSecond: [100_000] } }),
    caseOf('lone', { tideway: { p50Ms: [0.6] } }),
  ],
  resume: [caseOf('one channel', { tideway: { allThereMs: [1_240, 1_250, 1_900] } })],
});

test('figures are medians, ratios medians of the pairs’ ratios', () => {
  const text = figuresText(recorded);
  assert.match(
    text,
    /costs 10 µs of CPU per delivery.*: 1\.5x a bare C `send` loop, 0\.55x a `ws` loop, 0\.5x Socket\.IO/,
  );
  assert.match(text, /60,000 durable appends a second over WebSocket, 0\.6x of/);
  assert.match(text, /live again 1\.25 s after/);
  assert.match(text, /2 cores \(Some CPU\), Node v26\.0\.0, 2026-01-02, commit 0123456789/);
});

test('a figure that was not measured is an error that names it', () => {
  assert.throws(() => figuresText(recordedOf({})), /has no fan-out-1000 \/ 50 ticks\/s \/ tideway \/ cpuUs/);
});

test('only what stands between the markers changes', () => {
  const readme = 'before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n';
  const written = withFigures(readme, recorded);
  assert.ok(written !== undefined && written.startsWith('before\n<!-- figures -->\n- A record'));
  assert.ok(written.endsWith('\n<!-- /figures -->\nafter\n'));
  assert.equal(withFigures(written, recorded), written);
  assert.equal(withFigures('no markers', recorded), undefined);
});

test('the README’s figures are those of the newest recorded run', (t) => {
  const readme = existsSync(readmePath) ? readFileSync(readmePath, 'utf8') : '';
  if (!readme.includes('<!-- figures -->')) {
    t.skip('the README has no figures yet');
    return;
  }
  const newest = newestResults(readmeScenarios);
  if (newest === undefined) {
    const why = 'the README has figures, but no run is recorded in bench/results';
    assert.match(readme, /<!-- figures -->\s*<!-- \/figures -->/, why);
    return;
  }
  assert.equal(readme, withFigures(readme, newest), 'node bench/readme-figures.ts writes them');
});
