import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber, formatCursor } from '@tideway/protocol';
import * as fc from 'fast-check';
import { frameRecord } from '../view/frame.ts';
import type { VisibleRecord } from '../view/view.ts';
import { Ring } from './ring.ts';

const EPOCH = 'aaaaaa';
const codec = { name: 'websocket', record: (frame: Buffer) => frame };

function cursorAt(n: number): string {
  return formatCursor(EPOCH, encodePositionNumber(n), n === 0 ? 'zzzz' : 'tttt');
}

function record(n: number, prev: number, bytes = 10): VisibleRecord {
  const cursor = cursorAt(n);
  const frame = frameRecord({ channel: 'a:b', cursor, prev: cursorAt(prev) }, 'json', Buffer.alloc(bytes, 0x31));
  return { position: encodePositionNumber(n), cursor, prev: cursorAt(prev), frame };
}

function chain(from: number, count: number): VisibleRecord[] {
  return Array.from({ length: count }, (_, i) => record(from + i, from + i - 1));
}

test('a ring covers exactly the places behind which it holds everything', () => {
  const ring = new Ring(cursorAt(10));
  ring.push(chain(11, 5), false);
  assert.equal(ring.covers(cursorAt(10)), true);
  assert.equal(ring.covers(cursorAt(9)), false);
  assert.deepEqual(
    ring.after(cursorAt(13)).map(({ cursor }) => cursor),
    [cursorAt(14), cursorAt(15)],
  );
  assert.equal(ring.atOrBefore(encodePositionNumber(12))?.cursor, cursorAt(12));
  assert.equal(ring.atOrBefore(encodePositionNumber(10)), undefined);
  assert.equal(ring.nthNewest(2)?.cursor, cursorAt(14));
});

test('it keeps 256 records, more while somebody joins, and never more than 1 MiB', () => {
  const ring = new Ring(cursorAt(0));
  ring.push(chain(1, 300), false);
  assert.equal(ring.length, 256);
  assert.equal(ring.base, cursorAt(44));
  const joining = new Ring(cursorAt(0));
  joining.push(chain(1, 300), true);
  assert.equal(joining.length, 300);
  joining.push([record(301, 300, 600_000), record(302, 301, 600_000)], true);
  assert.equal(joining.length, 1);
  assert.ok(joining.bytes <= 1024 * 1024);
});

test('filled backwards it covers older places, and never with a hole', () => {
  const ring = new Ring(cursorAt(50));
  ring.push(chain(51, 3), false);
  ring.prefill(chain(1, 52));
  assert.equal(ring.base, cursorAt(0));
  assert.equal(ring.length, 53);
  assert.deepEqual(
    ring.after(cursorAt(48)).map(({ cursor }) => cursor),
    [49, 50, 51, 52, 53].map(cursorAt),
  );
});

test('whatever is pushed, prefilled and shrunk, what follows a covered place is complete and in order', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('push' as const), count: fc.integer({ min: 1, max: 200 }), pinned: fc.boolean() }),
    fc.record({ kind: fc.constant('shrink' as const), records: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant('prefill' as const), back: fc.integer({ min: 1, max: 300 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      let newest = 500;
      const ring = new Ring(cursorAt(newest));
      for (const one of steps) {
        if (one.kind === 'push') {
          ring.push(chain(newest + 1, one.count), one.pinned);
          newest += one.count;
        } else if (one.kind === 'shrink') ring.shrink(Number.POSITIVE_INFINITY, one.records);
        else ring.prefill(chain(Math.max(1, newest - one.back), Math.min(newest, one.back + 1)));
        for (let n = Math.max(0, newest - 400); n <= newest; n += 7) {
          if (!ring.covers(cursorAt(n))) continue;
          const expected = chain(n + 1, newest - n).map(({ cursor }) => cursor);
          assert.deepEqual(
            ring.after(cursorAt(n)).map(({ cursor }) => cursor),
            expected,
          );
          const chunk = ring.chunkAfter(cursorAt(n), codec);
          const bytes = ring.after(cursorAt(n)).reduce((sum, { frame }) => sum + frame.length, 0);
          assert.equal(chunk?.length ?? 0, bytes);
        }
      }
    }),
    { numRuns: 60 },
  );
});
