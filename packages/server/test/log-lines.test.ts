import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import * as v from 'valibot';
import { WebSocket } from 'ws';
import { signWithSecret, TEST_SECRET } from '../src/auth/testing/signers.ts';
import { createServer, type LogLine } from '../src/index.ts';
import { DEADLINE, join, Peer } from './peer.ts';

// What an operator reads when clients are refused: each case is provoked from outside, on a real server.

const SECRET = 'hunter2';

function broken(): never {
  throw new Error('the database is away');
}

async function start(t: TestContext) {
  const lines: LogLine[] = [];
  const server = await createServer({
    log: 'memory:',
    logLevel: 'debug',
    logger: (line) => void lines.push(line),
    // One of them waits for it; the others must be quicker.
    helloMs: 5_000,
    limits: { sessionsPerUser: 1, sessions: 4 },
    auth: { jwt: { secret: TEST_SECRET }, session: ({ cookie }) => (cookie === undefined ? undefined : broken()) },
    contract: {
      'typed:{name}': { record: v.object({ mail: v.pipe(v.string(), v.email()) }) },
      'odd:{name}': {
        record: v.pipe(
          v.string(),
          v.transform((text): string => {
            throw new SyntaxError(`not ${text}`);
          }),
        ),
      },
    },
    namespaces: {
      typed: { append: 'anyone' },
      odd: { append: 'anyone' },
      chat: { subscribe: 'user', append: 'user', history: 'user' },
      open: { append: 'anyone', history: 'anyone' },
      broken: { append: broken, history: broken },
    },
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { url, port } = await server.listen({ port: 0 });
  /** The line of an answer's `ref`, without what differs from run to run. */
  const lineOf = (ref: unknown) => {
    const line = lines.find((one) => one.ref === ref && one.ref !== undefined);
    assert.ok(line !== undefined, `no line has the ref ${String(ref)}`);
    const { time: _, ref: __, session: ___, ...rest } = line;
    return rest;
  };
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, init);
    const { error } = (await response.json()) as { error: { message: string; ref: string } };
    return { message: error.message, line: lineOf(error.ref) };
  };
  return { server, url, port, lines, lineOf, ask };
}

/** No text says the same twice, nothing is a stack where nothing failed, and nobody's secret is told. */
function assertClean(lines: readonly LogLine[]): void {
  for (const line of lines) {
    assert.doesNotMatch(line.message ?? '', /(.{12,}): \1/, line.event);
    if (!['callback.failed', 'fault.caught', 'server.failed', 'request.failed'].includes(line.event))
      assert.equal(line.stack, undefined, line.event);
    assert.ok(!JSON.stringify(line).includes(SECRET), `${line.event} tells what was sent`);
  }
}

function tokenOf(user: string, seconds = 600): Promise<string> {
  return signWithSecret({ sub: user, exp: Math.floor(Date.now() / 1000) + seconds });
}

describe('a refusal is one line, says why once, and has no stack', () => {
  test('over HTTP: credentials, request, record', async (t) => {
    const { ask, lines } = await start(t);
    const cases = [
      ['session.refused', 'unauthenticated', '/v1/records?channel=chat:1', { authorization: `Bearer a.${SECRET}.c` }],
      [
        'session.refused',
        'token_expired',
        '/v1/records?channel=chat:1',
        { authorization: `Bearer ${await tokenOf('ann', -600)}` },
      ],
      [
        'session.refused',
        'unauthenticated',
        `/v1/events?channel=chat:1&ticket=${SECRET.repeat(6)}.${SECRET.repeat(7)}`,
        {},
      ],
      ['session.refused', 'bad_frame', '/v1/ws', {}],
      ['request.refused', 'bad_frame', '/v1/records', {}],
      ['request.refused', 'bad_cursor', '/v1/records?channel=open:1&after=x', {}],
      ['request.refused', 'channel_unknown', '/v1/records?channel=none:1', {}],
      ['request.refused', 'forbidden', '/v1/records?channel=open:1', { origin: 'https://evil.example' }],
      ['request.refused', 'not_found', `/nothing?token=${SECRET}`, {}],
    ] as const;
    for (const [event, code, path, headers] of cases) {
      const before = lines.length;
      const { message, line } = await ask(path, { headers });
      const channel = /channel=([\w:]+)/.exec(path)?.[1];
      const from = { transport: 'http', remoteAddress: '127.0.0.1' };
      const about = { ...from, path: path.split('?')[0], ...(channel !== undefined && { channel }) };
      assert.deepEqual(line, { level: 'info', event, code, message, ...about });
      assert.equal(lines.length, before + 1, `one line for ${path}`);
    }
    const authorization = `Bearer ${await tokenOf('ann')}`;
    const init = { method: 'POST', body: '1', headers: { authorization } };
    const { line } = await ask('/v1/records?channel=none:1', init);
    assert.deepEqual([line.event, line.user, line.channel], ['append.refused', 'ann', 'none:1'], 'who asked for what');
    assertClean(lines);
  });

  test('a payload that does not fit is quoted to its sender, and not in the log', async (t) => {
    const { ask, port, lines, lineOf } = await start(t);
    const post = (channel: string, body: string) => ask(`/v1/records?channel=${channel}`, { method: 'POST', body });
    const misfit = await post('typed:1', `{"mail":"${SECRET}"}`);
    assert.match(misfit.message, /hunter2/);
    assert.equal(misfit.line.message, 'the payload does not fit its contract');
    const thrown = await post('odd:1', `"${SECRET}"`);
    assert.equal(thrown.line.message, 'the schema of "odd:1" threw, which refuses the payload: SyntaxError');
    assert.equal(misfit.line.event, 'append.refused');
    await post('open:1', SECRET);
    const peer = await join(t, port);
    const { ref } = await peer.ask(t, { op: 'append', id: 2, channel: 'typed:1', rid: 'r' }, `{"mail":"${SECRET}"}`);
    assert.deepEqual(lineOf(ref), {
      level: 'info',
      event: 'append.refused',
      code: 'invalid',
      message: 'the payload does not fit its contract',
      transport: 'websocket',
      op: 'append',
      channel: 'typed:1',
    });
    peer.socket.send(SECRET);
    await t.waitFor(() => assert.ok(lines.some(({ op }) => op === 'unknown')), DEADLINE);
    assertClean(lines);
  });

  test('over WebSocket: origin, room, credentials, a limit; what the server ends it says, too', async (t) => {
    const { server, port, lines, lineOf } = await start(t);
    const refused = async (headers: Record<string, string>): Promise<void> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, ['tideway.v1'], { headers });
      socket.on('error', () => {});
      await new Promise((resolve) => socket.on('close', resolve));
    };
    await refused({ origin: 'https://evil.example' });
    const ann = await join(t, port, await tokenOf('ann'));
    const second = new Peer(port);
    await once(second.socket, 'open');
    const hello = async (token: string) => (await second.ask(t, { op: 'hello', id: 1, instance: 'i', token })).ref;
    const limited = lineOf(await hello(await tokenOf('ann')));
    assert.deepEqual([limited.event, limited.code], ['session.refused', 'limit_exceeded']);
    // The hello before failed, and the deadline ends who does not say a good one.
    await second.closed(t);
    await t.waitFor(() => assert.ok(lines.some(({ event }) => event === 'session.closed')), DEADLINE);
    await join(t, port);
    await join(t, port);
    await refused({});
    assert.equal(server.disconnect('ann'), 1);
    await ann.closed(t);
    assert.deepEqual(
      lines
        .filter(({ level, event }) => level !== 'debug' && !event.startsWith('server.'))
        .map(({ event, code }) => [event, code]),
      [
        ['session.refused', 'forbidden'],
        ['session.refused', 'limit_exceeded'],
        ['session.ended', 'hello_timeout'],
        ['session.refused', 'overloaded'],
        ['session.ended', 'disconnected'],
        ['session.disconnected', undefined],
      ],
    );
    assertClean(lines);
  });
});

test('a function of the application that throws is named with its cause, which no client is told', async (t) => {
  const { server, ask, port, lines, lineOf } = await start(t);
  const causes = () => lines.filter(({ event }) => event === 'callback.failed').map(({ message }) => message);
  const away = ': the database is away';
  await ask('/v1/records?channel=open:1', { headers: { cookie: 'x' } });
  await ask('/v1/records?channel=broken:1');
  const peer = await join(t, port);
  const { ref, message } = await peer.ask(t, { op: 'append', id: 2, channel: 'broken:1', rid: 'r' }, '1');
  assert.doesNotMatch(String(message), /database/);
  assert.equal(lineOf(ref).event, 'request.failed');
  assert.deepEqual(causes(), [
    `the session could not be looked up${away}`,
    `the function that decides about history on broken:1 failed${away}`,
    `the function that decides about append on broken:1 failed${away}`,
  ]);
  const typed = server.channel('typed:{name}', { name: '1' });
  typed.on({ from: 'oldest', onGap: 'continue' }, broken);
  await typed.append({ mail: `${SECRET}@example.com` });
  await t.waitFor(() => assert.equal(causes().length, 4), DEADLINE);
  assert.match(causes()[3] ?? '', /^in this process: .*the database is away/);
  for (const { event, stack } of lines) if (event === 'callback.failed') assert.match(stack ?? '', /broken/);
  assertClean(lines);
});
