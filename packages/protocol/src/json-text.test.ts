import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readVectors } from '../test/vectors.ts';
import { elementTexts, memberText, normalizeJson } from './json-text.ts';

test('JSON payloads are taken, cleaned or refused as the vectors say (FRM-5)', () => {
  const { cases } = readVectors('json-payloads') as {
    cases: readonly { readonly text: string; readonly stored: string | null }[];
  };
  for (const { text, stored } of cases) assert.equal(normalizeJson(text), stored ?? undefined, JSON.stringify(text));
});

/** JSON text written in every way JSON allows: white space, escapes, names given twice, numbers of any form. */
const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 3 });
const number = fc.constantFrom('0', '-0', '1.0', '1e400', '-12.5E-3', '12345678901234567890', '1E+2');
const escapes = fc.constantFrom('\\"', '\\\\', '\\/', '\\n', '\\u0041', '\\ud83d\\ude00', '\\udc00', '\\u0000');
const plain = fc.constantFrom('a', '{', '}', '[', ']', ',', ':', ' ', 'é', '😀', '\u2028', '\x7f', "'");
const string = fc.array(fc.oneof(escapes, plain), { maxLength: 6 }).map((parts) => `"${parts.join('')}"`);
const { value } = fc.letrec<{ value: string; list: string; object: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    string,
    number,
    fc.constantFrom('null', 'true', 'false', '{}', '[]'),
    tie('list'),
    tie('object'),
  ),
  list: fc
    .array(fc.tuple(space, tie('value'), space), { maxLength: 4 })
    .map((items) => `[${items.map((item) => item.join('')).join(',')}]`),
  object: fc
    .array(fc.tuple(space, string, space, fc.constant(':'), space, tie('value'), space), { maxLength: 4 })
    .map((members) => `{${members.map((member) => member.join('')).join(',')}}`),
}));

test('a normalized payload has the same value, no line break, no white space around, and stays as it is (FRM-5)', () => {
  fc.assert(
    fc.property(space, value, space, (before, text, after) => {
      const stored = normalizeJson(before + text + after);
      assert.ok(stored !== undefined);
      assert.deepEqual(JSON.parse(stored), JSON.parse(text));
      assert.doesNotMatch(stored, /[\r\n]/);
      assert.equal(stored.trim(), stored);
      assert.equal(normalizeJson(stored), stored);
      assert.equal(
        stored,
        (before + text + after).replaceAll(/^[ \t\r\n]+|[ \t\r\n]+$/g, '').replaceAll(/[\r\n]/g, ''),
      );
    }),
  );
});

test('what JSON.parse refuses is refused, and nothing else (FRM-5)', () => {
  const broken = fc.tuple(value, fc.nat(), fc.nat({ max: 2 }), fc.string({ unit: 'binary', maxLength: 2 }));
  fc.assert(
    fc.property(broken, ([text, at, cut, insert]) => {
      const where = at % (text.length + 1);
      const mutated = text.slice(0, where) + insert + text.slice(where + cut);
      assert.equal(normalizeJson(mutated) !== undefined, isJson(mutated));
    }),
  );
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const members = fc.array(fc.tuple(fc.constantFrom('data', 'dat', 'd\\u0061ta', 'datas', '__proto__', ''), value), {
  maxLength: 5,
});

test('the text of a member is its source text; of one given twice, the last (FRM-6)', () => {
  fc.assert(
    fc.property(members, space, space, (list, before, after) => {
      const text = `${before}{${list.map(([name, item]) => `${after}"${name}"${before}:${after}${item}${before}`).join(',')}}${after}`;
      const last = list.findLast(([name]) => JSON.parse(`"${name}"`) === 'data');
      assert.equal(memberText(text, 'data'), last?.[1]);
    }),
    { numRuns: 500 },
  );
});

test('the text of a member is not confused by members of members, nor by texts that look like them', () => {
  assert.equal(memberText('{"x":{"data":1},"y":"\\"data\\":2"}', 'data'), undefined);
  assert.equal(memberText('{"x":["data",{"data":1}],"data":"}"}', 'data'), '"}"');
  assert.equal(memberText('{}', 'data'), undefined);
});

test('the texts of a list are its items’ source texts (HTTP-4)', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 6 }), space, space, (items, before, after) => {
      const text = `${before}[${items.map((item) => before + item + after).join(',')}${before}]${after}`;
      assert.deepEqual(elementTexts(text), items);
    }),
  );
});

test('nesting as deep as a record allows is read without exhausting the stack', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  assert.equal(normalizeJson(deep), deep);
  assert.equal(memberText(`{"data":${deep},"x":1}`, 'data'), deep);
  assert.deepEqual(elementTexts(`[${deep},1]`), [deep, '1']);
});

test('text that is no JSON, against the rule, still ends', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', ':', ',', 'a', ' ', '\\') }), (text) => {
      elementTexts(text);
      try {
        memberText(text, 'data');
      } catch (error) {
        assert.ok(error instanceof SyntaxError);
      }
    }),
  );
});
