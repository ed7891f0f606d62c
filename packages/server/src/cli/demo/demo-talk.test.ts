import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTrouble } from './demo-talk.ts';

test('the terminal of the demo shows what went wrong in a node, not its greeting and not what the page shows', () => {
  for (const line of [
    'error: port 7400 is taken',
    'TypeError: nothing is not a function',
    '{"level":"error","event":"process.failed","message":"out of memory"}',
  ]) {
    assert.ok(isTrouble(line), line);
  }
  for (const line of [
    '',
    'Ctrl-C stops it.',
    '{"level":"warn","event":"append.unconfirmed"}',
    '{"level":"error","event":"log.down","message":"127.0.0.1:1: closed"}',
  ]) {
    assert.ok(!isTrouble(line), line);
  }
});
