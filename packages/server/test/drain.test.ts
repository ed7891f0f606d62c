import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants, connect as connectHttp2 } from 'node:http2';
import { test, type TestContext } from 'node:test';
import { generate } from 'selfsigned';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import type { LogLine, Server, ServerOptions } from '../src/index.ts';
import { createNode } from '../src/server.ts';
import { Switchboard } from '../src/server/workers/switchboard.ts';
import { DEADLINE, join, Peer } from './peer.ts';
import { answerTo } from './raw-http.ts';

const LONG_MS = 60_000;

interface Node {
  readonly server: Server;
  readonly url: string;
  readonly port: number;
  readonly lines: readonly LogLine[];
}

/** Nodes that know of each other. */
async function startNodes(t: TestContext, count: number, options: ServerOptions = {}): Promise<readonly Node[]> {
  const signals = new Switchboard();
  const nodes = [];
  for (let n = 0; n < count; n++) {
    const lines: LogLine[] = [];
    const all: ServerOptions = {
      log: 'memory:',
      noticeMs: 0,
      logger: (line) => void lines.push(line),
      namespaces: { chat: { subscribe: 'anyone', append: 'anyone', history: 'anyone' } },
      ...options,
    };
    const { server } = await createNode(all, { signals });
    t.after(() => server.close({ drainMs: 0 }));
    nodes.push({ server, lines, ...(await server.listen({ port: 0 })) });
  }
  for (const { lines } of nodes)
    await t.waitFor(() => {
      assert.equal(lines.filter(({ event }) => event === 'node.joined').length, count - 1);
    }, DEADLINE);
  return nodes;
}

/** An event stream that keeps what it receives. */
class Stream {
  text = '';
  /** Resolves when it is over, by whichever side. */
  readonly ended: Promise<void>;
  readonly #abort: AbortController;

  constructor(response: Response, abort: AbortController) {
    this.#abort = abort;
    this.ended = this.#read(response).catch(() => undefined);
  }

  stop(): void {
    this.#abort.abort();
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) this.text += decoder.decode(chunk, { stream: true });
  }
}

async function follow({ url }: Node, method: 'GET' | 'POST' = 'GET', place?: string): Promise<Stream> {
  const abort = new AbortController();
  const headers: Record<string, string> = place === undefined ? {} : { 'Last-Event-ID': place };
  const asked = method === 'GET' ? {} : { method, body: JSON.stringify({ channel: 'chat:1' }) };
  const response = await fetch(`${url}/v1/events?channel=chat:1`, {
    ...asked,
    headers,
    signal: abort.signal,
  });
  assert.equal(response.status, 200);
  return new Stream(response, abort);
}

/** Waits until clients were told to move. */
async function told(t: TestContext, { lines }: Node): Promise<void> {
  const isTold = ({ event, message }: LogLine): boolean =>
    event === 'drain.step' && message === 'sessions told to move';
  await t.waitFor(() => assert.ok(lines.some(isTold)), DEADLINE);
}

/** How many streams and connections were still there at the end of the drain. */
function leftOver({ lines }: Node): string | undefined {
  return lines.findLast(({ event }) => event === 'drain.step')?.message;
}

test('streams of GET end one after the other, where there is another node; one of POST at the end (SSE-8)', async (t) => {
  const [node] = await startNodes(t, 2);
  assert.ok(node !== undefined);
  const streams = [await follow(node, 'POST')];
  for (let n = 0; n < 4; n++) streams.push(await follow(node));
  const order: number[] = [];
  for (const [n, { ended }] of streams.entries()) void ended.then(() => order.push(n));
  const closed = node.server.close({ drainMs: 1_000 });
  await Promise.all(streams.map(({ ended }) => ended));
  for (const { text } of streams) {
    const [, retry] = /\nevent: drain\nretry: (\d+)\ndata: \{"withinMs":1000\}\n\n/.exec(text) ?? [];
    assert.ok(Number(retry) >= 250 && Number(retry) <= 500, text);
    assert.match(text, /\nevent: error\ndata: \{"code":"going_away",.*\}\n\n$/);
  }
  assert.deepEqual(order, [1, 2, 3, 4, 0]);
  await closed;
  assert.equal(leftOver(node), 'sessions that ended by themselves; closed besides: 1');
});

test('what a drain has told an EventSource is taken back by the stream that it comes back to (SSE-8)', async (t) => {
  const [node] = await startNodes(t, 1);
  assert.ok(node !== undefined);
  const first = await follow(node);
  await t.waitFor(() => assert.match(first.text, /^event: ready\nid: /), DEADLINE);
  const [, place] = /\nid: (.*)\n/.exec(first.text) ?? [];
  const again = await follow(node, 'GET', place);
  await t.waitFor(() => assert.match(again.text, /^retry: 3000\nevent: ready\nid: .*\n/), DEADLINE);
});

test('where there is no other node streams stay until the end of the drain (SSE-8)', async (t) => {
  const [node, other] = await startNodes(t, 2);
  assert.ok(node !== undefined && other !== undefined);
  const streams = [await follow(node), await follow(node)];
  await other.server.close({ drainMs: 0 });
  await t.waitFor(() => assert.ok(node.lines.some(({ event }) => event === 'node.left')), DEADLINE);
  await node.server.close({ drainMs: 300 });
  for (const { ended } of streams) await ended;
  assert.equal(leftOver(node), 'sessions that ended by themselves; closed besides: 2');
});

test('a stopping node is noticed before it tells its clients, while there is another one (HTTP-11)', async (t) => {
  const [node, other] = await startNodes(t, 2, { noticeMs: LONG_MS });
  assert.ok(node !== undefined && other !== undefined);
  const peer = await join(t, node.port);
  const closed = node.server.close({ drainMs: LONG_MS });
  const readyz = await fetch(`${node.url}/readyz`);
  assert.equal(readyz.status, 503);
  assert.equal(readyz.headers.get('connection'), 'keep-alive');
  assert.equal(((await readyz.json()) as { status: string }).status, 'draining');
  // Whoever has not heard of it yet is taken as ever.
  const late = await join(t, node.port);
  const stream = await follow(node);
  assert.equal(peer.frames.filter(({ op }) => op === 'drain').length, 0);
  // To its peers it is one that has gone: they do not count on it for their own clients.
  await t.waitFor(() => assert.ok(other.lines.some(({ event }) => event === 'node.left')), DEADLINE);

  await other.server.close({ drainMs: 0 });
  await told(t, node);
  for (const { frames } of [peer, late])
    await t.waitFor(() => assert.ok(frames.some(({ op }) => op === 'drain')), DEADLINE);
  peer.socket.terminate();
  late.socket.terminate();
  stream.stop();
  await closed;
});

test('a node that has said drain sends everybody elsewhere who is new (SSE-9, HTTP-11, HTTP-13)', async (t) => {
  const [node] = await startNodes(t, 2);
  assert.ok(node !== undefined);
  const { url, port } = node;
  const peer = await join(t, port);
  const closed = node.server.close({ drainMs: LONG_MS });
  await told(t, node);

  const host = `Host: 127.0.0.1:${port}\r\n`;
  for (const request of [
    `GET /v1/events?channel=chat:1 HTTP/1.1\r\n${host}\r\n`,
    `POST /v1/events HTTP/1.1\r\n${host}Content-Length: 20\r\n\r\n{"channel":"chat:1"}`,
  ]) {
    assert.equal((await answerTo(port, request)).headers, '', 'no answer at all');
  }

  const session = await answerTo(port, `GET /v1/session HTTP/1.1\r\n${host}\r\n`);
  assert.equal(session.status, 503);
  assert.match(session.headers, /\r\nRetry-After: 1\r\n/);
  assert.match(session.headers, /\r\nConnection: close$/);
  assert.equal((JSON.parse(session.body) as { error: { code: string } }).error.code, 'going_away');

  const page = await fetch(`${url}/v1/records?channel=chat:1`);
  assert.deepEqual([page.status, page.headers.get('connection')], [200, 'close']);
  const append = await fetch(`${url}/v1/records?channel=chat:1`, { method: 'POST', body: '1' });
  assert.equal(append.status, 201);

  const refused = new Peer(port);
  const [, answer] = (await once(refused.socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  assert.equal(answer.statusCode, 503);
  refused.socket.terminate();
  peer.socket.terminate();
  await closed;
});

test('over HTTP/2 streams go on behind a GOAWAY, and new ones are refused (SSE-9)', async (t) => {
  const folder = await mkdtemp(joinPath(tmpdir(), 'tideway-drain-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const { cert: text, private: secret } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
  });
  const [cert, key] = [joinPath(folder, 'cert.pem'), joinPath(folder, 'key.pem')];
  await writeFile(cert, text);
  await writeFile(key, secret);
  const [node] = await startNodes(t, 2, { tls: { cert, key } });
  assert.ok(node !== undefined);
  const { port } = node;
  const connect = async () => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    t.after(() => session.destroy());
    session.on('error', () => {});
    await once(session, 'connect');
    return session;
  };
  const openStream = (session: Awaited<ReturnType<typeof connect>>) => {
    const stream = session.request({ ':path': '/v1/events', ':method': 'POST' });
    stream.on('error', () => {});
    stream.end('{"channel":"chat:1"}');
    return stream;
  };
  const [following, idle] = [await connect(), await connect()];
  const stream = openStream(following);
  await once(stream, 'response');
  const gone = once(following, 'goaway');
  const closed = node.server.close({ drainMs: LONG_MS });
  await gone;

  const refused = openStream(idle);
  await new Promise((resolve) => void refused.once('close', resolve));
  assert.equal(refused.rstCode, constants.NGHTTP2_REFUSED_STREAM);
  assert.ok(idle.closed);
  // The stream that was there is not concerned.
  let got = '';
  stream.on('data', (chunk: Buffer) => (got += chunk.toString()));
  await node.server.channel('chat:1').append('behind the GOAWAY');
  await t.waitFor(() => assert.match(got, /behind the GOAWAY/), DEADLINE);
  stream.close();
  await closed;
});
