import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AgeClock, countRunsToDrop, isOverLimit, type RunHeld } from './retention.ts';
import { movableEnv } from './testing/view-rig.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

function runs(...newestMs: number[]): RunHeld[] {
  return newestMs.map((ms) => ({ records: 64, bytes: 10_000, newestMs: ms }));
}
const held = { records: 640, bytes: 100_000 };

test('a channel is looked at once it is a run or an eighth over its limit', () => {
  assert.equal(isOverLimit({ records: 164, bytes: 0 }, { records: 100 }), false);
  assert.equal(isOverLimit({ records: 165, bytes: 0 }, { records: 100 }), true);
  assert.equal(isOverLimit({ records: 11_250, bytes: 0 }, { records: 10_000 }), false);
  assert.equal(isOverLimit({ records: 11_251, bytes: 0 }, { records: 10_000 }), true);
  assert.equal(isOverLimit({ records: 9, bytes: 200_000 }, { bytes: 100_000 }), true);
  assert.equal(isOverLimit({ records: 1e9, bytes: 1e9 }, {}), false);
});

test('runs go from the oldest on while what remains is at least what was promised', () => {
  const all = runs(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  assert.equal(countRunsToDrop(all, held, { records: 500 }, 0), 2);
  assert.equal(countRunsToDrop(all, held, { records: 640 }, 0), 0);
  assert.equal(countRunsToDrop(all, held, { records: 0 }, 0), 10);
  assert.equal(countRunsToDrop(all, held, { bytes: 75_000 }, 0), 2);
  assert.equal(countRunsToDrop(all, held, { ageMs: 10 }, 14), 3);
  assert.equal(countRunsToDrop(all, held, { ageMs: 10 }, undefined), 0);
  assert.equal(countRunsToDrop(all, held, { records: 500, ageMs: 10 }, 14), 3);
  assert.equal(countRunsToDrop(all, held, {}, 1e9), 0);
});

test('a run whose writer’s clock was ahead goes with the older ones behind it', () => {
  assert.equal(countRunsToDrop(runs(1, 9_999, 3, 20), held, { ageMs: 10 }, 15), 3);
});

function clock(lastMs?: number): { env: ReturnType<typeof movableEnv>; clock: AgeClock; said: string[] } {
  const env = movableEnv();
  const said: string[] = [];
  return {
    env,
    said,
    clock: new AgeClock(env, lastMs === undefined ? undefined : env.now() + lastMs, (text) => said.push(text)),
  };
}

test('F26: a clock that steps by a year is not believed for a day, and it is said once', () => {
  for (const step of [YEAR, -YEAR, 2 * HOUR]) {
    const { env, clock: age, said } = clock();
    const before = age.now() as number;
    env.wallOffsetMs = step;
    assert.equal(age.now(), undefined);
    env.monotonicOffsetMs = 23 * HOUR;
    env.wallOffsetMs = step + 23 * HOUR;
    assert.equal(age.now(), undefined);
    assert.equal(said.length, 1);
    env.monotonicOffsetMs = 25 * HOUR;
    env.wallOffsetMs = step + 25 * HOUR;
    const after = age.now() as number;
    assert.ok(Math.abs(after - (before + step + 25 * HOUR)) < HOUR, 'believed after a day');
    assert.equal(said.length, 2);
    assert.notEqual(age.now(), undefined);
  }
});

test('F26: a clock that comes back is believed at once', () => {
  const { env, clock: age, said } = clock();
  env.wallOffsetMs = YEAR;
  assert.equal(age.now(), undefined);
  env.wallOffsetMs = 0;
  assert.notEqual(age.now(), undefined);
  env.wallOffsetMs = YEAR;
  assert.equal(age.now(), undefined);
  assert.equal(said.length, 2);
});

test('F26: a start a year after the last use, or before it, is not believed for a day; one after a week is', () => {
  assert.equal(clock(-YEAR).clock.now(), undefined);
  assert.equal(clock(2 * HOUR).clock.now(), undefined);
  assert.notEqual(clock(-7 * DAY).clock.now(), undefined);
  assert.notEqual(clock().clock.now(), undefined);
});
