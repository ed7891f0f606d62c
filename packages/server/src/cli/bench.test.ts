import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Latencies, SubscriberCount } from './bench-watch.ts';
import { exitCodes } from './exit-codes.ts';
import { runCli, runHere, startServer, temporaryFolder } from './testing/cli-rig.ts';

describe('a subscriber’s count', () => {
  const countOf = (numbers: readonly number[], writers = 1) => {
    const count = new SubscriberCount();
    for (const number of numbers) count.take(number, number % writers);
    return { delivered: count.delivered, twice: count.twice, outOfOrder: count.outOfOrder };
  };

  test('takes each record once', () => {
    assert.deepEqual(countOf([0, 1, 1, 2, 0]), { delivered: 3, twice: 2, outOfOrder: 0 });
  });

  test('sees what comes too late, of one writer only', () => {
    assert.deepEqual(countOf([0, 2, 1, 3]), { delivered: 4, twice: 0, outOfOrder: 1 });
    assert.deepEqual(countOf([0, 3, 2, 1], 2), { delivered: 4, twice: 0, outOfOrder: 1 });
  });

  test('reaches as far as the numbers do', () => {
    const numbers = Array.from({ length: 50_000 }, (_, number) => number);
    assert.deepEqual(countOf([...numbers, 49_999, 1_000_000]), { delivered: 50_001, twice: 1, outOfOrder: 0 });
  });
});

test('latencies are told in milliseconds', () => {
  const latencies = new Latencies();
  assert.equal(latencies.percentiles, undefined);
  for (let ms = 1; ms <= 100; ms++) latencies.record(ms);
  const { p50, p99, max } = latencies.percentiles ?? { p50: 0, p99: 0, max: 0 };
  assert.ok(Math.abs(p50 - 50) < 1 && Math.abs(p99 - 99) < 1 && Math.abs(max - 100) < 1);
});

test('bench delivers everything once and in order, and says what it measured', async (t) => {
  const server = await startServer(t, { data: await temporaryFolder(t) });
  const shape = ['--subscribers', '5', '--writers', '3', '--rate', '200', '--for', '500ms', '--warmup', '100ms'];
  const { exitCode, stdout, stderr } = await runCli(t, ['bench', ...shape, '--json'], server);
  assert.equal(exitCode, exitCodes.ok, stderr);
  const result = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual([result['sent'], result['stored'], result['delivered'], result['lost']], [120, 120, 600, 0]);
  assert.deepEqual(Object.keys(result['deliveryMs'] as object), ['p50', 'p90', 'p99', 'p99.9', 'max']);
  const missed = await runCli(t, ['bench', ...shape, '--target', 'max<0.001ms'], server);
  assert.equal(missed.exitCode, exitCodes.checkFailed);
  assert.match(missed.stdout, /✓ 600 delivered \(lost 0[^]*✗ max<0\.001ms is missed/);
});

test('bench refuses a target that is none', async () => {
  const { exitCode, stderr } = await runHere(['bench', '--target', 'fast']);
  assert.equal(exitCode, exitCodes.usage);
  assert.match(stderr, /--target: "fast" is not allowed; p50, p90, p99, p99\.9 or max, < and a time are/);
});
