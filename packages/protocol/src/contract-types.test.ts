/**
 * What the types of a contract promise: each line that expects an error fails the type check when the error is not
 * there, each assignment when the type is too narrow.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as v from 'valibot';
import * as z from 'zod';
import {
  contract,
  type PatternParameters,
  type RecordInput,
  type RecordOutput,
  type SchemaInput,
  type SignalInput,
  type SignalOutput,
} from './contract.ts';

const app = contract({
  'chat:{room}': { record: v.object({ text: v.string() }), signal: z.object({ typing: z.boolean() }) },
  'ticker:{market}': { record: z.object({ price: z.coerce.number(), at: z.number().default(0) }), keyed: true },
  'doc:{team}/d-{id}': {},
  'game:lobby': { record: z.string().transform((text) => text.length) },
});
type App = typeof app;
type Equal<A, B> = [A, B] extends [B, A] ? true : false;

/** The shape of an append on either side: the pattern, its parameters, the payload. */
function append<P extends keyof App>(
  _pattern: P,
  _parameters: PatternParameters<P>,
  data: RecordInput<App, P>,
): unknown {
  return data;
}

test('payloads and parameters are checked when a program is compiled', () => {
  append('chat:{room}', { room: '42' }, { text: 'hi' });
  append('doc:{team}/d-{id}', { team: 'a', id: 'b' }, 'anything');
  append('game:lobby', {}, 'text');

  // @ts-expect-error the text is missing
  append('chat:{room}', { room: '42' }, {});
  // @ts-expect-error the text is no number
  append('chat:{room}', { room: '42' }, { text: 1 });
  // @ts-expect-error there is no such member
  append('chat:{room}', { room: '42' }, { text: 'hi', colour: 'red' });
  // @ts-expect-error the parameter is missing
  append('chat:{room}', {}, { text: 'hi' });
  // @ts-expect-error the parameter is misspelt
  append('chat:{room}', { rooms: '42' }, { text: 'hi' });
  // @ts-expect-error a parameter is text
  append('chat:{room}', { room: 42 }, { text: 'hi' });
  // @ts-expect-error one of two parameters is missing
  append('doc:{team}/d-{id}', { team: 'a' }, 1);
  // @ts-expect-error no such pattern
  append('chats:{room}', { room: '42' }, { text: 'hi' });
  // @ts-expect-error a writer gives what goes in, not what comes out
  append('game:lobby', {}, 4);
  // @ts-expect-error a record's schema is a schema
  contract({ 'chat:{room}': { record: { text: 'string' } } });
  // @ts-expect-error there is no such member of a spec
  contract({ 'chat:{room}': { keys: true } });
});

test('a reader with the contract gets what comes out of the schema, a writer gives what goes in', () => {
  const types: readonly true[] = [
    true satisfies Equal<RecordInput<App, 'chat:{room}'>, { text: string }>,
    true satisfies Equal<RecordOutput<App, 'game:lobby'>, number>,
    true satisfies Equal<RecordInput<App, 'game:lobby'>, string>,
    true satisfies Equal<RecordOutput<App, 'ticker:{market}'>, { price: number; at: number }>,
    true satisfies Equal<RecordInput<App, 'doc:{team}/d-{id}'>, unknown>,
    true satisfies Equal<SignalInput<App, 'chat:{room}'>, { typing: boolean }>,
    true satisfies Equal<SignalOutput<App, 'chat:{room}'>, { typing: boolean }>,
    true satisfies Equal<SignalInput<App, 'game:lobby'>, never>,
    true satisfies Equal<PatternParameters<'doc:{team}/d-{id}'>, { readonly team: string; readonly id: string }>,
    true satisfies Equal<SchemaInput<string>, never>,
  ];
  assert.equal(types.length, 10);
});

test('without a contract everything goes', () => {
  const data: RecordInput<unknown, string> = { anything: 1 };
  const signal: SignalInput<unknown, string> = 5;
  assert.deepEqual([data, signal], [{ anything: 1 }, 5]);
});
