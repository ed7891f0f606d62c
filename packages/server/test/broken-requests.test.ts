import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { limits } from '@tideway/protocol';
import { nodeEnv } from '../src/env.ts';
import { createServer, type LogLine } from '../src/index.ts';
import { createLogger } from '../src/ops/logger.ts';
import { createBrokenRequests } from '../src/server/broken-request.ts';
import { listen } from '../src/server/listener.ts';
import { Pipelines } from '../src/transport/pipelines.ts';
import { DEADLINE } from './peer.ts';
import { answerTo } from './raw-http.ts';

const open = { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone' } as const;
const HEALTH = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n';

async function start(t: TestContext) {
  const lines: LogLine[] = [];
  const logger = (line: LogLine): void => void lines.push(line);
  const server = await createServer({ log: 'memory:', logger, namespaces: { pub: open } });
  t.after(() => server.close({ drainMs: 0 }));
  const { url, port } = await server.listen({ port: 0 });
  return { url, port, lines };
}

/** Everything that comes on a connection until the server has closed it. */
async function untilClosed(port: number, text: string): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => {});
  let got = '';
  socket.on('data', (data) => (got += data.toString('latin1')));
  socket.write(text);
  await once(socket, 'close');
  return got;
}

describe('a target in absolute form (RFC 9112 §3.2.2)', () => {
  const asked = (target: string, host: string): string =>
    `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

  test('is the same as its path', async (t) => {
    const { port } = await start(t);
    assert.equal((await answerTo(port, asked(`http://localhost:${port}/healthz`, 'localhost'))).status, 200);
    const page = await answerTo(port, asked(`HTTP://localhost/v1/records?channel=pub:a`, 'localhost'));
    assert.equal(page.status, 200, page.body);
    assert.equal((await answerTo(port, asked('http://localhost', 'localhost'))).status, 404);
  });

  test('says which host is meant, whatever Host says', async (t) => {
    const { port } = await start(t);
    assert.equal((await answerTo(port, asked('http://evil.example/healthz', 'localhost'))).status, 403);
    assert.equal((await answerTo(port, asked('http://localhost/healthz', 'evil.example'))).status, 200);
  });
});

test('a connection is kept longer than a proxy keeps its own (HTTP-14)', async (t) => {
  const { url } = await start(t);
  const response = await fetch(`${url}/healthz`);
  assert.equal(response.headers.get('keep-alive'), 'timeout=75');
});

describe('a body nobody wants is read to its end, so that whoever sends it first sees the answer (HTTP-2)', () => {
  const bytes = 8 * 1024 * 1024;
  const bodies: readonly (readonly [how: string, header: string, body: Buffer])[] = [
    ['with a length', `Content-Length: ${bytes}`, Buffer.alloc(bytes, ' ')],
    [
      'in chunks',
      'Transfer-Encoding: chunked',
      Buffer.concat([Buffer.from(`${bytes.toString(16)}\r\n`), Buffer.alloc(bytes, ' '), Buffer.from('\r\n0\r\n\r\n')]),
    ],
  ];
  for (const [how, header, body] of bodies) {
    test(how, async (t) => {
      const { port } = await start(t);
      const socket = connectTcp(port, '127.0.0.1');
      const errors: Error[] = [];
      socket.on('error', (error) => errors.push(error));
      let got = '';
      socket.on('data', (data) => (got += data.toString('latin1')));
      socket.write(`POST /v1/records?channel=pub:a HTTP/1.1\r\nHost: localhost\r\n${header}\r\n\r\n`);
      socket.write(body);
      await once(socket, 'close');
      assert.deepEqual(errors, []);
      assert.match(got, /^HTTP\/1\.1 413 [^]*Connection: close[^]*"code":"too_large"/i);
    });
  }
});

describe('what is no HTTP/1.1 request (HTTP-2)', () => {
  const cases: readonly (readonly [what: string, text: string, status: number, code: string])[] = [
    ['no HTTP', 'hello\r\n\r\n', 400, 'bad_frame'],
    ['a header line without a colon', 'GET / HTTP/1.1\r\nHost localhost\r\n\r\n', 400, 'bad_frame'],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', 400, 'bad_frame'],
    ['two Hosts', HEALTH.replace('Host: localhost', 'Host: localhost\r\nHost: localhost'), 400, 'bad_frame'],
    [
      'a header that is too long',
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`,
      431,
      'too_large',
    ],
    [
      'a body with two lengths',
      'POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'bad_frame',
    ],
    [
      'a chunk without a length',
      'POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      400,
      'bad_frame',
    ],
    ['another expectation', HEALTH.replace('\r\n\r\n', '\r\nExpect: foo\r\n\r\n'), 417, 'bad_frame'],
  ];
  for (const [what, text, status, code] of cases) {
    test(`${what} is answered ${status} in JSON, and the connection ends`, async (t) => {
      const { port, lines } = await start(t);
      const answer = await answerTo(port, text);
      assert.equal(answer.status, status, answer.headers);
      assert.match(answer.headers, /\r\nContent-Type: application\/json; charset=utf-8\r\n/);
      const { error } = JSON.parse(answer.body) as { error: { code: string; message: string; ref: string } };
      assert.equal(error.code, code);
      assert.ok(error.message.length > 10);
      assert.ok(lines.some(({ ref }) => ref === error.ref));
      assert.match(answer.headers, /\r\nConnection: close\r\n/);
    });
  }

  test('waits for the answers to the requests in front of it, and is not taken for one of them', async (t) => {
    const { port, url } = await start(t);
    const append = 'POST /v1/records?channel=pub:a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1';
    const got = await untilClosed(port, `${append}${HEALTH}nonsense\r\n\r\n`);
    assert.deepEqual(
      [...got.matchAll(/HTTP\/1\.1 (\d\d\d)/g)].map((match) => match[1]),
      ['201', '200', '400'],
    );
    // Behind a stream nothing can be said: it ends.
    const stream = 'GET /v1/events?channel=pub:a HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const streamed = await untilClosed(port, `${stream}nonsense\r\n\r\n`);
    assert.equal([...streamed.matchAll(/HTTP\/1\.1/g)].length <= 1, true, streamed);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
  });
});

test('a header or a body that does not come in time ends soon behind its limit, with 408 in JSON', async (t) => {
  const lines: LogLine[] = [];
  const logger = createLogger({ env: nodeEnv, write: (line) => void lines.push(line) });
  const pipelines = new Pipelines();
  const refer = (): string => 'r_test';
  const listener = await listen({
    front: {
      serves: () => true,
      handle: (request, response) => pipelines.begin(request, response, () => void request.resume()),
      upgrade: () => assert.fail('nobody asks for it'),
      unexpected: () => assert.fail('nobody expects it'),
      broken: createBrokenRequests({ env: nodeEnv, pipelines, refer }),
    },
    fallback: undefined,
    host: '127.0.0.1',
    port: 0,
    tls: undefined,
    env: nodeEnv,
    logger,
    onRefused: () => {},
    patience: { headerMs: 50, requestMs: 100, checkMs: 10 },
  });
  t.after(() => listener.close());
  for (const text of ['', 'GET /v1/ws HTT', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{']) {
    const got = await untilClosed(listener.port, text);
    assert.match(got, /^HTTP\/1\.1 408 Request Timeout\r\nConnection: close\r\n/, text);
    assert.match(got, /\{"error":\{"code":"bad_frame","message":"[^"]+","ref":"r_test"\}\}$/);
  }
});

test('a body that is over the limit for headers is none of theirs', async (t) => {
  const { port } = await start(t);
  const body = `"${'x'.repeat(limits.httpHeaderBytes * 2)}"`;
  const head = `POST /v1/records?channel=pub:a HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`;
  await t.waitFor(async () => assert.equal((await answerTo(port, head + body)).status, 201), DEADLINE);
});
