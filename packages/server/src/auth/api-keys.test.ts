import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeEnv } from '../env.ts';
import { createKey, createKeyRing, hashKey, KEY_PREFIX } from './api-keys.ts';

test('a new key has 256 random bits behind its prefix, and its hash is what the configuration keeps', () => {
  const { key, sha256 } = createKey(nodeEnv);
  assert.match(key, new RegExp(`^${KEY_PREFIX}[\\w-]{43}$`));
  assert.match(sha256, /^[0-9a-f]{64}$/);
  assert.equal(hashKey(key), sha256);
  assert.notEqual(createKey(nodeEnv).key, key);
});

test('a key is found by its hash, with the user, roles and allow of its entry, and any other is not', () => {
  const [first, second] = [createKey(nodeEnv), createKey(nodeEnv)];
  const find = createKeyRing([
    { name: 'billing', sha256: first.sha256, user: 'billing', roles: ['writer'], allow: { 'bill:*': ['append'] } },
    { name: 'feed', sha256: second.sha256.toUpperCase() },
  ]);
  assert.deepEqual(find(first.key), {
    kind: 'key',
    keyName: 'billing',
    user: 'billing',
    roles: ['writer'],
    allow: { 'bill:*': ['append'] },
  });
  assert.deepEqual(find(second.key), { kind: 'key', keyName: 'feed', roles: [] });
  assert.equal(find(`${first.key}x`), undefined);
  assert.equal(find(first.sha256), undefined);
  assert.equal(find(''), undefined);
});

test('an entry that cannot be a key is refused at start, by name, and without its value', () => {
  const good = createKey(nodeEnv).sha256;
  const table: readonly [unknown, RegExp][] = [
    [[{ name: 'a', sha256: 'abc' }], /auth\.keys\[0\]\.sha256: .* 64 hex digits/],
    [[{ name: 'a', sha256: createKey(nodeEnv).key }], /auth\.keys\[0\]\.sha256/],
    [[{ sha256: good }], /auth\.keys\[0\]\.name/],
    [[{ name: '', sha256: good }], /auth\.keys\[0\]\.name/],
    [[{ name: 'a', sha256: good, user: 'x'.repeat(256) }], /auth\.keys\[0\]\.user.*255 bytes/],
    [[{ name: 'a', sha256: good, roles: 'writer' }], /auth\.keys\[0\]\.roles/],
    [[{ name: 'a', sha256: good, allow: { 'chat:*': ['publish'] } }], /auth\.keys\[0\]\.allow.*"chat:\*"/],
    [
      [
        { name: 'a', sha256: good },
        { name: 'a', sha256: createKey(nodeEnv).sha256 },
      ],
      /auth\.keys\[1\]\.name: "a" is there twice/,
    ],
    [
      [
        { name: 'a', sha256: good },
        { name: 'b', sha256: good },
      ],
      /auth\.keys\[1\]\.sha256: the same key/,
    ],
    [[{ name: 'a', sha256: good, key: 'tw_key_x' }], /auth\.keys\[0\]\.key: there is no such setting/],
    [{ name: 'a', sha256: good }, /auth\.keys: .*a list/],
    [['tw_key_x'], /auth\.keys\[0\]/],
  ];
  for (const [keys, message] of table) {
    assert.throws(
      () => createKeyRing(keys as never),
      (error: Error) => {
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /tw_key_/);
        return error instanceof RangeError;
      },
    );
  }
});
