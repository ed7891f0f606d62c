/**
 * The client against the real server, in real time: each transport, and what stands between the two.
 */
import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { createServer as createHttpServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  connect,
  type Channel,
  type ChannelRecord,
  type Client,
  type Receipt,
  type TransportChoice,
} from '@tideway/client';
import { createServer, type Server } from 'tideway';

const DEADLINE_MS = 60_000;

async function start(
  t: TestContext,
  log = 'memory:',
  port = 0,
): Promise<{ server: Server; url: string; port: number }> {
  const anyone = { subscribe: 'anyone', append: 'anyone', history: 'anyone', signal: 'anyone' } as const;
  const server = await createServer({ log, namespaces: { chat: anyone }, logger: () => {} });
  t.after(() => server.close({ drainMs: 0 }));
  return { server, ...(await server.listen({ port })) };
}

function open(t: TestContext, url: string, transport: TransportChoice): Client {
  const client = connect({ url, transport, onError: (error) => t.diagnostic(String(error)) });
  t.after(() => client.close());
  return client;
}

/** Reads so many records. */
async function take(channel: Channel, count: number, from = 'oldest'): Promise<ChannelRecord[]> {
  const records: ChannelRecord[] = [];
  const signal = AbortSignal.timeout(DEADLINE_MS);
  for await (const record of channel.read({ from, onGap: 'throw', signal })) {
    records.push(record);
    if (records.length === count) return records;
  }
  throw new Error(`${records.length} of ${count} records within ${DEADLINE_MS} ms`);
}

for (const transport of ['websocket', 'sse'] as const) {
  test(`over ${transport}: history, then live, appends, bytes, signals, pages`, async (t) => {
    const { server, url } = await start(t);
    await server.channel('chat:1').append('before');
    const client = open(t, url, transport);
    const channel = client.channel('chat:1');
    const reading = take(channel, 103);
    const receipts = Array.from({ length: 100 }, (_, n) => channel.append({ n }, { key: `k${n % 3}` }));
    const bytes = channel.append(Uint8Array.of(0, 10, 13, 255));
    const stored = await Promise.all([...receipts, bytes]);
    await server.channel('chat:1').append('after');
    const records = await reading;
    assert.equal(records[0]?.data, 'before');
    assert.deepEqual(
      records.slice(1, 102).map(({ cursor, rid }) => ({ cursor, rid })),
      [...receipts, bytes].map(({ rid }, n) => ({ cursor: stored[n]?.cursor, rid })),
    );
    assert.deepEqual(records[101]?.data, Uint8Array.of(0, 10, 13, 255));
    assert.equal(records[5]?.key, 'k1');
    assert.equal(records[102]?.data, 'after');

    const page = await channel.history({ limit: 10 });
    assert.deepEqual(
      page.records.map(({ cursor }) => cursor),
      records.slice(-10).map(({ cursor }) => cursor),
    );
    assert.deepEqual(page.records[8]?.data, Uint8Array.of(0, 10, 13, 255));
    assert.equal(page.end, false);
    const older = await channel.history({ before: page.first, limit: 100 });
    assert.equal(older.records.length, 93);
    assert.equal(older.end, true);

    const heard = Promise.withResolvers<unknown>();
    channel.onSignal((signal) => heard.resolve(signal.data));
    await take(channel, 1, 'last:1');
    const signals = setInterval(() => server.channel('chat:1').signal({ typing: true }), 20);
    t.after(() => clearInterval(signals));
    assert.deepEqual(await heard.promise, { typing: true });
    assert.equal(client.state, 'live');
  });

  test(`over ${transport}: a server that is gone and comes back is taken up where it was`, async (t) => {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-client-'));
    t.after(() => folder.remove());
    const first = await start(t, folder.path);
    const client = open(t, first.url, transport);
    const channel = client.channel('chat:1');
    const reading = take(channel, 60);
    const receipts: Receipt[] = [];
    const appendUpTo = (end: number): void => {
      for (let n = receipts.length; n < end; n++) receipts.push(channel.append(n));
    };
    appendUpTo(20);
    await take(channel, 20);
    await first.server.close({ drainMs: 0 });
    appendUpTo(40);
    await start(t, folder.path, first.port);
    appendUpTo(60);
    const records = await reading;
    assert.deepEqual(
      records.map(({ data }) => data),
      Array.from({ length: 60 }, (_, n) => n),
    );
    // What was read may be heard of as stored a moment later.
    await Promise.all(receipts);
    assert.equal(client.unsaved, 0);
  });
}

test('behind a proxy that lets no WebSocket through the client falls back by itself (CLI-5)', async (t) => {
  const { url, port } = await start(t);
  const proxy = createHttpServer((incoming, outgoing) => {
    const { method = 'GET', headers, url: path = '/' } = incoming;
    const onward = request({ port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      outgoing.flushHeaders();
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  proxy.on('upgrade', (_, socket) => socket.destroy());
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const client = open(t, url.replace(String(port), String((proxy.address() as AddressInfo).port)), 'auto');
  const channel = client.channel('chat:1');
  await channel.append('through');
  assert.deepEqual(
    (await take(channel, 1)).map(({ data }) => data),
    ['through'],
  );
});

test('a URL that names no server is refused in words', () => {
  assert.throws(() => connect({ url: '/' }), /names no server: .* or stand in a page/);
  assert.throws(() => connect({ url: 'ftp://x' }), /must begin with http:, https:, ws: or wss:/);
});
