/** PROTOCOL.md §10 from outside, but for reading: appending, batches, and the calls around them. */
import assert from 'node:assert/strict';
import { cursorOf, textOf } from './records.ts';
import { assertErrorFields, assertHttpError, type Fields } from './talk.ts';
import { check, type Answer, type Ask, type Check, type Wire } from './wire.ts';

const post = (wire: Wire, channel: string, ask: Ask): Promise<Answer> =>
  wire.http('POST', '/v1/records', { query: { channel }, ...ask });
const batch = (wire: Wire, body: unknown): Promise<Answer> =>
  wire.http('POST', '/v1/batch', {
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'Content-Type': 'application/json' },
  });

export const httpAppendChecks: readonly Check[] = [
  check('HTTP-2 COD-2', 'an unknown path is not_found, a wrong method method_not_allowed with Allow', async (wire) => {
    assertHttpError(await wire.http('GET', '/v1/nothing'), 404, 'not_found');
    for (const [method, path] of [
      ['PUT', '/v1/records'],
      ['GET', '/v1/batch'],
      ['DELETE', '/v1/signals'],
    ] as const) {
      const answer = await wire.http(method, path, { query: { channel: wire.channel() } });
      assertHttpError(answer, 405, 'method_not_allowed');
      assert.ok((answer.headers.get('allow') ?? '') !== '');
    }
  }),

  check('HTTP-1', 'channel is given once: missing, twice or wrong is refused', async (wire) => {
    const channel = wire.channel();
    assertHttpError(await wire.http('POST', '/v1/records', { body: '{}' }), 400, 'bad_frame');
    assertHttpError(
      await wire.http('POST', '/v1/records', { query: { channel: [channel, channel] }, body: '{}' }),
      400,
      'bad_frame',
    );
    assertHttpError(
      await wire.http('POST', '/v1/records', { query: { channel: 'Nope' }, body: '{}' }),
      404,
      'channel_unknown',
    );
    assertHttpError(await wire.http('GET', '/v1/records'), 400, 'bad_frame');
  }),

  check('HTTP-1 NAM-4', 'Tideway-Instance has 1–64 printable ASCII characters', async (wire) => {
    const channel = wire.channel();
    for (const instance of ['x'.repeat(65), 'caf\u00e9']) {
      const headers = { 'Tideway-Instance': instance };
      const signal = await wire.http('POST', '/v1/signals', { query: { channel }, body: '{}', headers });
      assertHttpError(signal, 400, 'bad_frame');
      assertHttpError(await wire.http('GET', '/v1/events', { query: { channel }, headers }), 400, 'bad_frame');
    }
    const headers = { 'Tideway-Instance': `~${'x'.repeat(62)} ~`.slice(0, 64) };
    assert.equal((await wire.http('POST', '/v1/signals', { query: { channel }, body: '{}', headers })).status, 202);
  }),

  check('HTTP-3', 'a post is 201 with its cursor, JSON whatever the type says, bytes as octet-stream', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.subscribe(channel);
    const first = await post(wire, channel, { body: ' {"a":1,  "b":2}\n', headers: { 'Content-Type': 'text/plain' } });
    assert.equal(first.status, 201, first.text);
    await post(wire, channel, { body: '2', headers: { 'Content-Type': 'application/json; charset=utf-8' } });
    await post(wire, channel, {
      body: new Uint8Array([0, 10, 255]),
      headers: { 'Content-Type': 'application/octet-stream' },
    });
    const empty = await post(wire, channel, {
      body: new Uint8Array(),
      headers: { 'Content-Type': 'application/octet-stream' },
    });
    assert.equal(empty.status, 201, empty.text);
    const records = await talk.records(channel, 4);
    assert.equal(cursorOf(records[0]), (first.json as { cursor: string }).cursor);
    assert.deepEqual(records.slice(0, 2).map(textOf), ['{"a":1,  "b":2}', '2']);
    assert.deepEqual(
      records.slice(2).map((record) => [record.binary, [...(record.payload ?? [])]]),
      [
        [true, [0, 10, 255]],
        [true, []],
      ],
    );
    const rids = records.map((record) => record.header['rid']);
    assert.equal(new Set(rids).size, 4, 'the server makes a rid of its own for each');
    assert.ok(rids.every((rid) => typeof rid === 'string' && rid !== ''));
  }),

  check(
    'HTTP-3',
    'Idempotency-Key is the rid, Tideway-Key the key, traceparent the trace, expect the place',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      const place = (await talk.subscribe(channel))['cursor'] as string;
      const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
      const headers = { 'Idempotency-Key': 'order 17', 'Tideway-Key': 'k%C3%A4%25', traceparent: trace };
      const first = await wire.http('POST', '/v1/records', { query: { channel, expect: place }, body: '1', headers });
      assert.equal(first.status, 201, first.text);
      const again = await wire.http('POST', '/v1/records', { query: { channel, expect: place }, body: '1', headers });
      assert.deepEqual([again.status, again.json], [200, { ...(first.json as object), duplicate: true }]);
      const record = await talk.nextOf('record', channel);
      assert.deepEqual(
        [record.header['rid'], record.header['key'], record.header['trace']],
        ['order 17', 'kä%', trace],
      );
      const conflict = await wire.http('POST', '/v1/records', {
        query: { channel, expect: place },
        body: '2',
        headers: { 'Tideway-Key': 'k%C3%A4%25' },
      });
      assertHttpError(conflict, 409, 'conflict');
      for (const wrong of [
        { 'Idempotency-Key': 'x'.repeat(65) },
        { 'Tideway-Key': '%' },
        { 'Tideway-Key': '%FF' },
        { 'Tideway-Key': 'kä' },
        { 'Tideway-Key': 'x'.repeat(129) },
      ]) {
        assertHttpError(await post(wire, channel, { body: '1', headers: wrong }), 400, 'bad_frame');
      }
    },
  ),

  check('HTTP-1', 'a body in a coding is refused, and its bytes are not stored', async (wire) => {
    const channel = wire.channel();
    for (const coding of ['gzip', 'br, identity']) {
      const headers = { 'Content-Type': 'application/octet-stream', 'Content-Encoding': coding };
      assertHttpError(await post(wire, channel, { body: 'coded', headers }), 501, 'unsupported');
    }
    const plain = await post(wire, channel, { body: '1', headers: { 'Content-Encoding': 'Identity' } });
    assert.equal(plain.status, 201, plain.text);
    const page = await wire.http('GET', '/v1/records', { query: { channel } });
    assert.equal((page.json as { records: unknown[] }).records.length, 1);
  }),

  check('HTTP-3 FRM-5', 'a body that is no JSON, or none at all, is bad_frame', async (wire) => {
    const channel = wire.channel();
    for (const body of ['', ' \n', '{no', '\uFEFF1', '1 2', new Uint8Array([0x22, 0xff, 0x22])])
      assertHttpError(await post(wire, channel, { body }), 400, 'bad_frame');
    const page = await wire.http('GET', '/v1/records', { query: { channel } });
    assert.deepEqual((page.json as { records: unknown[] }).records, []);
  }),

  check(
    'HTTP-4',
    'a batch is answered item by item, in order; what is wrong with one does not touch the others',
    async (wire) => {
      const talk = await wire.session();
      const [a, b] = [wire.channel(), wire.channel()];
      await talk.subscribe(a);
      await talk.subscribe(b);
      const text = `[{"channel":"${a}","rid":"1","data":{"x":1.50,  "y":2}},{"channel":"${b}","data":"ä","key":"k"},{"channel":"Nope","data":1},
      {"channel":"${a}"},{"channel":"${a}","rid":"","data":1},7,{"channel":"${a}","encoding":"base64","data":"/wA="},
      {"channel":"${a}","encoding":"base64","data":"not base64!"},{"channel":"${a}","rid":"1","data":9}]`;
      const answer = await batch(wire, text);
      assert.equal(answer.status, 200, answer.text);
      const { results } = answer.json as { results: Fields[] };
      assert.deepEqual(
        results.map((result) => result['code'] ?? (result['duplicate'] === true ? 'duplicate' : 'ok')),
        ['ok', 'ok', 'channel_unknown', 'bad_frame', 'bad_frame', 'bad_frame', 'ok', 'bad_frame', 'duplicate'],
      );
      for (const result of results) if ('code' in result) assertErrorFields(result, result['code'] as 'bad_frame');
      assert.equal(results[8]?.['cursor'], results[0]?.['cursor']);
      const inA = await talk.records(a, 2);
      assert.equal(textOf(inA[0] as never), '{"x":1.50,  "y":2}');
      assert.deepEqual([...(inA[1]?.payload ?? [])], [255, 0]);
    },
  ),

  check('HTTP-1 NAM-4', 'a header or parameter that is there and empty is malformed, not absent', async (wire) => {
    const channel = wire.channel();
    for (const name of ['Idempotency-Key', 'Tideway-Key', 'traceparent'])
      assertHttpError(await post(wire, channel, { body: '1', headers: { [name]: '' } }), 400, 'bad_frame');
    const signal = { query: { channel, to: '' }, body: '1' };
    assertHttpError(await wire.http('POST', '/v1/signals', signal), 400, 'bad_frame');
    assertHttpError(await wire.http('POST', '/v1/disconnect', { query: { user: '' } }), 400, 'bad_frame');
  }),

  check('HTTP-4 FRM-5 NAM-4', 'what is no UTF-8 or no text of the right form is stored nowhere', async (wire) => {
    const channel = wire.channel();
    const raw = Buffer.from(`[{"channel":"${channel}","data":"\xff"}]`, 'latin1');
    assertHttpError(await wire.http('POST', '/v1/batch', { body: raw }), 400, 'bad_frame');
    const items = [{ key: '\ud800' }, { key: '' }, { trace: '' }, { trace: 'x'.repeat(65) }, { trace: 'caf\u00e9' }];
    const answer = await batch(
      wire,
      items.map((item) => ({ channel, data: 1, ...item })),
    );
    const { results } = answer.json as { results: Fields[] };
    for (const result of results) assertErrorFields(result, 'bad_frame');
    const page = await wire.http('GET', '/v1/records', { query: { channel } });
    assert.deepEqual((page.json as { records: unknown[] }).records, []);
  }),

  check('HTTP-8 HTTP-3', 'the type that makes a signal bytes is read as that of a record is', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.subscribe(channel);
    const headers = { 'Content-Type': 'Application/Octet-Stream; of=anything' };
    const answer = await wire.http('POST', '/v1/signals', { query: { channel }, body: 'no json', headers });
    assert.equal(answer.status, 202, answer.text);
    assert.equal((await talk.nextOf('signal', channel)).binary, true);
  }),

  check('HTTP-4 LIM-1', 'only a body that is no array of 1–1,000 items fails as a whole', async (wire) => {
    const channel = wire.channel();
    const items = Array.from({ length: 1_001 }, (_, i) => ({ channel, rid: `r${i}`, data: i }));
    for (const body of [{}, [], 7, 'no json', items]) assertHttpError(await batch(wire, body), 400, 'bad_frame');
    const answer = await batch(wire, items.slice(0, 1_000));
    const { results } = answer.json as { results: { cursor: string }[] };
    const cursors = results.map((result) => result.cursor);
    assert.deepEqual(cursors, cursors.toSorted());
    assert.equal(new Set(cursors).size, 1_000);
  }),

  check('HTTP-13 LIM-2', 'who one is, without a WebSocket', async (wire) => {
    const answer = await wire.http('GET', '/v1/session');
    assert.equal(answer.status, 200, answer.text);
    const { session, server, limits } = answer.json as Fields;
    assert.equal(session, undefined);
    assert.match(server as string, /^[^/]+\/.+/);
    const hello = await (await wire.connect()).ok(wire.hello());
    assert.deepEqual(Object.keys(limits as Fields), Object.keys(hello['limits'] as Fields));
    const forged = await wire.http('GET', '/v1/session', { headers: { Authorization: 'Bearer not.a.token' } });
    assertHttpError(forged, 401, ['unauthenticated', 'token_expired']);
    assert.match(forged.headers.get('www-authenticate') ?? '', /^Bearer/);
  }),

  check('HTTP-16', 'what one may do in a channel is said without trying, in the order asked', async (wire) => {
    const channel = wire.channel();
    const asked = [channel, 'Nope', '$system:vitals'];
    const answer = await wire.http('GET', '/v1/session', { query: { channel: asked } });
    assert.equal(answer.status, 200, answer.text);
    const { channels, limits } = answer.json as { channels: Fields[]; limits: Fields };
    assert.ok(limits['recordBytes'] !== undefined, 'the members of HTTP-13 stand there, too');
    assert.deepEqual(
      channels.map((item) => item['channel']),
      asked,
    );
    const [own, none, server] = channels as [Fields, Fields, Fields];
    for (const permission of ['subscribe', 'append', 'history']) {
      assert.ok((own['permissions'] as readonly string[]).includes(permission), permission);
    }
    assert.deepEqual([none['code'], typeof none['message']], ['channel_unknown', 'string']);
    assert.equal(((server['permissions'] ?? []) as readonly string[]).includes('append'), false, 'NAM-2');
    const many = Array.from({ length: 101 }, () => channel);
    assertHttpError(await wire.http('GET', '/v1/session', { query: { channel: many } }), 400, 'bad_frame');
  }),

  check('LIM-1 HTTP-2', 'a body over its limit is too_large', async (wire) => {
    const large = JSON.stringify([{ channel: wire.channel(), data: 'x'.repeat(4 * 1024 * 1024) }]);
    assertHttpError(await wire.upload('/v1/batch', Buffer.from(large)), 413, 'too_large');
    const events = JSON.stringify({ channels: [wire.channel()], filler: 'x'.repeat(600 * 1024) });
    assertHttpError(await wire.upload('/v1/events', Buffer.from(events)), 413, 'too_large');
  }),

  check(
    'LIM-1 COD-4',
    'a record or signal over its limit is told what is allowed, however large it is',
    async (wire) => {
      const { limits } = (await wire.http('GET', '/v1/session')).json as { limits: { recordBytes: number } };
      const channel = wire.channel();
      for (const [path, allowed] of [
        ['/v1/records', limits.recordBytes],
        ['/v1/signals', 16 * 1024],
      ] as const) {
        for (const over of [1, 20_000]) {
          const answer = await wire.upload(`${path}?channel=${channel}`, Buffer.alloc(allowed + over, 0x31));
          assertHttpError(answer, 413, 'too_large');
          assert.match(answer.text, new RegExp(`\\b${allowed} bytes`));
        }
      }
    },
  ),

  check('HTTP-10', 'disconnecting a user who is not here ends nothing', async (wire) => {
    const answer = await wire.http('POST', '/v1/disconnect', { query: { user: 'nobody-of-this-name' } });
    assert.deepEqual([answer.status, answer.json], [200, { sessions: 0 }]);
    assertHttpError(await wire.http('POST', '/v1/disconnect'), 400, 'bad_frame');
  }),

  check('HTTP-11', 'health, readiness and metrics answer', async (wire) => {
    const health = await wire.http('GET', '/healthz');
    assert.deepEqual([health.status, (health.json as Fields)['status']], [200, 'ok']);
    const ready = await wire.http('GET', '/readyz');
    const { status, log } = ready.json as Fields;
    assert.deepEqual([ready.status, status, log], [200, 'ready', 'up']);
    const metrics = await wire.http('GET', '/metrics');
    assert.equal(metrics.status, 200);
    assert.match(metrics.text, /^# (HELP|TYPE) /m);
    assert.match(metrics.headers.get('content-type') ?? '', /^text\/plain/);
  }),

  check('HTTP-12', 'a foreign origin gets no CORS headers', async (wire) => {
    const headers = { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' };
    const preflight = await wire.http('OPTIONS', '/v1/records', { query: { channel: wire.channel() }, headers });
    assert.equal(preflight.headers.get('access-control-allow-origin'), null);
    const read = await wire.http('GET', '/v1/records', {
      query: { channel: wire.channel() },
      headers: { Origin: 'https://evil.example' },
    });
    assert.equal(read.headers.get('access-control-allow-origin'), null);
  }),
];
