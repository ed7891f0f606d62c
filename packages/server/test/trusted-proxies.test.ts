import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { test, type TestContext } from 'node:test';
import { createServer, type LogLine } from '../src/index.ts';
import { DEADLINE, join, Peer } from './peer.ts';

const CLIENT = '203.0.113.9';

/** What a proxy that ends TLS for chat.example says of a page's request. */
const behindProxy = {
  host: 'tideway:7400',
  origin: 'https://chat.example',
  'x-forwarded-for': CLIENT,
  'x-forwarded-host': 'chat.example',
  'x-forwarded-proto': 'https',
};

async function start(t: TestContext, trustedProxies: readonly string[]) {
  const lines: LogLine[] = [];
  const asked: (string | undefined)[] = [];
  const server = await createServer({
    log: 'memory:',
    hosts: ['chat.example'],
    trustedProxies,
    logLevel: 'debug',
    logger: (line) => void lines.push(line),
    auth: { session: ({ remoteAddress }) => void asked.push(remoteAddress) },
    namespaces: { news: { subscribe: 'anyone', history: 'anyone' } },
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { port } = await server.listen({ port: 0 });
  return { port, lines, asked };
}

async function status(port: number, path: string, headers: Record<string, string>): Promise<number> {
  const request = httpRequest({ port, host: '127.0.0.1', path, headers, agent: false }).end();
  const [response] = (await once(request, 'response')) as [{ statusCode: number; destroy(): void }];
  response.destroy();
  return response.statusCode;
}

async function handshake(t: TestContext, port: number, headers: Record<string, string>): Promise<boolean> {
  const { socket } = new Peer(port, headers);
  t.after(() => socket.terminate());
  const [event] = await Promise.race([
    once(socket, 'open').then(() => ['open']),
    once(socket, 'unexpected-response').then(() => ['refused']),
  ]);
  return event === 'open';
}

test('behind a trusted proxy that ends TLS a page of the public name gets in, and another does not', async (t) => {
  const { port } = await start(t, ['127.0.0.0/8']);
  const page = '/v1/records?channel=news:1';
  assert.equal(await handshake(t, port, behindProxy), true);
  assert.equal(await status(port, page, behindProxy), 200);
  for (const wrong of [
    { origin: 'https://evil.example' },
    // The client used TLS, so this page came from somewhere else.
    { origin: 'http://chat.example' },
    { 'x-forwarded-host': 'evil.example', origin: 'https://evil.example' },
    { 'x-forwarded-host': 'not a name' },
  ]) {
    const headers = { ...behindProxy, ...wrong };
    assert.equal(await handshake(t, port, headers), false, JSON.stringify(wrong));
    assert.equal(await status(port, page, headers), 403, JSON.stringify(wrong));
  }
});

test('the headers of anybody else pass no check of name or origin, on any transport', async (t) => {
  for (const trusted of [[], ['10.0.0.0/8', '::1']]) {
    const { port } = await start(t, trusted);
    const attempts = [
      // Another name, made to look like ours (DNS rebinding).
      { ...behindProxy, host: 'evil.example', origin: 'https://evil.example' },
      { ...behindProxy, host: 'evil.example' },
      // Our name, and a page that says it was reached under its own.
      { ...behindProxy, host: 'chat.example', origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' },
      { host: 'chat.example', origin: 'https://evil.example', forwarded: 'host=evil.example;proto=https' },
    ];
    for (const headers of attempts) {
      assert.equal(await handshake(t, port, headers), false, JSON.stringify(headers));
      for (const path of ['/v1/records?channel=news:1', '/v1/events?channel=news:1', '/v1/session'])
        assert.equal(await status(port, path, headers), 403, `${path} ${JSON.stringify(headers)}`);
    }
    assert.equal(await status(port, '/readyz', { ...behindProxy, host: 'evil.example' }), 403);
  }
});

for (const [trusted, address] of [
  [['127.0.0.1'], CLIENT],
  [[], '127.0.0.1'],
] as const) {
  test(`the log and the session hook are told ${address} where ${trusted[0] ?? 'nobody'} is trusted`, async (t) => {
    const { port, lines, asked } = await start(t, trusted);
    const headers = { ...behindProxy, host: 'chat.example' };
    await join(t, port, undefined, headers);
    assert.equal(await status(port, '/v1/events?channel=news:1', headers), 200);
    assert.equal(await status(port, '/v1/records?channel=nope:1', headers), 404);
    assert.equal(await handshake(t, port, { ...headers, origin: 'https://evil.example' }), false);
    await t.waitFor(() => assert.equal(lines.filter(({ event }) => event === 'session.opened').length, 2), DEADLINE);
    const told = lines.filter(({ event }) => /^(?:session\.opened|(?:session|request)\.refused)$/.test(event));
    assert.equal(told.length, 4, JSON.stringify(told));
    for (const line of told) assert.equal(line.remoteAddress, address, JSON.stringify(line));
    assert.deepEqual(asked, [address, address, address]);
  });
}
