import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertKept } from '../verdict.ts';
import { torture } from './torture.ts';

test('a server whose workers are killed and paused, and which is killed itself, breaks no promise', async () => {
  const report = await torture({
    seconds: 30,
    seed: 42,
    kills: 3,
    appendsPerSecond: 40,
    workers: 2,
    isEnough: ({ kills, workerKills, verdict: { appends } }) => kills >= 1 && workerKills >= 1 && appends.stored > 300,
  });
  const story = JSON.stringify({ failures: report.failures, violations: report.verdict.violations, data: report.data });
  assertKept(report.verdict);
  assert.ok(report.ok, story);
  assert.ok(report.kills.kills >= 1, 'the one with the log was not killed');
  assert.ok(report.faults.workerKills >= 1, 'no worker was killed');
  const { appends, delivered } = report.verdict;
  assert.ok(appends.stored > 300 && delivered > appends.stored, JSON.stringify({ appends, delivered }));
  assert.equal(appends.pending, 0);
});
