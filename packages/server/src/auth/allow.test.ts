import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ALLOW_ENTRIES_MAX, isAllowed, parseAllow } from './allow.ts';
import { allowWords } from './identity.ts';

test('a claim that is not understood is refused, with the entry and what is allowed', () => {
  const table: readonly [unknown, RegExp][] = [
    [null, /must be an object/],
    ['chat:*', /must be an object/],
    [['chat:*'], /must be an object/],
    [{ 'chat:*:x': ['append'] }, /"chat:\*:x" is no channel glob/],
    [{ '*:42': ['append'] }, /no channel glob/],
    [{ 'CHAT:*': ['append'] }, /no channel glob/],
    [{ chat: ['append'] }, /no channel glob/],
    [{ '': ['append'] }, /no channel glob/],
    [{ 'chat:*': 'append' }, /must have a list of subscribe, append/],
    [{ 'chat:*': ['publish'] }, /must have a list of subscribe, append/],
    [{ 'chat:*': [['append']] }, /must have a list/],
    [JSON.parse('{"__proto__":["append"]}'), /"__proto__" is no channel glob/],
    [
      Object.fromEntries(Array.from({ length: ALLOW_ENTRIES_MAX + 1 }, (_, i) => [`chat:${i}`, ['append']])),
      /101 entries; at most 100/,
    ],
  ];
  for (const [claim, message] of table) assert.throws(() => parseAllow(claim), { name: 'RangeError', message });
});

test('what several globs leave is their union; an empty allow leaves nothing; no allow leaves everything', () => {
  const allow = parseAllow({ 'chat:*': ['subscribe'], 'chat:42': ['append'], 'ticker:*': [] });
  assert.equal(isAllowed(allow, 'subscribe', 'chat:42'), true);
  assert.equal(isAllowed(allow, 'append', 'chat:42'), true);
  assert.equal(isAllowed(allow, 'append', 'chat:43'), false);
  assert.equal(isAllowed(allow, 'subscribe', 'ticker:gold'), false);
  assert.equal(isAllowed(parseAllow({}), 'subscribe', 'chat:42'), false);
  assert.equal(isAllowed(undefined, 'admin', 'chat:42'), true);
});

test('whatever the claim, reading it throws a RangeError or gives lists of permission words', () => {
  const claim = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(fc.oneof(fc.constantFrom('*', 'chat:*', 'chat:1'), fc.string()), fc.array(fc.string())),
    fc.dictionary(fc.constantFrom('*', 'chat:*', 'a:b*'), fc.subarray([...allowWords])),
  );
  fc.assert(
    fc.property(claim, (value) => {
      try {
        for (const words of Object.values(parseAllow(value))) {
          for (const word of words) assert.ok(allowWords.includes(word));
        }
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
  );
});
