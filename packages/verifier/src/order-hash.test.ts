import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashData, OrderHash } from './order-hash.ts';

test('the hash is 64-bit FNV-1a: its published vectors hold', () => {
  assert.equal(hashData(''), 'cbf29ce484222325');
  assert.equal(hashData('a'), 'af63dc4c8601ec8c');
  assert.equal(hashData('foobar'), '85944171f73967e8');
  assert.equal(hashData(new Uint8Array([0x61])), 'af63dc4c8601ec8c');
});

test('the hash of pieces is the hash of the whole, and depends on their order', () => {
  assert.equal(new OrderHash().update('foo').update('bar').digest, hashData('foobar'));
  assert.notEqual(new OrderHash().update('bar').update('foo').digest, hashData('foobar'));
});
