import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Figures } from './figures.ts';
import type { Recorded } from './scenario.ts';

function runOf(date: string, figures: Readonly<Record<string, readonly number[]>>): Recorded {
  const load = { busyPercent: 0, loadAverage: 0 };
  return {
    format: 1,
    date,
    commit: { id: '0123456789', dirty: false },
    machine: { cpu: 'Some CPU', cores: 2, memoryGiB: 8, kernel: 'linux 6', node: 'v26.0.0', compiler: 'gcc 12' },
    pairs: 3,
    quick: false,
    scenarios: Object.entries(figures).map(([name, values]) => ({
      name,
      title: '',
      columns: [],
      cases: [{ name: 'case', contenders: [{ name: 'tideway', metrics: { cpuUs: values } }] }],
      loadBefore: load,
      loadAfter: load,
      tookSeconds: 1,
    })),
    bars: [],
  };
}

const older = runOf('2026-01-01', { append: [1, 2, 9], idle: [5] });
const newer = runOf('2026-01-02', { append: [3] });
const figures = new Figures([older, newer]);

test('a figure comes from the newest run that has its scenario, as the median of its pairs', () => {
  assert.equal(figures.of('append / case / tideway / cpuUs'), 3);
  assert.equal(figures.of('idle / case / tideway / cpuUs'), 5);
  assert.equal(new Figures([older]).of('append / case / tideway / cpuUs'), 2);
  assert.deepEqual(figures.used, [older, newer]);
});

test('a figure that nobody measured is an error that names it', () => {
  assert.throws(() => figures.of('append / case / tideway / p99Ms'), /append \/ case \/ tideway \/ p99Ms/);
  assert.throws(() => figures.of('start / case / tideway / cpuUs'), /start/);
});
