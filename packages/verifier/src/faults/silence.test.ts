import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistoryChecker } from '../checker.ts';
import { Silence } from './silence.ts';

test('a reader is interrupted for as long as it lacks what another has; silence is what nobody is given', () => {
  let nowMs = 0;
  const silence = new Silence(() => nowMs);
  const checker = silence.listen(new HistoryChecker({ closedWorld: false }));
  const record = (atMs: number, reader: string, cursor: string, channel = 'chat:a'): void => {
    nowMs = atMs;
    checker.accept({ kind: 'record', reader, channel, cursor, prev: 'e.0', hash: '' });
  };
  record(0, 'a', 'e.1');
  nowMs = 5_000;
  silence.begin();
  // What came before the fault does not count.
  record(5_100, 'b', 'e.1');
  record(6_600, 'a', 'e.2');
  record(6_610, 'b', 'e.2');
  record(6_620, 'a', 'e.3');
  record(6_620, 'b', 'e.3', 'chat:b');
  record(7_420, 'b', 'e.3');
  silence.end();
  record(9_000, 'c', 'e.4');
  record(9_620, 'c', 'e.3');
  assert.deepEqual(silence.interruptions, { readers: 3, p50Ms: 800, p99Ms: 3_000, longestMs: 3_000 });
  assert.equal(silence.longestMs, 1_500);
});
