/** PROTOCOL.md §4 from outside: handshake, hello, tokens, pings, how a connection ends. */
import assert from 'node:assert/strict';
import { HandshakeRefused } from '../raw/raw-websocket.ts';
import { assertError, assertErrorFields, type Fields } from './talk.ts';
import { check, type Check } from './wire.ts';

async function refusedHandshake(opening: Promise<unknown>): Promise<HandshakeRefused> {
  const error: unknown = await opening.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof HandshakeRefused, `the handshake was not refused: ${String(error)}`);
  return error;
}

export const sessionChecks: readonly Check[] = [
  check('WS-1', 'the handshake answers with the subprotocol and without extensions', async (wire) => {
    const talk = await wire.connect({
      headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' },
    });
    assert.equal(talk.raw.headers['sec-websocket-protocol'], 'tideway.v1');
    assert.equal(talk.raw.headers['sec-websocket-extensions'], undefined);
    const among = await wire.connect({ protocol: 'other.v9, tideway.v1' });
    assert.equal(among.raw.headers['sec-websocket-protocol'], 'tideway.v1');
  }),

  check('WS-1 HTTP-2', 'a handshake without the subprotocol is answered 400 with the JSON of errors', async (wire) => {
    for (const headers of [{}, { 'Sec-WebSocket-Protocol': 'other.v9' }]) {
      const refused = await refusedHandshake(wire.connect({ protocol: undefined, headers }));
      assert.equal(refused.status, 400);
      assertErrorFields((JSON.parse(refused.body) as { error: Fields }).error, 'bad_frame');
    }
  }),

  check('WS-1', 'a page of a foreign origin gets no connection', async (wire) => {
    const refused = await refusedHandshake(wire.connect({ headers: { Origin: 'https://evil.example' } }));
    assert.equal(refused.status, 403);
    assertErrorFields((JSON.parse(refused.body) as { error: Fields }).error, 'forbidden');
  }),

  check('WS-1', 'the WebSocket endpoint answers a plain GET with an error', async (wire) => {
    const answer = await wire.http('GET', '/v1/ws');
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text}`);
    assertErrorFields((answer.json as { error: Fields }).error, ['bad_frame', 'not_found', 'method_not_allowed']);
  }),

  check('HEL-1 HEL-3', 'anything before hello is answered unauthenticated, and hello still works', async (wire) => {
    const talk = await wire.connect();
    const channel = wire.channel();
    await talk.refused('unauthenticated', { op: 'subscribe', channel });
    await talk.refused('unauthenticated', { op: 'append', channel, rid: 'r' }, '{}');
    await talk.refused('unauthenticated', { op: 'unsubscribe', channel });
    await talk.ok(wire.hello());
    await talk.fence();
    const page = await wire.http('GET', '/v1/records', { query: { channel } });
    assert.deepEqual((page.json as { records: unknown[] }).records, []);
  }),

  check('HEL-3', 'what stands behind a hello that failed is refused, up to the next hello', async (wire) => {
    const talk = await wire.connect();
    const failing = talk.request({ op: 'hello', instance: 'i', token: 'not a token of anybody' });
    const behind = talk.request({ op: 'unsubscribe', channel: wire.channel() });
    talk.say({ op: 'pong' });
    const again = talk.request(wire.hello());
    const last = talk.request({ op: 'unsubscribe', channel: wire.channel() });
    const [first, second] = await talk.answers([failing, behind]);
    for (const answer of [first, second]) assert.equal(answer?.header['code'], 'unauthenticated');
    for (const answer of await talk.answers([again, last])) assert.equal(answer.op, 'ok', answer.headerText);
    // A pong is answered nowhere, not even here (HEL-1).
    assert.equal(talk.heard.all.length, 4);
  }),

  check(
    'HEL-2 LIM-2',
    'the answer to hello says who the server is, how often it pings and what its limits are',
    async (wire) => {
      const talk = await wire.connect();
      const ok = await talk.ok(wire.hello({ client: 'wire-suite/1.0' }));
      assert.ok(typeof ok['session'] === 'string' && ok['session'] !== '');
      assert.match(ok['server'] as string, /^[^/]+\/.+/);
      assert.ok(Number.isInteger(ok['pingMs']) && (ok['pingMs'] as number) > 0);
      const limits = ok['limits'] as Fields;
      for (const name of [
        'recordBytes',
        'channelsPerFrame',
        'subscriptions',
        'pageRecords',
        'batchItems',
        'ridWindowMs',
      ]) {
        assert.ok(
          Number.isInteger(limits[name]) && (limits[name] as number) > 0,
          `limits.${name} is ${String(limits[name])}`,
        );
      }
      const other = await wire.connect();
      assert.notEqual((await other.ok(wire.hello()))['session'], ok['session']);
    },
  ),

  check('HEL-3', 'frames may be sent behind hello before its answer', async (wire) => {
    const talk = await wire.connect();
    const channel = wire.channel();
    const hello = talk.request(wire.hello());
    const subscribe = talk.request({ op: 'subscribe', channel });
    const append = talk.request({ op: 'append', channel, rid: 'r' }, '1');
    assert.equal((await talk.answer(hello)).op, 'ok');
    assert.equal((await talk.answer(subscribe)).op, 'ok');
    assert.equal((await talk.answer(append)).op, 'ok');
    await talk.nextOf('record', channel);
  }),

  check(
    'HEL-3',
    'frames behind a hello that fails are answered unauthenticated, take no effect, and hello may be repeated',
    async (wire) => {
      const talk = await wire.connect();
      const channel = wire.channel();
      const hello = talk.request({ ...wire.hello(), token: 'not.a.token' });
      const append = talk.request({ op: 'append', channel, rid: 'r' }, '1');
      const answer = await talk.answer(hello);
      if (answer.op === 'ok') wire.skip('this server takes any token');
      assertError(answer, ['unauthenticated', 'token_expired']);
      assertError(await talk.answer(append), 'unauthenticated');
      await talk.ok(wire.hello());
      const ok = await talk.subscribe(channel, 'oldest');
      assert.equal(ok['head'], ok['cursor'], 'the append behind the failed hello has taken effect');
    },
  ),

  check('HEL-3', 'after success another hello is bad_frame', async (wire) => {
    const talk = await wire.session();
    await talk.refused('bad_frame', wire.hello());
    await talk.fence();
  }),

  check('HEL-3 CLS-3', 'without a successful hello the connection is closed with hello_timeout', async (wire) => {
    const talk = await wire.connect();
    assert.deepEqual(await talk.waitClosed(60_000), { code: 4004, reason: 'hello_timeout' });
    assertError(await talk.nextOf('error'), 'hello_timeout');
  }),

  check('HEL-4', 'token brings fresh credentials while connected', async (wire) => {
    if (wire.token === undefined) wire.skip('no token was given');
    const talk = await wire.session();
    await talk.ok({ op: 'token', token: wire.token });
    await talk.refused(['unauthenticated', 'token_expired'], { op: 'token', token: 'not.a.token' });
    await talk.fence();
  }),

  check('PNG-1', 'the server pings every pingMs, and one who answers stays', async (wire) => {
    const talk = await wire.connect();
    const { pingMs } = (await talk.ok(wire.hello())) as { pingMs: number };
    if (pingMs > 3_000) wire.skip(`the server pings every ${pingMs} ms only`);
    for (let i = 0; i < 3; i++) await talk.nextOf('ping');
    await talk.fence();
  }),

  check('PNG-1 CLS-3', 'two pings without an answer close the connection with slow_pong', async (wire) => {
    const talk = await wire.connect();
    const { pingMs } = (await talk.ok(wire.hello())) as { pingMs: number };
    if (pingMs > 3_000) wire.skip(`the server pings every ${pingMs} ms only`);
    talk.answersPings = false;
    assert.deepEqual(await talk.waitClosed(120_000), { code: 4003, reason: 'slow_pong' });
  }),

  check('CLS-4 WS-2', 'report, pong and a signal are not answered', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    talk.say({ op: 'report', channel, gaps: 1, duplicates: 0, lagMs: 12.5 });
    talk.say({ op: 'report', channel });
    talk.say({ op: 'pong' });
    talk.say({ op: 'signal', channel }, '{}');
    await talk.fence();
    assert.deepEqual(
      talk.heard.all.filter((frame) => frame.op !== 'ok' && frame.op !== 'ping').map((frame) => frame.headerText),
      [],
    );
  }),

  check('WS-4', 'each error has a ref of its own', async (wire) => {
    const talk = await wire.session();
    const first = await talk.refused('channel_unknown', { op: 'subscribe', channel: 'Nope' });
    const second = await talk.refused('channel_unknown', { op: 'subscribe', channel: 'Nope' });
    assert.notEqual(first['ref'], second['ref']);
  }),
];
