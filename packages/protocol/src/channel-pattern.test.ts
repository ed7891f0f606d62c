import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readVectors } from '../test/vectors.ts';
import {
  checkPattern,
  decodeParameter,
  encodeParameter,
  fillPattern,
  matchPattern,
  patternParameters,
} from './channel-pattern.ts';
import { isChannelName } from './names.ts';

interface Vector {
  readonly pattern: string;
  readonly parameters: Readonly<Record<string, string>> | null;
  readonly channel: string | null;
}

const vectors = readVectors('patterns') as {
  cases: readonly Vector[];
  invalidPatterns: readonly { readonly pattern: string }[];
};

test('patterns are filled and matched as the vectors say (NAM-3)', () => {
  for (const { pattern, parameters, channel } of vectors.cases) {
    const shown = JSON.stringify({ pattern, parameters, channel });
    checkPattern(pattern);
    if (channel === null) assert.throws(() => fillPattern(pattern, parameters ?? {}), RangeError, shown);
    else if (parameters === null) assert.equal(matchPattern(pattern, channel), undefined, shown);
    else {
      assert.equal(fillPattern(pattern, parameters), channel, shown);
      assert.deepEqual(matchPattern(pattern, channel), parameters, shown);
    }
  }
});

test('what is no pattern is refused with a sentence that quotes it (NAM-3)', () => {
  for (const { pattern } of vectors.invalidPatterns) {
    assert.throws(
      () => checkPattern(pattern),
      (error) => error instanceof RangeError && error.message.startsWith(`"${pattern}" is not a channel pattern: `),
      pattern,
    );
  }
});

const texts = fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }).filter((text) => text.isWellFormed());
const odd = fc.oneof(texts, fc.constantFrom('.', '..', '/', '~', '~2E', '%', 'd-', '.v1', 'd-.v1', '-', 'é'));

test('any text comes back out of the name it was put into (NAM-3)', () => {
  fc.assert(
    fc.property(odd, odd, (team, id) => {
      for (const pattern of ['doc:{team}/{id}', 'doc:{id}/d-{team}', 'doc:a{team}/d-{id}.v1', 'doc:{team}/x/{id}-']) {
        const name = fillPattern(pattern, { team, id });
        assert.ok(isChannelName(name));
        assert.deepEqual(matchPattern(pattern, name), { team, id });
      }
    }),
  );
});

test('a name of a pattern is the one its parameters give: no two names have the same parameters (NAM-3)', () => {
  const unit = fc.constantFrom('~', '4', '1', 'C', '3', 'A', '9', 'a', '.', '-', '/');
  fc.assert(
    fc.property(fc.string({ unit, minLength: 1, maxLength: 12 }), (rest) => {
      const name = `chat:${rest}`;
      const parameters = matchPattern('chat:{room}', name);
      if (parameters !== undefined) assert.equal(fillPattern('chat:{room}', parameters), name);
    }),
    { numRuns: 3_000 },
  );
});

test('decoding takes only what encoding gives, and never throws', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (text) => {
      const value = decodeParameter(text);
      if (value !== undefined) assert.equal(encodeParameter(value), text);
    }),
  );
});

test('a parameter with half a surrogate pair is refused, since another name would come out (NAM-3)', () => {
  assert.throws(() => fillPattern('chat:{room}', { room: 'a\ud800' }), RangeError);
});

test('a parameter is looked for among the own ones only', () => {
  assert.throws(() => fillPattern('chat:{constructor}', {}), /needs the parameter "constructor"/);
  assert.deepEqual(matchPattern('chat:{constructor}', 'chat:x'), { constructor: 'x' });
});

test('the parameters of a pattern are named in order', () => {
  assert.deepEqual(patternParameters('doc:{team}/d-{id}/x'), ['team', 'id']);
  assert.deepEqual(patternParameters('game:lobby'), []);
});
