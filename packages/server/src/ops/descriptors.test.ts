import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { createHeldEnv } from '../auth/testing/held-env.ts';
import { connectionsMax, countDescriptors, watchDescriptors, type Descriptors } from './descriptors.ts';
import { createLogger, type LogLine } from './logger.ts';

test(
  'are counted as they are opened and closed',
  { skip: process.platform === 'win32' && 'Windows does not count them' },
  () => {
    const { open = 0, max = 0 } = countDescriptors();
    assert.ok(open > 0 && open < max);
    const more = Array.from({ length: 10 }, () => openSync('/dev/null', 'r'));
    assert.equal(countDescriptors().open, open + 10);
    for (const one of more) closeSync(one);
    assert.equal(countDescriptors().open, open);
  },
);

test('connections get what is left of them, but for a reserve', () => {
  const table: readonly [Descriptors, number | undefined][] = [
    [{ open: 30, max: 96 }, 96 - 30 - 16],
    [{ open: 30, max: 1_024 }, 1_024 - 30 - 128],
    [{ open: 30, max: 1_048_576 }, 1_048_576 - 30 - 1_024],
    [{ open: 30, max: 32 }, 1],
    [{ open: 30, max: Number.POSITIVE_INFINITY }, undefined],
    [{ open: 30, max: undefined }, undefined],
    [{ open: undefined, max: 96 }, undefined],
  ];
  for (const [descriptors, expected] of table) assert.equal(connectionsMax(descriptors), expected);
});

test('that become few are told once, and again only after they were many', () => {
  const env = createHeldEnv();
  const lines: LogLine[] = [];
  const logger = createLogger({ env, write: (line) => void lines.push(line) });
  let open: number | undefined = 0;
  const stop = watchDescriptors({ env, logger, count: () => ({ open, max: 100 }) });
  const told = [];
  for (open of [50, 89, 90, 99, 85, 95, 79, 91, undefined, 100]) {
    env.advance(10_000);
    told.push(lines.splice(0).map(({ event, count }) => [event, count]));
  }
  const low = (count: number) => [['descriptors.low', count]];
  assert.deepEqual(told, [[], [], low(90), [], [], [], [], low(91), [], []]);
  stop();
  open = 0;
  env.advance(10_000);
  open = 100;
  env.advance(10_000);
  assert.deepEqual(lines, []);
});
