/**
 * PROTOCOL.md §8, calls, from outside. The server must have the methods of `testing/methods.config.ts`, whose
 * comments say what they do; where it has none only unknown ones are called.
 */
import assert from 'node:assert/strict';
import { assertError, assertHttpError, type Talk } from './talk.ts';
import { check, type Check, type Wire } from './wire.ts';

const call = (method: string): { readonly op: string; readonly method: string } => ({ op: 'call', method });

const CALL_BYTES_MAX = 256 * 1024;
/** The time of a call, and what a busy machine may need besides. */
const UNANSWERED_MS = 40_000;

/** A session with a server that has the methods. */
async function caller(wire: Wire): Promise<Talk> {
  const talk = await wire.session();
  const answer = await talk.ask(call('wire.echo'), '1');
  if (answer.header['code'] === 'method_unknown')
    wire.skip('the server has no method wire.echo; testing/methods.config.ts says which methods are called');
  assert.equal(answer.op, 'ok', answer.headerText);
  return talk;
}

export const callChecks: readonly Check[] = [
  check(
    'CAL-1 FRM-2 FRM-5',
    'an argument goes in and the result comes out, JSON as text, bytes as bytes',
    async (wire) => {
      const talk = await caller(wire);
      const json = await talk.ask(call('wire.echo'), ' {"a":\n[1,"ä"]} ');
      assert.deepEqual([json.binary, json.payload?.toString()], [false, '{"a":[1,"ä"]}']);
      assert.deepEqual(Object.keys(json.header), ['op', 'id']);
      const bytes = await talk.ask(call('wire.echo'), new Uint8Array([0, 10, 255]));
      assert.deepEqual([bytes.binary, [...(bytes.payload ?? [])]], [true, [0, 10, 255]]);
      const byHand = await talk.ask({ ...call('wire.echo'), data: { a: 1 } });
      assert.equal(byHand.payload?.toString(), '{"a":1}');
    },
  ),

  check('CAL-1', 'without a payload the argument is null, and a method that gives nothing gives null', async (wire) => {
    const talk = await caller(wire);
    for (const method of ['wire.echo', 'wire.nothing'])
      assert.equal((await talk.ask(call(method))).payload?.toString(), 'null', method);
  }),

  check('CAL-2', 'a method that nobody serves, and a name that is none, are method_unknown', async (wire) => {
    const talk = await wire.session();
    for (const method of ['wire.nobody', '', 'a b', 'wire:echo', 'x'.repeat(65), 'toString', '__proto__'])
      await talk.refused('method_unknown', call(method), '{}');
    assertHttpError(
      await wire.http('POST', '/v1/calls', { query: { method: 'wire.nobody' }, body: '1' }),
      404,
      'method_unknown',
    );
  }),

  check('CAL-1 FRM-7', 'a call without a method is not understood', async (wire) => {
    const talk = await wire.session();
    for (const method of [undefined, 7, null, 'x'.repeat(1025)])
      await talk.refused('bad_frame', { op: 'call', method });
    assertHttpError(await wire.http('POST', '/v1/calls', { body: '1' }), 400, 'bad_frame');
    assertHttpError(await wire.http('GET', '/v1/calls', { query: { method: 'wire.echo' } }), 405, 'method_not_allowed');
  }),

  check('CAL-3', 'whichever node or process a connection reaches, the method is there', async (wire) => {
    await caller(wire);
    const talks = await Promise.all(Array.from({ length: 12 }, () => wire.session()));
    const answers = await Promise.all(talks.map((talk, n) => talk.ask(call('wire.echo'), String(n))));
    assert.deepEqual(
      answers.map(({ payload }) => payload?.toString()),
      talks.map((_, n) => String(n)),
    );
  }),

  check('CAL-4', 'calls are under way beside each other, and beside everything else', async (wire) => {
    const talk = await caller(wire);
    const slow = talk.request(call('wire.wait'));
    const ids = Array.from({ length: 40 }, (_, n) => talk.request(call('wire.echo'), String(n)));
    const answers = await talk.answers(ids);
    for (const [n, { payload }] of answers.entries()) assert.equal(payload?.toString(), String(n));
    await talk.append(wire.channel());
    assert.ok(!talk.heard.all.some(({ header }) => header['id'] === slow));
  }),

  check('CAL-5', 'what the application says is the answer; what it only throws stays in the log', async (wire) => {
    const talk = await caller(wire);
    assert.equal((await talk.refused('invalid', call('wire.refuse'), '1'))['message'], 'not today');
    const failed = await talk.refused('internal', call('wire.fail'), '1');
    assert.ok(!JSON.stringify(failed).includes('wire-secret'));
    await talk.ok(call('wire.echo'), '1');
  }),

  check(
    'CAL-5 FRM-5 LIM-1',
    'what is no JSON is bad_frame, what is over 256 KiB too_large, both ways',
    async (wire) => {
      const talk = await caller(wire);
      for (const wrong of ['', '{', '{"a":}', '1 2']) await talk.refused('bad_frame', call('wire.echo'), wrong);
      await talk.refused('too_large', call('wire.echo'), new Uint8Array(CALL_BYTES_MAX + 1));
      await talk.refused('too_large', call('wire.large'), String(CALL_BYTES_MAX));
      const largest = await talk.ask(call('wire.echo'), new Uint8Array(CALL_BYTES_MAX).fill(7));
      assert.equal(largest.payload?.length, CALL_BYTES_MAX);
      const http = await wire.http('POST', '/v1/calls', {
        query: { method: 'wire.echo' },
        body: new Uint8Array(CALL_BYTES_MAX + 1),
        headers: { 'Content-Type': 'application/octet-stream' },
      });
      assertHttpError(http, 413, 'too_large');
    },
  ),

  check('CAL-5 LIM-1', 'a method that does not answer leaves its call unanswered after 10 s', async (wire) => {
    const talk = await caller(wire);
    const id = talk.request(call('wire.wait'), '1');
    const http = wire.http('POST', '/v1/calls', { query: { method: 'wire.wait' }, body: '1' });
    assertError(await talk.next(({ header }) => header['id'] === id, 'the end of a call', UNANSWERED_MS), 'unanswered');
    assertHttpError(await http, 504, 'unanswered');
  }),

  check('CAL-6', 'over HTTP the body is the argument and the answer the result', async (wire) => {
    await caller(wire);
    const query = { method: 'wire.echo' };
    const json = await wire.http('POST', '/v1/calls', { query, body: ' {"a":1}' });
    assert.deepEqual([json.status, json.text], [200, '{"a":1}']);
    assert.match(json.headers.get('content-type') ?? '', /^application\/json/);
    const headers = { 'Content-Type': 'application/octet-stream' };
    const bytes = await wire.http('POST', '/v1/calls', { query, body: new Uint8Array([65, 10, 66]), headers });
    assert.deepEqual([bytes.status, bytes.text], [200, 'A\nB']);
    assert.equal(bytes.headers.get('content-type'), 'application/octet-stream');
    assert.equal((await wire.http('POST', '/v1/calls', { query })).text, 'null');
    const refused = await wire.http('POST', '/v1/calls', { query: { method: 'wire.refuse' }, body: '1' });
    assertHttpError(refused, 422, 'invalid');
    assertHttpError(await wire.http('POST', '/v1/calls', { query, body: '{' }), 400, 'bad_frame');
  }),
];
