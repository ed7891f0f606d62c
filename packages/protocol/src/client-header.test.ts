import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readVectors } from '../test/vectors.ts';
import { decodeClientHeader, decodeSubscribe, encodeClientHeader } from './client-header.ts';
import { TidewayError } from './codes.ts';
import type { ClientFrame } from './frames.ts';

type Vector = { readonly clause: string; readonly header: string } & (
  | { readonly frame: ClientFrame; readonly data?: string }
  | { readonly bad_frame: true; readonly why: string; readonly id?: number }
);

const { cases } = readVectors('client-frames') as { cases: readonly Vector[] };

test('headers of clients are read or refused as the vectors say (FRM-6, FRM-7, SUB-1, NAM-4)', () => {
  for (const one of cases) {
    const decoded = decodeClientHeader(one.header);
    const shown = `${one.clause} ${one.header.slice(0, 200)}`;
    if ('frame' in one) {
      const { frame, data } = one;
      assert.deepEqual(decoded, data === undefined ? { ok: true, frame } : { ok: true, frame, data }, shown);
      continue;
    }
    assert.equal(decoded.ok, false, shown);
    assert.equal('id' in decoded ? decoded.id : undefined, one.id, shown);
    assert.ok(!decoded.ok && decoded.message.length > 5 && decoded.message.length < 1_500, shown);
  }
});

test('a frame that is written and read is the same', () => {
  for (const one of cases) {
    if (!('frame' in one)) continue;
    // A reserved op is read without the fields that only its future reader needs.
    assert.deepEqual(decodeClientHeader(encodeClientHeader(one.frame)), { ok: true, frame: one.frame });
    assert.doesNotMatch(encodeClientHeader(one.frame), /\n/);
  }
});

test('a message about a header over several lines says that a header has none (FRM-1)', () => {
  const decoded = decodeClientHeader('{"op":"append",');
  assert.ok(!decoded.ok && /without line breaks/.test(decoded.message));
});

test('a message says which field was wrong and what is allowed (FRM-7, COD-4)', () => {
  const said = (header: string): string => {
    const decoded = decodeClientHeader(header);
    assert.ok(!decoded.ok);
    return decoded.message;
  };
  assert.equal(said('{"op":"append","id":1,"channel":"a:b"}'), '"rid" must be 1 to 64 printable ASCII characters');
  assert.equal(said('{"op":"unsubscribe","id":0}'), '"id" must be a whole number from 1 to 2^53 − 1');
  assert.equal(said('{"op":"subscribe","id":1,"channels":[]}'), '"channels" must have 1 to 100 items, got 0');
  assert.equal(said('{"op":"publish"}'), 'unknown op "publish"');
});

test('a refused token is not repeated in the message (COD-4)', () => {
  const decoded = decodeClientHeader(`{"op":"token","id":1,"token":"${'secret'.repeat(2_000)}"}`);
  assert.ok(!decoded.ok && !decoded.message.includes('secret'));
});

const names = [
  'op',
  'id',
  'channel',
  'channels',
  'from',
  'rid',
  'key',
  'data',
  'deliver',
  'presence',
  'instance',
  'method',
  'to',
];
const ops = [
  'hello',
  'subscribe',
  'unsubscribe',
  'append',
  'signal',
  'token',
  'report',
  'pong',
  'enter',
  'call',
  'nope',
];
const anyField = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(...ops, 1, 2 ** 60, '', 'a:b', 'q0Zx7a.1d.8bgY', ['a:b'], [{ channel: 'a:b' }], {
    mode: 'all',
  }),
);
const anyFrame = fc
  .dictionary(fc.constantFrom(...names, '__proto__', 'constructor', 'x'), anyField, { maxKeys: 8 })
  .chain((fields) => fc.constantFrom(...ops).map((op) => ({ op, ...fields })));

test('no JSON makes the reader throw, and what it takes has the types it says', () => {
  fc.assert(
    fc.property(anyFrame, (fields) => {
      const decoded = decodeClientHeader(JSON.stringify(fields));
      if (!decoded.ok) return;
      const { frame } = decoded;
      if ('id' in frame) assert.ok(Number.isSafeInteger(frame.id) && frame.id >= 1);
      if ('channel' in frame) assert.equal(typeof frame.channel, 'string');
      if ('key' in frame) assert.ok(typeof frame.key === 'string' && frame.key.isWellFormed() && frame.key !== '');
      if (frame.op === 'subscribe') assert.ok(frame.channels.every((item) => typeof item.channel === 'string'));
      assert.equal(Object.getPrototypeOf(frame), Object.prototype);
      assert.deepEqual(decodeClientHeader(encodeClientHeader(frame)), { ok: true, frame });
    }),
    { numRuns: 3_000 },
  );
});

test('no text makes the reader throw', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => assert.ok(!decodeClientHeader(text).ok)));
  const good = cases.filter((one) => 'frame' in one && one.header.length < 300).map((one) => one.header);
  fc.assert(
    fc.property(
      fc.constantFrom(...good),
      fc.nat(),
      fc.nat({ max: 3 }),
      fc.string({ maxLength: 3 }),
      (text, at, cut, insert) => {
        const where = at % text.length;
        const decoded = decodeClientHeader(text.slice(0, where) + insert + text.slice(where + cut));
        assert.equal(typeof decoded.ok, 'boolean');
      },
    ),
    { numRuns: 2_000 },
  );
});

test('nesting as deep as a message allows is refused or skipped, not a stack that overflows', () => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  assert.ok(decodeClientHeader(`{"op":"pong","x":${deep}}`).ok);
  assert.ok(!decodeClientHeader(deep).ok);
  assert.ok(!decodeClientHeader('['.repeat(100_000)).ok);
  assert.ok(!decodeClientHeader(`{"op":"subscribe","id":1,"channels":${deep}}`).ok);
  const decoded = decodeClientHeader(`{"op":"append","id":1,"channel":"a:b","rid":"r","data":${deep}}`);
  assert.equal(decoded.ok && decoded.data, deep);
});

test('a member called __proto__ gives no fields', () => {
  const missing = { ok: false, message: '"op" is missing' };
  assert.deepEqual(decodeClientHeader('{"__proto__":{"op":"pong"}}'), missing);
  assert.deepEqual(decodeClientHeader('{"constructor":{"prototype":{"op":"pong"}}}'), missing);
  const decoded = decodeClientHeader('{"op":"append","id":1,"channel":"a:b","rid":"r","__proto__":{"key":"planted"}}');
  assert.ok(decoded.ok && !('key' in decoded.frame));
  assert.ok(!('key' in {}));
});

test('the body of a POST stream is read by the same rule, with its own limit (SSE-1, LIM-1)', () => {
  const channels = Array.from({ length: 1_000 }, (_, n) => `c:${n}`);
  assert.equal(decodeSubscribe({ channels }, 1_000).channels.length, 1_000);
  for (const fields of [{ channels: [...channels, 'c:x'] }, {}, { channels: ['c:1', 'c:1'] }]) {
    assert.throws(
      () => decodeSubscribe(fields, 1_000),
      (error) => error instanceof TidewayError && error.code === 'bad_frame',
    );
  }
});
