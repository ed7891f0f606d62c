import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { median, percentile, ratios, shown, spreadOf } from './stats.ts';

test('a median is the middle one, or the mean of the two in the middle', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.throws(() => median([]), RangeError);
});

test('percentiles lie between neighbours in proportion', () => {
  assert.equal(percentile([10, 20, 30, 40, 50], 0.9), 46);
  assert.equal(percentile([7], 0.99), 7);
});

test('a spread holds its median between its ends, whatever the order', () => {
  const values = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(values, (list) => {
      const before = [...list];
      const spread = spreadOf(list);
      assert.ok(spread.min <= spread.median && spread.median <= spread.max);
      assert.deepEqual(list, before, 'the caller’s list stays as it was');
      assert.deepEqual(spreadOf([...list].reverse()), spread);
    }),
  );
});

test('ratios are taken pair by pair, as far as both sides go', () => {
  assert.deepEqual(ratios([2, 9, 4], [1, 3]), [2, 3]);
});

test('figures are shown with three or four significant digits', () => {
  assert.deepEqual([0.71234, 12.62, 1_288.4, 52_137, 700].map(shown), ['0.712', '12.6', '1,288', '52,140', '700']);
});
