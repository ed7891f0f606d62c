import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as v from 'valibot';
import * as z from 'zod';
import { contract, describeIssues, issuesOf, specOf, type SchemaIssue, type StandardSchema } from './contract.ts';

const message = z.object({ text: z.string(), to: z.array(z.object({ id: z.number() })).optional() });
const channels = contract({
  'chat:lobby': { record: v.object({ text: v.string() }) },
  'chat:{room}': { record: message, signal: z.object({ typing: z.boolean() }) },
  'doc:{team}/{id}': {},
});

test('the spec of a channel is that of the first pattern that names it', () => {
  assert.equal(specOf(channels, 'chat:lobby')?.pattern, 'chat:lobby');
  assert.deepEqual(specOf(channels, 'chat:42'), { pattern: 'chat:{room}', spec: channels['chat:{room}'] });
  assert.equal(specOf(channels, 'doc:a/b')?.pattern, 'doc:{team}/{id}');
  for (const none of ['doc:a', 'chat:a/b', 'news:1', 'chat:~41', ''])
    assert.equal(specOf(channels, none), undefined, none);
});

test('a contract with a key that is no pattern is refused where it is declared (NAM-3)', () => {
  assert.throws(() => contract({ 'chat:{a}-{b}': {} }), /"chat:\{a\}-\{b\}" is not a channel pattern/);
  assert.throws(() => contract({ chat: {} }), RangeError);
});

for (const [library, schema] of [
  ['zod', message],
  ['valibot', v.object({ text: v.string(), to: v.optional(v.array(v.object({ id: v.number() }))) })],
] as const) {
  test(`a value is checked with ${library}, and its issues name their path`, () => {
    assert.equal(issuesOf(schema, { text: 'hi' }, 'chat:42'), undefined);
    const issues = issuesOf(schema, { text: 1, to: [{ id: 1 }, { id: 'x' }] }, 'chat:42');
    assert.ok(issues !== undefined);
    assert.match(describeIssues(issues), /^text: .+; to\.1\.id: .+$/);
    assert.match(describeIssues(issuesOf(schema, null, 'chat:42') ?? []), /^[^:]*invalid/i);
  });
}

test('at most three issues are told, with paths of any form', () => {
  const issues: SchemaIssue[] = [
    { message: 'a', path: ['x', { key: 0 }, 'y'] },
    { message: 'b', path: [] },
    { message: 'c', path: [Symbol('s')] },
    { message: 'd' },
  ];
  assert.equal(describeIssues(issues), 'x.0.y: a; b; Symbol(s): c');
});

test('a schema that answers later is refused with its channel named, and its rejection harms nobody', async () => {
  const later = (answer: () => Promise<never>): StandardSchema => ({
    '~standard': { version: 1, vendor: 'test', validate: answer },
  });
  const rejecting = later(() => Promise.reject(new Error('no database')));
  assert.throws(() => issuesOf(rejecting, {}, 'chat:42'), /the schema of chat:42 validates asynchronously/);
  // An unhandled rejection would fail this test.
  await new Promise((resolve) => setImmediate(resolve));
  const refined = z.string().refine(() => Promise.resolve(true));
  assert.throws(() => issuesOf(refined, 'x', 'chat:42'), TypeError);
});
