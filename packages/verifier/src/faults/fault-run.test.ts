import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redis } from '../../../../scripts/brokers/redis.ts';
import { matrixPage, readRows, type MatrixRow } from './matrix.ts';
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
