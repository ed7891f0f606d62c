import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { bytesOf, readVectors } from '../test/vectors.ts';
import { crc32 } from './crc32.ts';
import {
  computeTag,
  CURSOR_LENGTH_MAX,
  decodePosition,
  encodePositionNumber,
  formatCursor,
  formatEpoch,
  formatTag,
  isUnknownTag,
  judge,
  parseCursor,
  tagBytes,
  tagsMatch,
  TAG_HIGHEST,
  TAG_LOWEST,
} from './cursor.ts';

const positionMax = 2n ** 63n - 1n;
const anyPosition = fc.oneof(fc.bigInt(0n, positionMax), fc.bigInt(0n, 5_000n), fc.bigInt(0n, 2n ** 40n));
const anyDigits = (length: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) => formatEpoch(bytes).slice(0, length));

test('positions are read and written as the vectors say (CUR-3)', () => {
  const { cases } = readVectors('positions') as {
    cases: readonly { readonly position: string; readonly numbers: readonly string[] | null }[];
  };
  for (const { position, numbers } of cases) {
    assert.deepEqual(decodePosition(position)?.map(String), numbers ?? undefined, position);
    if (numbers === null) continue;
    assert.equal(numbers.map((one) => encodePositionNumber(BigInt(one))).join(''), position);
    const small = numbers.map(Number);
    if (small.every(Number.isSafeInteger))
      assert.equal(small.map((one) => encodePositionNumber(one)).join(''), position);
  }
});

test('numbers that are no position are refused (CUR-3)', () => {
  for (const value of [-1, 1.5, Number.NaN, Infinity, 2 ** 53, -1n, 2n ** 63n]) {
    assert.throws(() => encodePositionNumber(value), RangeError, String(value));
  }
});

test('byte order of positions is the order of their numbers (CUR-3)', () => {
  const bytes = (position: string): Buffer => Buffer.from(position, 'latin1');
  fc.assert(
    fc.property(anyPosition, anyPosition, anyPosition, anyPosition, (a, b, c, d) => {
      const [p, q, r, s] = [a, b, c, d].map((value) => encodePositionNumber(value)) as [string, string, string, string];
      assert.equal(Buffer.compare(bytes(p), bytes(q)), Math.sign(Number(a - b)));
      assert.equal(p < q, a < b, 'text compares as bytes do');
      const pair = a === c ? Number(b - d) : Number(a - c);
      assert.equal(Buffer.compare(bytes(p + q), bytes(r + s)), Math.sign(pair));
    }),
    { numRuns: 2_000 },
  );
});

test('places are in the order of the vectors (CUR-5, CUR-6)', () => {
  const { cases } = readVectors('order') as { cases: readonly { readonly lower: string; readonly higher: string }[] };
  for (const { lower, higher } of cases) {
    assert.ok(lower < higher);
    for (const place of [lower, higher]) assert.ok(parseCursor(place) !== undefined, place);
  }
});

test('an epoch is made of the low six bits of six bytes (CUR-2)', () => {
  const { cases } = readVectors('epochs') as { cases: readonly { readonly random: string; readonly epoch: string }[] };
  for (const { random, epoch } of cases) assert.equal(formatEpoch(bytesOf(random)), epoch);
  assert.throws(() => formatEpoch(new Uint8Array(5)), RangeError);
});

test('cursors are taken apart or refused as the vectors say (CUR-1)', () => {
  const { cases } = readVectors('cursors') as {
    cases: readonly ({ readonly cursor: string; readonly valid: boolean } & Readonly<Record<string, string>>)[];
  };
  for (const { cursor, valid, epoch, position, tag } of cases) {
    assert.deepEqual(parseCursor(cursor), valid ? { epoch, position, tag } : undefined, JSON.stringify(cursor));
  }
});

const anyCursor = fc
  .tuple(anyDigits(6), anyPosition, fc.option(anyPosition), anyDigits(4))
  .map(([epoch, a, b, tag]) =>
    formatCursor(epoch, encodePositionNumber(a) + (b === null ? '' : encodePositionNumber(b)), tag),
  );

test('a cursor put together and taken apart is the same, and none is longer than 64 characters (CUR-1)', () => {
  fc.assert(
    fc.property(anyCursor, (cursor) => {
      const parts = parseCursor(cursor);
      assert.ok(parts !== undefined && cursor.length <= CURSOR_LENGTH_MAX);
      assert.equal(formatCursor(parts.epoch, parts.position, parts.tag), cursor);
    }),
  );
});

test('a cursor with one character changed, lost or added is refused, or is well-formed itself (CUR-1)', () => {
  const character = fc.oneof(fc.constantFrom(...'.-09AB_Zaz'.split('')), fc.string({ unit: 'binary', maxLength: 1 }));
  fc.assert(
    fc.property(anyCursor, fc.nat(), fc.nat({ max: 2 }), character, (cursor, at, cut, text) => {
      const where = at % cursor.length;
      const mutated = cursor.slice(0, where) + text + cursor.slice(where + cut);
      assert.equal(parseCursor(mutated) !== undefined, isCursorByRule(mutated), mutated);
    }),
    { numRuns: 5_000 },
  );
});

test('no text makes the parser throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
      assert.equal(parseCursor(text) !== undefined, isCursorByRule(text));
    }),
  );
});

/** CUR-1 to CUR-3 once more, written differently: read numbers back and write them again. */
function isCursorByRule(text: string): boolean {
  const digits = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
  const parts = text.split('.');
  if (parts.length !== 3 || text.length > 64) return false;
  const [epoch, position, tag] = parts as [string, string, string];
  if (epoch.length !== 6 || tag.length !== 4) return false;
  if (!`${epoch}${position}${tag}`.split('').every((one) => digits.includes(one))) return false;
  let rest = position;
  let numbers = 0;
  while (rest !== '') {
    const length = '0123456789AB'.indexOf(rest[0] as string);
    if (length < 0 || rest.length < length + 1) return false;
    const value = rest
      .slice(1, length + 1)
      .split('')
      .reduce((sum, one) => sum * 64n + BigInt(digits.indexOf(one)), 0n);
    if (value > positionMax || encodePositionNumber(value).length !== length + 1) return false;
    rest = rest.slice(length + 1);
    numbers++;
  }
  return numbers === 1 || numbers === 2;
}

interface TagVector {
  readonly note: string;
  readonly time?: number;
  readonly rid?: string;
  readonly user?: string;
  readonly key?: string;
  readonly payload: { readonly hex: string } | { readonly byte: string; readonly times: number };
  readonly bytes?: string;
  readonly crc32: string;
  readonly tag: string;
}

const tags = readVectors('tags') as {
  cases: readonly TagVector[];
  matches: readonly { readonly a: string; readonly b: string; readonly match: boolean }[];
};

test('tags are computed as the vectors say (CUR-4, CUR-5)', () => {
  for (const { note, time, rid, user, key, payload: given, bytes, crc32: crc, tag } of tags.cases) {
    const payload =
      'hex' in given ? bytesOf(given.hex) : new Uint8Array(given.times).fill(Number.parseInt(given.byte, 16));
    const input = { time, rid, user, key, payload };
    if (bytes !== undefined) assert.equal(Buffer.from(tagBytes(input)).toString('hex'), bytes, note);
    assert.equal(crc32(tagBytes(input)).toString(16).padStart(8, '0'), crc, note);
    assert.equal(computeTag(input), tag, note);
  }
});

test('no computed tag reads as an unknown one (CUR-5)', () => {
  assert.equal(formatTag(0), '---0');
  assert.equal(formatTag(0xffffff), 'zzzy');
  assert.equal(formatTag(0xff000000), '---0', 'only the low 24 bits count');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (crc) => {
      assert.equal(isUnknownTag(formatTag(crc)), false);
      assert.equal(formatTag(crc).length, 4);
    }),
  );
});

test('what differs in any part that a tag covers has other bytes (CUR-4)', () => {
  const optional = fc.option(fc.string({ maxLength: 4 }), { nil: undefined });
  const input = fc.record({
    time: fc.option(fc.nat(), { nil: undefined }),
    rid: optional,
    user: optional,
    key: optional,
    payload: fc.uint8Array({ maxLength: 6 }),
  });
  fc.assert(
    fc.property(input, input, (a, b) => {
      const same = Buffer.compare(tagBytes(a), tagBytes(b)) === 0;
      assert.equal(same, JSON.stringify(a) === JSON.stringify(b));
    }),
  );
});

test('tags match as the vectors say (CUR-5)', () => {
  for (const { a, b, match } of tags.matches) assert.equal(tagsMatch(a, b), match, `${a} ${b}`);
  assert.ok(TAG_LOWEST < '---0' && 'zzzy' < TAG_HIGHEST);
});

test('a client applies, drops or resubscribes as the vectors say (CUR-7, MRK-1)', () => {
  const { cases } = readVectors('client-rule') as {
    cases: readonly { note: string; place: string; prev: string; cursor: string; action: string }[];
  };
  for (const { note, place, prev, cursor, action } of cases) assert.equal(judge(place, { prev, cursor }), action, note);
});

test('whatever is delivered, a client never applies a record twice nor out of order (CUR-7)', () => {
  const steps = fc.array(fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 12 })), { maxLength: 30 });
  const at = (n: number): string => formatCursor('q0Zx7a', encodePositionNumber(n), '0000');
  fc.assert(
    fc.property(steps, (pairs) => {
      let place = at(0);
      for (const [prev, cursor] of pairs) {
        if (judge(place, { prev: at(prev), cursor: at(cursor) }) !== 'apply') continue;
        assert.ok(at(prev) <= place && place < at(cursor));
        place = at(cursor);
      }
    }),
  );
});
