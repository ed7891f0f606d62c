import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, mkdtempDisposable, readFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import type { IncomingMessage } from 'node:http';
import { Agent, get } from 'node:https';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { test, type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { createDevCertificate } from '../src/auth/dev-certificate.ts';
import { createHeldEnv } from '../src/auth/testing/held-env.ts';
import { TLS_CHECK_MS } from '../src/auth/tls.ts';
import { createServer, type LogLine } from '../src/index.ts';
import { DEADLINE } from './peer.ts';

async function start(t: TestContext) {
  const folder = await mkdtempDisposable(joinPath(tmpdir(), 'tideway-wss-'));
  const env = createHeldEnv(Date.now());
  const files = await createDevCertificate(joinPath(folder.path, 'in-use'), env);
  const lines: LogLine[] = [];
  const server = await createServer({
    log: 'memory:',
    env,
    tls: files,
    logger: (line) => void lines.push(line),
    namespaces: { chat: { subscribe: 'anyone', append: 'anyone', history: 'anyone' } },
  });
  const { url, port } = await server.listen({ port: 0 });
  t.after(async () => {
    const closed = server.close({ drainMs: 0 });
    await t.waitFor(async () => {
      env.advance(1_000);
      assert.equal(
        await Promise.race([closed.then(() => 'closed'), new Promise((resolve) => setImmediate(resolve, 'closing'))]),
        'closed',
      );
    }, DEADLINE);
    await folder.remove();
  });
  return { env, files, folder: folder.path, lines, url, port, ca: await readFile(files.cert, 'utf8') };
}

async function open(port: number, ca: string): Promise<WebSocket> {
  const socket = new WebSocket(`wss://localhost:${port}/v1/ws`, ['tideway.v1'], { ca });
  await once(socket, 'open');
  return socket;
}

async function hello(socket: WebSocket, id: number): Promise<string> {
  socket.send(JSON.stringify({ op: 'hello', id, instance: 'i' }));
  const [data] = (await once(socket, 'message')) as [Buffer];
  return data.toString('utf8');
}

test('over TLS a server speaks wss, HTTP/1.1 and HTTP/2 on one port', async (t) => {
  const { url, port, ca } = await start(t);
  assert.match(url, /^https:/);
  const socket = await open(port, ca);
  assert.match(await hello(socket, 1), /"op":"ok"/);
  socket.terminate();

  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const [answer] = (await once(get(`${url}/readyz`, { ca, agent }), 'response')) as [IncomingMessage];
  answer.resume();
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.headers['keep-alive'], 'timeout=75');

  const session = connectHttp2(`https://localhost:${port}`, { ca });
  t.after(() => session.destroy());
  const append = session.request({
    ':method': 'POST',
    ':path': '/v1/records?channel=chat:42',
    origin: `https://localhost:${port}`,
  });
  append.end('{"over":"HTTP/2"}');
  const [headers] = (await once(append, 'response')) as [Record<string, unknown>];
  append.resume();
  assert.equal(headers[':status'], 201);
  const foreign = session.request({
    ':method': 'POST',
    ':path': '/v1/records?channel=chat:42',
    origin: 'https://evil.example',
  });
  foreign.end('{}');
  const [refused] = (await once(foreign, 'response')) as [Record<string, unknown>];
  foreign.resume();
  assert.equal(refused[':status'], 403);
  session.close();
});

test('a certificate that changes serves whoever comes next, and drops nobody', async (t) => {
  const { env, files, folder, lines, port, ca } = await start(t);
  const before = await open(port, ca);
  const next = await createDevCertificate(joinPath(folder, 'next'), env);
  await copyFile(next.cert, files.cert);
  await copyFile(next.key, files.key);
  env.advance(TLS_CHECK_MS);
  await t.waitFor(() => assert.equal(lines.filter(({ event }) => event === 'tls.loaded').length, 2), DEADLINE);
  const after = await open(port, await readFile(next.cert, 'utf8'));
  assert.match(await hello(after, 1), /"op":"ok"/);
  assert.match(await hello(before, 1), /"op":"ok"/);
  await assert.rejects(open(port, ca), /self-signed certificate|unable to verify/);
  for (const socket of [before, after]) socket.terminate();
});
