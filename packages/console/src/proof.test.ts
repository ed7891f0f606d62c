import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Proof } from './proof.ts';

const READERS = ['WebSocket', 'SSE'];

function recordAt(n: number) {
  const place = (k: number): string => (k === 0 ? 'AAAAAA.0.----' : `AAAAAA.1${k}.tag${k}`);
  return { channel: 'demo:x', cursor: place(n), prev: place(n - 1), rid: `r${n}`, data: { n } };
}

function proofOf(count: number): Proof {
  const proof = new Proof('demo:x', READERS);
  for (let n = 1; n <= count; n++) {
    proof.written(`r${n}`, { n });
    proof.stored(`r${n}`, recordAt(n).cursor, false);
  }
  return proof;
}

test('what is written, stored and seen is counted, and equal orders have equal hashes', () => {
  const proof = proofOf(3);
  for (const reader of READERS) for (const n of [1, 2, 3]) proof.seen(reader, recordAt(n));
  const sums = proof.sums();
  assert.deepEqual(
    { written: sums.written, stored: sums.stored, seen: sums.seen, gaps: sums.gaps, duplicates: sums.duplicates },
    { written: 3, stored: 3, seen: [3, 3], gaps: 0, duplicates: 0 },
  );
  assert.equal(sums.violation, undefined);
  assert.equal(sums.orders[0], sums.orders[1]);
});

test('a record kept from one reader is found, and its cursor is named', () => {
  const proof = proofOf(3);
  for (const n of [1, 2, 3]) proof.seen('WebSocket', recordAt(n));
  for (const n of [1, 3]) proof.seen('SSE', recordAt(n));
  const { violation, orders } = proof.sums();
  assert.match(violation?.text ?? '', new RegExp(recordAt(2).cursor.replaceAll('.', '\\.')));
  assert.notEqual(orders[0], orders[1]);
});

test('a record given twice, and one that was changed, are found', () => {
  const twice = proofOf(1);
  twice.seen('SSE', recordAt(1));
  twice.seen('SSE', recordAt(1));
  assert.equal(twice.sums().duplicates, 1);
  const changed = proofOf(1);
  changed.seen('SSE', { ...recordAt(1), data: { n: 2 } });
  assert.ok(changed.sums().violation);
});

test('an append that arrived twice and was stored once is no duplicate', () => {
  const proof = proofOf(1);
  proof.written('r2', { n: 2 });
  proof.stored('r2', recordAt(2).cursor, true);
  const sums = proof.sums();
  assert.deepEqual([sums.repeated, sums.duplicates, sums.violation], [1, 0, undefined]);
});
