import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Message } from './message.ts';
import { Prefetch } from './prefetch.ts';

const MIB = 1024 * 1024;

function messages(count: number, bytes: number): Message[] {
  const body = Buffer.alloc(bytes);
  return Array.from({ length: count }, () => ({ subject: 's', headers: new Map(), body, place: 'here' }));
}

/** The sizes that it takes, each after as many messages of so many bytes as the one before it allows. */
function course(prefetch: Prefetch, bytes: number): number[] {
  const sizes: number[] = [];
  for (;;) {
    const size = prefetch.after(messages(prefetch.size, bytes));
    if (size === undefined) return sizes;
    prefetch.size = size;
    sizes.push(size);
  }
}

describe('how many messages of RabbitMQ are under way', () => {
  test('grows in steps where they are small, up to a limit', () => {
    assert.deepEqual(course(new Prefetch(), 100), [10, 100, 1_000]);
    assert.deepEqual(course(new Prefetch(), 0), [10, 100, 1_000]);
  });

  test('is as many as weigh 8 MiB', () => {
    assert.deepEqual(course(new Prefetch(), MIB), [8]);
    assert.deepEqual(course(new Prefetch(), MIB / 4), [10, 32]);
    assert.deepEqual(course(new Prefetch(), 16 * MIB), []);
  });

  test('shrinks where they have become large, once a full measure was seen', () => {
    const prefetch = new Prefetch();
    course(prefetch, 100);
    assert.equal(prefetch.after(messages(100, MIB)), undefined);
    assert.equal(prefetch.after(messages(900, MIB)), 8);
  });
});
