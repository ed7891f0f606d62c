import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coursePoints } from './course.ts';

const frame = { width: 100, height: 24 };

test('the oldest price is at the left edge, the newest at the right, the highest on top', () => {
  assert.deepEqual(coursePoints([10, 20, 15], frame), ['0,22', '50,2', '100,12']);
});

test('one price, and prices that do not move, are a line and not NaN', () => {
  assert.deepEqual(coursePoints([5], frame), ['0,22']);
  assert.deepEqual(coursePoints([5, 5], frame), ['0,22', '100,22']);
});
