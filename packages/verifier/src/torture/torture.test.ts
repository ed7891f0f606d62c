import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertKept } from '../verdict.ts';
import { torture } from './torture.ts';

test('a server that is killed again and again, also in the middle of its writes, breaks no promise', async () => {
  const report = await torture({
    seconds: 14,
    seed: 20_261,
    kills: 8,
    insidePercent: 60,
    appendsPerSecond: 60,
    isEnough: ({ kills, killsInsideWrite, verdict: { appends } }) =>
      kills >= 3 && killsInsideWrite >= 1 && appends.stored > 500,
  });
  const story = JSON.stringify({ failures: report.failures, violations: report.verdict.violations, data: report.data });
  assertKept(report.verdict);
  assert.ok(report.ok, story);
  assert.ok(report.kills.kills >= 3, `only ${report.kills.kills} kills`);
  assert.ok(report.killsInsideWrite.total >= 1, 'no kill was inside a write');
  assert.ok(
    report.verdict.appends.stored > 500 && report.verdict.delivered > report.verdict.appends.stored,
    'little was written or read',
  );
  assert.equal(report.verdict.appends.pending, 0);
});
