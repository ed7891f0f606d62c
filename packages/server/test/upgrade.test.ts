import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { createServer, type ServerOptions } from '../src/index.ts';
import { join } from './peer.ts';
import { answerTo } from './raw-http.ts';

const open = { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone' } as const;

async function start(t: TestContext, options: ServerOptions = {}) {
  const server = await createServer({ log: 'memory:', logger: () => {}, namespaces: { pub: open }, ...options });
  t.after(() => server.close({ drainMs: 0 }));
  return server;
}

function h2c(method: string, path: string, body = ''): string {
  return [
    `${method} ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
    ...(body === '' ? [] : [`Content-Length: ${body.length}`]),
    '',
    body,
  ].join('\r\n');
}

const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';

function handshake(lines: readonly string[], method = 'GET'): string {
  const head = [`${method} /v1/ws HTTP/1.1`, 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket'];
  return [...head, ...lines, '', ''].join('\r\n');
}

describe('an upgrade to something else than WebSocket', () => {
  test('is ignored, and the request answered as any other (RFC 9110 §7.8)', async (t) => {
    const { port } = await (await start(t)).listen({ port: 0 });
    const stored = await answerTo(port, h2c('POST', '/v1/records?channel=pub:a', '{"n":1}'));
    assert.equal(stored.status, 201, stored.body);
    const page = await answerTo(port, h2c('GET', '/v1/records?channel=pub:a'));
    assert.match(page.body, /"data":\{"n":1\}/);
    assert.equal((await answerTo(port, h2c('GET', '/healthz'))).status, 200);
    const nothing = await answerTo(port, h2c('GET', '/nothing'));
    assert.equal(nothing.status, 404);
    assert.match(nothing.body, /"code":"not_found"/);
    assert.equal((await answerTo(port, h2c('GET', '/v1/ws'))).status, 400);
    await join(t, port);
  });

  test('ends its connection with the answer: no body behind it is taken for a request', async (t) => {
    const { port } = await (await start(t)).listen({ port: 0 });
    const hidden =
      'POST /v1/records?channel=pub:a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1';
    const bytes = [
      'POST /v1/records?channel=pub:a HTTP/1.1',
      'Host: localhost',
      `Content-Length: ${hidden.length}`,
      '',
      '',
    ];
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    // The head of the second request comes in one piece with the first, its body in the next.
    socket.write(h2c('GET', '/healthz') + bytes.join('\r\n'));
    let got = '';
    for await (const chunk of socket) {
      got += String(chunk);
      socket.write(hidden);
    }
    assert.equal(got.match(/HTTP\/1\.1 \d+/g)?.join(), 'HTTP/1.1 200', got);
    assert.match(got, /\r\nConnection: close\r\n/);
    assert.match((await answerTo(port, h2c('GET', '/v1/records?channel=pub:a'))).body, /"records":\[\]/);
  });

  test('takes no handshake in front of its answer', async (t) => {
    const { port } = await (await start(t)).listen({ port: 0 });
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    // A stream has no end; what comes next, a body for whoever wrote the first request, would be a session.
    socket.write(h2c('GET', '/v1/events?channel=pub:a'));
    let got = '';
    for await (const chunk of socket) {
      if (got === '') socket.write(handshake(['Sec-WebSocket-Version: 13', KEY, 'Sec-WebSocket-Protocol: tideway.v1']));
      got += String(chunk);
    }
    assert.equal(got.match(/HTTP\/1\.1 \d+/g)?.join(), 'HTTP/1.1 200', got);
  });

  test('is ignored on a server of the application, too', async (t) => {
    const web = await listening(t, (_request, response) => response.end('the application'));
    (await start(t)).attach(web.server);
    assert.equal((await answerTo(web.port, h2c('POST', '/v1/records?channel=pub:a', '{"n":1}'))).status, 201);
    assert.equal((await answerTo(web.port, h2c('GET', '/page'))).body, 'the application');
    await join(t, web.port);
  });

  test("leaves an application its own upgrades, and Tideway's paths work beside them", async (t) => {
    const web = await listening(t, (_request, response) => response.end('the application'));
    const sockets = new WebSocketServer({ noServer: true });
    const upgraded: string[] = [];
    web.server.on('upgrade', (request, socket, head) => {
      upgraded.push(`${request.headers.upgrade} ${request.url}`);
      if (request.url === '/own') sockets.handleUpgrade(request, socket, head, (one) => one.send('the application'));
      else if (request.url !== '/v1/ws') socket.end('HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n');
    });
    (await start(t)).attach(web.server);
    const own = new WebSocket(`ws://127.0.0.1:${web.port}/own`);
    t.after(() => own.terminate());
    assert.equal(String((await once(own, 'message'))[0]), 'the application');
    assert.equal((await answerTo(web.port, h2c('GET', '/v1/records?channel=pub:a'))).status, 200);
    assert.equal((await answerTo(web.port, h2c('GET', '/page'))).status, 101, 'as before');
    await join(t, web.port);
    assert.deepEqual(upgraded, ['websocket /own', 'h2c /page', 'websocket /v1/ws']);
  });

  test('is as before once Tideway has let go of the server', async (t) => {
    const web = await listening(t, (_request, response) => response.end('the application'));
    const before = web.server.listenerCount('upgrade');
    const server = await start(t);
    server.attach(web.server);
    await server.close({ drainMs: 0 });
    assert.equal(web.server.listenerCount('upgrade'), before);
    assert.equal((await answerTo(web.port, h2c('GET', '/v1/records'))).body, 'the application');
  });
});

test('a handshake that is refused gets its status and JSON (WS-1, HTTP-2)', async (t) => {
  const { port } = await (await start(t)).listen({ port: 0 });
  const protocol = 'Sec-WebSocket-Protocol: tideway.v1';
  const version = 'Sec-WebSocket-Version: 13';
  const cases: readonly (readonly [string, number, string])[] = [
    [handshake([KEY, protocol]), 426, 'bad_frame'],
    [handshake([KEY, protocol, 'Sec-WebSocket-Version: 8']), 426, 'bad_frame'],
    [handshake([KEY, protocol, 'Sec-WebSocket-Version: 99']), 426, 'bad_frame'],
    [handshake([protocol, version]), 400, 'bad_frame'],
    [handshake([protocol, version, 'Sec-WebSocket-Key: short']), 400, 'bad_frame'],
    [handshake([KEY, version]), 400, 'bad_frame'],
    [handshake([KEY, version, `${protocol}, tideway.v1`]), 400, 'bad_frame'],
    [handshake([KEY, version, `${protocol}, a b`]), 400, 'bad_frame'],
    [handshake([KEY, version, protocol], 'POST'), 405, 'method_not_allowed'],
    [handshake([KEY, version, protocol]).replace('/v1/ws', '/v1/wss'), 404, 'not_found'],
    [handshake([KEY, version, protocol]).replace('/v1/ws', '/healthz'), 404, 'not_found'],
    [handshake([KEY, version, protocol, 'Host: localhost']), 400, 'bad_frame'],
    [`${handshake([KEY, version, protocol, 'Content-Length: 5'])}hello`, 400, 'bad_frame'],
    // HTTP/1.0 knows no upgrade (RFC 9110 §7.8).
    [handshake([KEY, version, protocol, 'Connection: close']).replace('HTTP/1.1', 'HTTP/1.0'), 400, 'bad_frame'],
  ];
  for (const [text, status, code] of cases) {
    const answer = await answerTo(port, text);
    assert.equal(answer.status, status, text);
    const { error } = JSON.parse(answer.body) as { error: Record<string, unknown> };
    assert.equal(error['code'], code, text);
    assert.equal(typeof error['ref'], 'string');
    assert.match(answer.headers, /\r\nContent-Type: application\/json; charset=utf-8\r\n/);
    if (status === 426) assert.match(answer.headers, /\r\nSec-WebSocket-Version: 13(\r\n|$)/);
  }
});

test('a node without room says when to come again (HTTP-2, COD-2)', async (t) => {
  const { port } = await (await start(t, { limits: { sessions: 1 } })).listen({ port: 0 });
  const whole = handshake([KEY, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Protocol: tideway.v1']);
  const { status, headers, body } = await answerTo(port, whole);
  assert.equal(status, 503);
  assert.match(headers, /\r\nRetry-After: 1(\r\n|$)/);
  assert.match(body, /"code":"overloaded".*"retryMs":1000/);
});

async function listening(
  t: TestContext,
  answer: Parameters<typeof createHttpServer>[1] & {},
): Promise<{ server: HttpServer; port: number }> {
  const server = createHttpServer(answer as never);
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}
