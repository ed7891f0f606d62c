/** The C generators against small servers: what they count, what they notice, how they fail. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { WebSocketServer, type WebSocket } from 'ws';
import { requireService } from '../scripts/services.ts';
import { Appender } from './appender.ts';
import { missingCompiler } from './floors/compile.ts';
import { Receiver, type Dialect } from './receiver.ts';

const compiler = missingCompiler() === undefined ? 'gcc' : undefined;

interface Server {
  readonly port: number;
  readonly clients: ReadonlySet<WebSocket>;
  readonly heard: readonly string[];
  /** Resolves when that many have connected. */
  connected(count: number): Promise<void>;
  sendAll(text: string): void;
}

async function startServer(t: TestContext, onMessage: (text: string, from: WebSocket) => void): Promise<Server> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  t.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  const heard: string[] = [];
  server.on('connection', (webSocket) => {
    webSocket.on('message', (data: Buffer) => {
      heard.push(data.toString());
      onMessage(data.toString(), webSocket);
    });
  });
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    clients: server.clients,
    heard,
    async connected(count) {
      while (server.clients.size < count) await once(server, 'connection');
    },
    sendAll(text) {
      for (const client of server.clients) client.send(text);
    },
  };
}

function newReceiver(t: TestContext, port: number, dialect: Dialect, connections = 20): Receiver {
  const receiver = new Receiver({ port, connections, dialect });
  t.after(() => receiver.stop());
  return receiver;
}

const dialect: Dialect = {
  path: '/',
  scripts: [
    ['{"op":"hello","who":0}', '{"op":"subscribe"}'],
    ['{"op":"hello","who":1}', '{"op":"subscribe"}'],
  ],
  ready: { prefix: '{"op":"ok"', count: 2 },
  countPrefix: '{"op":"record"',
  ping: { prefix: '{"op":"ping"', pong: '{"op":"pong"}' },
  failPrefix: '{"op":"error"',
};

const answerOk = (_: string, from: WebSocket): void => from.send('{"op":"ok"}');

function record(n: number, bytes: number, at = process.hrtime.bigint()): string {
  const text = `{"op":"record"}\n{"n":${1_000_000_000 + n},"at":"${String(at).padStart(19, '0')}","pad":"`;
  return `${text.padEnd(bytes - 2, 'x')}"}`;
}

test('twenty connections say their scripts in turn and count what they get, byte by byte', async (t) => {
  if (!requireService(t, 'gcc', compiler)) return;
  const server = await startServer(t, answerOk);
  const receiver = newReceiver(t, server.port, dialect);
  assert.equal((await receiver.ready()).connections, 20);
  assert.equal(server.heard.filter((text) => text === '{"op":"hello","who":1}').length, 10);

  await receiver.reset();
  // Below and above what one read takes, and each of the three forms of a frame's length.
  const sizes = [100, 300, 70_000, 600_000];
  for (const [i, bytes] of sizes.entries()) server.sendAll(record(i + 1, bytes));
  server.sendAll('{"op":"something else"}');
  const got = await receiver.until(20 * sizes.length);
  assert.equal(got.least, sizes.length);
  assert.equal(got.most, sizes.length);
  assert.equal(got.bytes, 20 * sizes.reduce((sum, bytes) => sum + bytes, 0));
  assert.equal(got.lost, 0);
  assert.equal(got.repeated, 0);
  // One connection in fifty is read closely: the first.
  assert.equal(got.latencyMs?.count, sizes.length);
});

test('lost and repeated records are noticed', async (t) => {
  if (!requireService(t, 'gcc', compiler)) return;
  const server = await startServer(t, answerOk);
  const receiver = newReceiver(t, server.port, dialect, 1);
  await receiver.ready();
  for (const n of [1, 2, 5, 5, 6]) server.sendAll(record(n, 200));
  const got = await receiver.until(5);
  assert.equal(got.lost, 2);
  assert.equal(got.repeated, 1);
});

test('pings of both kinds are answered', async (t) => {
  if (!requireService(t, 'gcc', compiler)) return;
  const server = await startServer(t, answerOk);
  const receiver = newReceiver(t, server.port, dialect, 1);
  await receiver.ready();
  const [client] = server.clients;
  client!.ping('are you there');
  const [body] = await once(client!, 'pong');
  assert.equal(String(body), 'are you there');
  client!.send('{"op":"ping"}');
  await once(client!, 'message');
  assert.equal(server.heard.at(-1), '{"op":"pong"}');
});

test('a script waits for the greeting of a server that speaks first', async (t) => {
  if (!requireService(t, 'gcc', compiler)) return;
  const server = await startServer(t, (_, from) => from.send('40{"sid":"x"}'));
  const receiver = newReceiver(t, server.port, {
    path: '/',
    waitForGreeting: true,
    scripts: [['40']],
    ready: { prefix: '40', count: 1 },
    countPrefix: '42',
  });
  await server.connected(20);
  assert.deepEqual(server.heard, []);
  server.sendAll('0{"sid":"y"}');
  await receiver.ready();
  assert.equal(server.heard.length, 20);
});

test('an error frame, a refused upgrade and a cut connection each fail with their reason', async (t) => {
  if (!requireService(t, 'gcc', compiler)) return;
  const refusing = await startServer(t, (_, from) => from.send('{"op":"error","code":"forbidden"}'));
  await assert.rejects(newReceiver(t, refusing.port, dialect).ready(), /the server said .*forbidden/);

  const elsewhere = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/other' });
  t.after(() => elsewhere.close());
  await once(elsewhere, 'listening');
  const port = (elsewhere.address() as AddressInfo).port;
  await assert.rejects(newReceiver(t, port, dialect).ready(), /the upgrade was refused: HTTP\/1.1 400/);

  const server = await startServer(t, answerOk);
  const receiver = newReceiver(t, server.port, dialect);
  await receiver.ready();
  const waiting = receiver.until(1);
  for (const client of server.clients) client.close(4_000);
  await assert.rejects(waiting, /the server closed a connection with 4000/);
});

function answerAppend(text: string, from: WebSocket): void {
  const { id } = JSON.parse(text.split('\n')[0]!) as { id: number };
  from.send(`{"op":"ok","id":${id},"cursor":"place-${text.length}-${id}"}`);
}

function newAppenderOf(
  t: TestContext,
  port: number,
  more: Partial<ConstructorParameters<typeof Appender>[0]>,
): Appender {
  const base = { port, path: '/', channel: 'bench:a-', payloadBytes: 200, pace: { window: 4 } };
  const appender = new Appender({ ...base, ...more });
  t.after(() => appender.stop());
  return appender;
}

test('an appender spreads its records over channels in turn, with payloads of the size asked for', async (t) => {
  if (!requireService(t, 'gcc', compiler)) return;
  const server = await startServer(t, answerAppend);
  const appender = newAppenderOf(t, server.port, { connections: 2, channels: 6, records: 60 });
  await appender.ready();
  appender.go();
  const done = await appender.done();
  assert.equal(done.acked, 60);
  assert.equal(done.unanswered, 0);
  const frames = server.heard.map((text) => text.split('\n') as [string, string]);
  const headers = frames.map(([header]) => JSON.parse(header) as { channel: string; rid: string });
  for (let channel = 0; channel < 6; channel++) {
    const own = frames.filter((_, i) => headers[i]!.channel === `bench:a-${channel}`);
    const numbers = own.map(([, payload]) => (JSON.parse(payload) as { n: number }).n - 1_000_000_000);
    assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  }
  assert.ok(frames.every(([, payload]) => Buffer.byteLength(payload) === 200));
  assert.equal(new Set(headers.map(({ rid }) => rid)).size, 60, 'no rid is used twice');
});

test('an open loop keeps its schedule and counts latency from the intended time', async (t) => {
  if (!requireService(t, 'gcc', compiler)) return;
  const waiting: (() => void)[] = [];
  const server = await startServer(t, (text, from) => {
    // The first ten answers are held back until the twentieth append has come.
    if (waiting.length < 10) waiting.push(() => answerAppend(text, from));
    else answerAppend(text, from);
    if (server.heard.length === 20) for (const answer of waiting) answer();
  });
  const appender = newAppenderOf(t, server.port, { connections: 2, records: 20, pace: { ratePerSecond: 200 } });
  await appender.ready();
  appender.go();
  const done = await appender.done();
  assert.equal(done.acked, 20);
  assert.equal(server.heard.length, 20, 'an answer brings no further append');
  // The first was due 95 ms before the last, whatever the machine does meanwhile.
  assert.ok(done.latencyMs!.max >= 95, `the longest was ${done.latencyMs!.max} ms`);
});

test('an append that is refused ends the appender with what the server said', async (t) => {
  if (!requireService(t, 'gcc', compiler)) return;
  const server = await startServer(t, (_, from) => from.send('{"op":"error","code":"overloaded","retryMs":1}'));
  const appender = newAppenderOf(t, server.port, { records: 5 });
  await appender.ready();
  const done = appender.done();
  appender.go();
  await assert.rejects(done, /the server said .*overloaded/);
});
