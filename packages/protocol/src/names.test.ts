import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readVectors } from '../test/vectors.ts';
import {
  CHANNEL_BYTES_MAX,
  isChannelName,
  isMethod,
  isNamespace,
  isRid,
  namespaceOf,
  parseChannelName,
} from './names.ts';

type Vector =
  | { readonly channel: string; readonly valid: true; readonly namespace: string; readonly rest: string }
  | { readonly channel: string; readonly valid: false; readonly why: string }
  | { readonly rid: string; readonly valid: boolean };

const { cases } = readVectors('names') as { cases: readonly Vector[] };

test('channel names are taken apart or refused as the vectors say (NAM-1)', () => {
  let seen = 0;
  for (const one of cases) {
    if (!('channel' in one)) continue;
    seen++;
    const expected = one.valid ? { namespace: one.namespace, rest: one.rest } : undefined;
    assert.deepEqual(parseChannelName(one.channel), expected, JSON.stringify(one));
    assert.equal(isChannelName(one.channel), one.valid);
    if (!one.valid) continue;
    assert.equal(namespaceOf(one.channel), one.namespace);
    assert.ok(isNamespace(one.namespace));
    assert.ok(Buffer.byteLength(one.channel) <= CHANNEL_BYTES_MAX);
  }
  assert.ok(seen > 50);
});

test('the longest name has 234 characters (NAM-1)', () => {
  const longest = `$${'a'.repeat(32)}:${'r'.repeat(200)}`;
  assert.equal(longest.length, CHANNEL_BYTES_MAX);
  assert.ok(isChannelName(longest));
});

test('rids are taken or refused as the vectors say (NAM-4)', () => {
  for (const one of cases) if ('rid' in one) assert.equal(isRid(one.rid), one.valid, JSON.stringify(one));
});

test('what is no text is neither a name nor a rid', () => {
  for (const value of [undefined, null, 1, {}, ['chat:1'], { toString: () => 'chat:1' }]) {
    assert.equal(isChannelName(value), false);
    assert.equal(isRid(value), false);
  }
});

test('a text is a name exactly when the rule, read character by character, says so (NAM-1)', () => {
  const character = fc.constantFrom(...'abz$09-_.~/@=+,:AZ é%*\n\0{}'.split(''));
  fc.assert(
    fc.property(fc.string({ unit: character, maxLength: 12 }), (text) => {
      assert.equal(isChannelName(text), isNameByRule(text), JSON.stringify(text));
    }),
    { numRuns: 3_000 },
  );
});

/** NAM-1 once more, without a regular expression. */
function isNameByRule(text: string): boolean {
  const colon = text.indexOf(':');
  if (colon < 0) return false;
  const namespace = text.startsWith('$') ? text.slice(1, colon) : text.slice(0, colon);
  const rest = text.slice(colon + 1);
  const lower = 'abcdefghijklmnopqrstuvwxyz';
  const all = (part: string, allowed: string): boolean => part.split('').every((one) => allowed.includes(one));
  return (
    namespace !== '' &&
    namespace.length <= 32 &&
    lower.includes(namespace[0] as string) &&
    all(namespace, `${lower}0123456789-`) &&
    rest !== '' &&
    rest.length <= 200 &&
    all(rest, `${lower}${lower.toUpperCase()}0123456789_.-~/@=+,`) &&
    rest.split('/').every((segment) => segment !== '.' && segment !== '..')
  );
}

test('a method is 1–64 characters of its own set (CAL-1)', () => {
  for (const name of ['m', 'cart.total', 'A-9_', 'x'.repeat(64)]) assert.ok(isMethod(name), name);
  for (const name of ['', 'x'.repeat(65), 'a:b', 'a/b', 'a b', 'ä', 7, undefined]) assert.equal(isMethod(name), false);
});
