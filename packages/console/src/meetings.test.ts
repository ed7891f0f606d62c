import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Meetings } from './meetings.ts';
import type { Sums } from './proof.ts';

/** The sums of a moment; a reader's order is named after how much it has seen. */
function sumsOf(written: number, stored: number, ...seen: readonly number[]): Sums {
  const orders = seen.map((count) => `order of ${count}`);
  return { written, stored, seen, gaps: 0, duplicates: 0, repeated: 0, orders, violation: undefined };
}

test('counters that are never equal at one moment meet all the same, each at its own time', () => {
  const meetings = new Meetings();
  meetings.look(0, sumsOf(3, 1, 1, 0));
  meetings.look(10, sumsOf(4, 2, 2, 1));
  meetings.look(20, sumsOf(5, 4, 3, 2));
  assert.equal(meetings.last, undefined);
  meetings.look(30, sumsOf(6, 4, 4, 3));
  assert.deepEqual(meetings.last, { writtenMs: 0, sums: sumsOf(3, 3, 3, 3) });
  // The next one is asked for at once: what had been written by then.
  meetings.look(40, sumsOf(7, 6, 6, 6));
  assert.deepEqual(meetings.last, { writtenMs: 30, sums: sumsOf(6, 6, 6, 6) });
});

test('where nobody writes any more the counters meet on', () => {
  const meetings = new Meetings();
  for (let nowMs = 0; nowMs <= 9_000; nowMs += 150) meetings.look(nowMs, sumsOf(7, 7, 7, 7));
  assert.deepEqual(meetings.last, { writtenMs: 8_850, sums: sumsOf(7, 7, 7, 7) });
});

test('where one reader has lost a record, or nothing is stored, nothing meets', () => {
  const meetings = new Meetings();
  meetings.look(0, sumsOf(0, 0, 0, 0));
  assert.equal(meetings.last, undefined, 'nothing is no proof');
  for (let n = 1; n < 50; n++) meetings.look(n, sumsOf(n + 2, 2, 2, 2));
  for (let n = 50; n < 99; n++) meetings.look(n, sumsOf(n, n, n, 2));
  assert.equal(meetings.last, undefined);
});

test('readers that saw different orders meet with different orders', () => {
  const meetings = new Meetings();
  meetings.look(0, sumsOf(2, 0, 0, 0));
  meetings.look(1, { ...sumsOf(2, 2, 2, 2), orders: ['a', 'b'] });
  assert.deepEqual(meetings.last?.sums.orders, ['a', 'b']);
});
