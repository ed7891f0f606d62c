import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { codes } from '@tideway/protocol';
import { WebSocket } from 'ws';
import { createHeldEnv } from '../src/auth/testing/held-env.ts';
import { signWithSecret, TEST_SECRET } from '../src/auth/testing/signers.ts';
import { createKey, createServer, type LogLine, type ServerOptions } from '../src/index.ts';
import { DEADLINE, join, Peer, type Request } from './peer.ts';

// What OWASP's WebSocket Security Cheat Sheet expects of a server, each as seen from outside.

const admin = createKey();

async function start(t: TestContext, options: ServerOptions = {}) {
  const lines: LogLine[] = [];
  const server = await createServer({
    log: 'memory:',
    logLevel: 'debug',
    logger: (line) => void lines.push(line),
    auth: { jwt: { secret: TEST_SECRET }, keys: [{ name: 'admin', sha256: admin.sha256 }] },
    namespaces: {
      chat: { subscribe: 'user', append: 'user', signal: 'user', history: 'user', admin: 'key' },
      news: { subscribe: 'anyone', history: 'anyone' },
    },
    ...options,
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { url, port } = await server.listen({ port: 0 });
  return { server, url, port, lines };
}

function tokenOf(user: string, seconds: number, now = Date.now()): Promise<string> {
  return signWithSecret({ sub: user, exp: Math.floor(now / 1000) + seconds });
}

/** The status of a handshake that is refused. */
async function refusedHandshake(port: number, headers: Record<string, string>): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, ['tideway.v1'], { headers });
  socket.on('error', () => {});
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  socket.terminate();
  return response.statusCode;
}

describe('the handshake', () => {
  test('checks the origin: exactly the own or a listed one', async (t) => {
    const { port } = await start(t, { origins: ['https://app.example.com'] });
    for (const origin of [
      'https://evil.example',
      'https://app.example.com.evil.example',
      'null',
      `http://127.0.0.1:${port + 1}`,
    ]) {
      assert.equal(await refusedHandshake(port, { origin }), 403, origin);
    }
    for (const origin of ['https://app.example.com', `http://127.0.0.1:${port}`])
      await join(t, port, undefined, { origin });
  });

  test('takes no name that was made to point here (DNS rebinding), over HTTP neither', async (t) => {
    const { port } = await start(t);
    assert.equal(await refusedHandshake(port, { host: 'evil.example' }), 403);
    assert.equal(
      await refusedHandshake(port, { host: `evil.example:${port}`, origin: `http://evil.example:${port}` }),
      403,
    );
    for (const path of ['/v1/records?channel=news:1', '/metrics', '/healthz']) {
      const request = httpRequest({ port, host: '127.0.0.1', path, headers: { host: 'evil.example' } }).end();
      const [response] = (await once(request, 'response')) as [{ statusCode: number; resume(): void }];
      response.resume();
      assert.equal(response.statusCode, 403, path);
    }
  });

  test('negotiates no compression, which would leak what secrets stand beside (CRIME, BREACH)', async (t) => {
    const { port } = await start(t);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, ['tideway.v1'], { perMessageDeflate: true });
    t.after(() => socket.terminate());
    await once(socket, 'open');
    assert.equal(socket.extensions, '');
  });

  test('takes no token from the URL', async (t) => {
    const { port, url } = await start(t);
    const token = await tokenOf('ann', 600);
    for (const name of ['token', 'access_token', 'ticket']) {
      const answer = await fetch(`${url}/v1/records?channel=chat:42&${name}=${token}`);
      assert.equal(answer.status, 401, name);
      await answer.body?.cancel();
    }
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws?token=${token}`, ['tideway.v1']);
    t.after(() => socket.terminate());
    await once(socket, 'open');
    socket.send('{"op":"hello","id":1,"instance":"i"}');
    const [data] = (await once(socket, 'message')) as [Buffer];
    assert.doesNotMatch(data.toString(), /"user"/);
  });

  test('that is no RFC 6455 handshake is refused, and the server lives', async (t) => {
    const { port, url } = await start(t);
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    const upgrade =
      'Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: tideway.v1';
    const wrong = [
      `${upgrade}\r\nSec-WebSocket-Version: 8\r\n${key}`,
      `${upgrade}\r\nSec-WebSocket-Version: 99\r\n${key}`,
      `${upgrade}\r\nSec-WebSocket-Version: 13`,
      `${upgrade}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short`,
      `${upgrade.replace('tideway.v1', 'other')}\r\nSec-WebSocket-Version: 13\r\n${key}`,
      `${upgrade.replace('Host: localhost', 'Host: a b')}\r\nSec-WebSocket-Version: 13\r\n${key}`,
    ];
    for (const headers of wrong) {
      const socket = connectTcp(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(`GET /v1/ws HTTP/1.1\r\n${headers}\r\n\r\n`);
      const [data] = (await once(socket, 'data')) as [Buffer];
      assert.match(data.toString(), /^HTTP\/1\.1 4\d\d /, headers);
      socket.destroy();
    }
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
  });
});

describe('a session', () => {
  test('is authorized frame by frame, not only when it connects', async (t) => {
    const { port } = await start(t);
    const anonymous = await join(t, port);
    const answer = async (frame: Request) => (await anonymous.ask(t, frame, '{}')).code ?? 'ok';
    assert.equal(await answer({ op: 'subscribe', id: 2, channel: 'news:1' }), 'ok');
    assert.equal(await answer({ op: 'subscribe', id: 3, channel: 'chat:42' }), 'unauthenticated');
    assert.equal(await answer({ op: 'append', id: 4, channel: 'news:1', rid: 'r' }), 'unauthenticated');
    const ann = await join(t, port, await tokenOf('ann', 600));
    assert.equal((await ann.ask(t, { op: 'append', id: 2, channel: 'news:1', rid: 'r' }, '{}')).code, 'forbidden');
    assert.equal((await ann.ask(t, { op: 'append', id: 3, channel: 'chat:42', rid: 'r' }, '{}')).op, 'ok');
  });

  test('ends with its token, and not before; a fresh one keeps it; one of another user does not', async (t) => {
    const env = createHeldEnv();
    const { port } = await start(t, { env });
    const ended = await join(t, port, await tokenOf('ann', 60, env.now()));
    const kept = await join(t, port, await tokenOf('ann', 60, env.now()));
    env.advance(59_000);
    const fresh = await tokenOf('ann', 600, env.now());
    assert.equal(
      (await kept.ask(t, { op: 'token', id: 2, token: await tokenOf('bob', 600, env.now()) })).code,
      'user_changed',
    );
    assert.equal((await kept.ask(t, { op: 'token', id: 3, token: fresh })).op, 'ok');
    assert.equal(ended.closedWith, undefined);
    env.advance(6_001);
    assert.equal(await ended.closed(t), codes.token_expired.close);
    assert.equal((await kept.ask(t, { op: 'subscribe', id: 4, channel: 'chat:42' })).op, 'ok');
  });

  test('ends when its user is disconnected, on every transport, tickets included', async (t) => {
    const { port, url } = await start(t);
    const token = await tokenOf('ann', 600);
    const [ann, bob] = [await join(t, port, token), await join(t, port, await tokenOf('bob', 600))];
    const made = await fetch(`${url}/v1/tickets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: '{"channels":["chat:42"]}',
    });
    const { ticket } = (await made.json()) as { ticket: string };
    const stream = await fetch(`${url}/v1/events?channel=chat:42&ticket=${ticket}`);
    assert.equal(stream.status, 200);
    const refused = await fetch(`${url}/v1/disconnect?user=ann`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(refused.status, 403, 'users may not');
    const done = await fetch(`${url}/v1/disconnect?user=ann`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin.key}` },
    });
    assert.deepEqual(await done.json(), { sessions: 2 });
    assert.equal(await ann.closed(t), codes.disconnected.close);
    assert.match(await stream.text(), /"code":"disconnected"/);
    assert.equal((await fetch(`${url}/v1/events?channel=chat:42&ticket=${ticket}`)).status, 401);
    assert.equal(bob.closedWith, undefined);
  });

  test('is one of a limited number, for a user and for the node', async (t) => {
    const { port } = await start(t, { limits: { sessionsPerUser: 2, sessions: 4 } });
    const token = await tokenOf('ann', 600);
    await join(t, port, token);
    const second = await join(t, port, token);
    const third = new Peer(port);
    t.after(() => third.socket.terminate());
    await once(third.socket, 'open');
    assert.equal((await third.ask(t, { op: 'hello', id: 1, instance: 'i', token })).code, 'limit_exceeded');
    assert.equal(await refusedHandshake(port, {}), 503, 'the server itself is the fourth');
    second.socket.terminate();
    await t.waitFor(async () => assert.equal(await join(t, port).then(() => true), true), DEADLINE);
  });

  test('that floods is slowed down, and others are not', async (t) => {
    const env = createHeldEnv();
    const { port } = await start(t, { env, limits: { appendsPerSecond: 10 } });
    const [flooder, other] = [
      await join(t, port, await tokenOf('ann', 600, env.now())),
      await join(t, port, await tokenOf('bob', 600, env.now())),
    ];
    for (let n = 0; n < 50; n++) flooder.send({ op: 'append', id: 10 + n, channel: `chat:${n}`, rid: `r${n}` }, '{}');
    const answers = await t.waitFor(() => {
      const found = flooder.frames.filter(({ id }) => id !== undefined && id >= 10);
      assert.equal(found.length, 50);
      return found;
    }, DEADLINE);
    const limited = answers.filter(({ code }) => code === 'rate_limited');
    assert.ok(limited.length >= 20, String(limited.length));
    assert.ok(limited.every(({ retryMs }) => typeof retryMs === 'number'));
    assert.equal((await other.ask(t, { op: 'append', id: 2, channel: 'chat:1', rid: 'o' }, '{}')).op, 'ok');
  });
});

test('a settled page names what it varies by once, where pages of other origins are let in too (HTTP-6)', async (t) => {
  const { url, port } = await start(t, { origins: ['https://app.example.com'] });
  const headers = { authorization: `Bearer ${await tokenOf('ann', 600)}` };
  const page = `${url}/v1/records?channel=chat:42&after=oldest&limit=1`;
  const peer = await join(t, port, await tokenOf('ann', 600));
  assert.equal((await peer.ask(t, { op: 'append', id: 2, channel: 'chat:42', rid: 'v' }, '{}')).op, 'ok');
  const full = await fetch(page, { headers });
  await full.body?.cancel();
  assert.equal(full.headers.get('vary'), 'Authorization, Cookie, Origin');
  const known = await fetch(page, { headers: { ...headers, 'if-none-match': full.headers.get('etag') ?? '' } });
  assert.deepEqual([known.status, known.headers.get('vary')], [304, 'Authorization, Cookie, Origin']);
});

describe('cookies', () => {
  test('count for the own origin and listed ones only; with * a page gets in without them', async (t) => {
    const auth = {
      session: ({ cookie }: { cookie: string | undefined }) => (cookie === 'sid=1' ? { user: 'ann' } : undefined),
    };
    const { port, url } = await start(t, { auth, origins: ['*', 'https://app.example.com'] });
    const userWith = async (origin?: string): Promise<unknown> => {
      const peer = new Peer(port, { cookie: 'sid=1', ...(origin !== undefined && { origin }) });
      t.after(() => peer.socket.terminate());
      await once(peer.socket, 'open');
      return (await peer.ask(t, { op: 'hello', id: 1, instance: 'i' }))['user'];
    };
    assert.equal(await userWith(), 'ann');
    assert.equal(await userWith('https://app.example.com'), 'ann');
    assert.equal(await userWith(url), 'ann');
    assert.equal(await userWith('https://evil.example'), undefined);
    const status = async (headers: Record<string, string>): Promise<number> => {
      const answer = await fetch(`${url}/v1/records?channel=chat:42`, { headers: { cookie: 'sid=1', ...headers } });
      await answer.body?.cancel();
      return answer.status;
    };
    assert.equal(await status({ origin: 'https://evil.example' }), 401);
    assert.equal(await status({ origin: 'https://app.example.com' }), 200);
    assert.equal(await status({}), 200);
  });
});

test('nothing that is secret or said is in the log, and each error is found there by its ref', async (t) => {
  const { port, url, lines } = await start(t);
  const token = await tokenOf('ann', 600);
  const wrong = `${token.slice(0, -6)}AAAAAA`;
  const peer = await join(t, port, token);
  const told: string[] = [];
  for (const [at, [frame, payload]] of (
    [
      [{ op: 'append', channel: 'chat:42', rid: 'r1' }, '{"said":"in confidence"}'],
      [{ op: 'append', channel: 'news:1', rid: 'r2' }, '{"said":"in confidence"}'],
      [{ op: 'append', channel: 'chat:42', rid: 'r3' }, '{"said":"in confidence"'],
      [{ op: 'token', token: wrong }, undefined],
      [{ op: 'nonsense', said: 'in confidence' }, undefined],
    ] as const
  ).entries()) {
    const answer = await peer.ask(t, { ...frame, id: at + 10 }, payload);
    if (answer.ref !== undefined) told.push(answer.ref);
  }
  for (const path of [
    `/v1/events?channel=chat:42&ticket=${wrong}`,
    '/v1/records?channel=chat:42',
    '/v1/records?channel=nobody:1',
  ]) {
    const answer = await fetch(url + path, { headers: { authorization: `Bearer ${wrong}` } });
    told.push(((await answer.json()) as { error: { ref: string } }).error.ref);
  }
  peer.socket.close();
  await t.waitFor(() => assert.ok(lines.some(({ event }) => event === 'session.closed')), DEADLINE);
  const text = lines.map((line) => JSON.stringify(line)).join('\n');
  assert.ok(told.length >= 6);
  for (const ref of told) assert.ok(text.includes(ref), `${ref} is not in the log`);
  for (const secret of ['in confidence', admin.key, ...token.split('.'), ...wrong.split('.')]) {
    assert.ok(!text.includes(secret), secret.slice(0, 16));
  }
});

describe('tickets behind a load balancer (HTTP-9, HTTP-10)', () => {
  async function ticketOf(url: string, user: string): Promise<string> {
    const response = await fetch(`${url}/v1/tickets`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${await tokenOf(user, 600)}` },
      body: JSON.stringify({ channels: ['chat:1'] }),
    });
    return ((await response.json()) as { readonly ticket: string }).ticket;
  }
  async function statusOf(url: string, ticket: string): Promise<number> {
    const response = await fetch(`${url}/v1/events?channel=chat:1&ticket=${ticket}`);
    await response.body?.cancel();
    return response.status;
  }

  test('a node takes the ticket that another one with the same secret made', async (t) => {
    const [one, other] = [await start(t), await start(t)];
    const ticket = await ticketOf(one.url, 'ann');
    assert.deepEqual([await statusOf(one.url, ticket), await statusOf(other.url, ticket)], [200, 200]);
    const strange = await start(t, { auth: { jwt: { secret: TEST_SECRET }, ticketSecret: 'another '.repeat(4) } });
    assert.equal(await statusOf(strange.url, ticket), 401);
  });

  test('a program that ends all sessions of a user voids the tickets, too', async (t) => {
    const { server, url } = await start(t);
    const [ticket, kept] = [await ticketOf(url, 'ann'), await ticketOf(url, 'bob')];
    server.disconnect('ann');
    assert.deepEqual([await statusOf(url, ticket), await statusOf(url, kept)], [401, 200]);
  });
});

test('a stream has no more subscriptions than any other session (SUB-4, LIM-1)', async (t) => {
  const { url } = await start(t, { limits: { subscriptions: 2 } });
  const body = JSON.stringify({ channels: ['news:1', 'news:2', 'news:3'] });
  const response = await fetch(`${url}/v1/events`, { method: 'POST', body });
  let text = '';
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString();
    if (text.includes('\n\n')) break;
  }
  const data = /^data: (.*)$/m.exec(text)?.[1] ?? '{}';
  const { channels } = JSON.parse(data) as { readonly channels: readonly { readonly code?: string }[] };
  assert.deepEqual(
    channels.map(({ code }) => code),
    [undefined, undefined, 'limit_exceeded'],
  );
});

test('a refused signal is told once which channel it was for (SIG-3)', async (t) => {
  const { port } = await start(t);
  const peer = await join(t, port);
  peer.send({ op: 'signal', channel: 'nope:1' }, '{}');
  await t.waitFor(() => assert.ok(peer.frames.some(({ op }) => op === 'error')), DEADLINE);
  const error = peer.frames.find(({ op }) => op === 'error');
  assert.equal(error?.['message'], 'nope:1: there is no namespace "nope" here');
});
