import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { createServer, type ServerOptions } from '../src/index.ts';
import { DEADLINE } from './peer.ts';
import { scrape } from './scrape.ts';

// What a client that asks and never reads may cost: counted, not timed.

const MIB = 1024 * 1024;
/** More than the kernel's buffers of a connection on loopback take in. */
const PAGE_RECORDS = 10;
const RECORD = `"${'y'.repeat(100_000)}"`;
const PAGE = 'GET /v1/records?channel=pub:big&limit=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';

async function start(t: TestContext, limits: ServerOptions['limits'] = {}) {
  const open = { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone' } as const;
  const server = await createServer({ log: 'memory:', logger: () => {}, limits, namespaces: { pub: open } });
  t.after(() => server.close({ drainMs: 0 }));
  const { url, port } = await server.listen({ port: 0 });
  for (let n = 0; n < PAGE_RECORDS; n++) {
    const stored = await fetch(`${url}/v1/records?channel=pub:big`, { method: 'POST', body: RECORD });
    assert.equal(stored.status, 201);
    await stored.arrayBuffer();
  }
  const pagesRead = async (): Promise<number> => (await scrape(url))('tideway_history_seconds_count');
  const heldBytes = async (): Promise<number> => (await scrape(url))('tideway_http_bytes');
  return { url, port, pagesRead, heldBytes };
}

/** A connection that never reads. */
function mute(t: TestContext, port: number): Socket {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  t.after(() => socket.destroy());
  return socket;
}

/** The statuses of all answers on a connection that is read again, in order. */
function statuses(socket: Socket): string[] {
  const found: string[] = [];
  let rest = '';
  socket.on('data', (data) => {
    rest = (rest + data.toString('latin1')).slice(-100_000);
    for (let match; (match = /HTTP\/1\.1 (\d\d\d) [^]*?\r\n\r\n/.exec(rest)) !== null;) {
      found.push(match[1] as string);
      rest = rest.slice(match.index + match[0].length);
    }
  });
  return found;
}

describe('requests in a row on one connection (HTTP-14)', () => {
  test('begin one at a time: while an answer is unread, none behind it is worked on', async (t) => {
    const { port, pagesRead, heldBytes } = await start(t);
    const attackers = [mute(t, port), mute(t, port), mute(t, port)];
    for (const socket of attackers) socket.write(PAGE.repeat(60));
    // What the kernel takes in is read; then it stands.
    await t.waitFor(async () => assert.ok((await heldBytes()) > 0), DEADLINE);
    const settled = await standsStill(pagesRead);
    assert.ok(settled < 60, `${settled} pages were read for 3 connections that take none`);
    assert.ok((await heldBytes()) <= 3 * 1.1 * MIB);
    for (const socket of attackers) socket.destroy();
    await t.waitFor(async () => assert.equal(await heldBytes(), 0), DEADLINE);
  });

  test('are all answered, in order, once their client reads', async (t) => {
    const { port } = await start(t);
    const socket = mute(t, port);
    const health = 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    const append = 'POST /v1/records?channel=pub:small HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\n1';
    socket.write((PAGE + health + append).repeat(20));
    const got = statuses(socket);
    socket.resume();
    await t.waitFor(() => assert.equal(got.length, 60), DEADLINE);
    assert.deepEqual(got, Array.from({ length: 20 }, () => ['200', '200', '201']).flat());
    // The connection goes on to serve.
    socket.write(health);
    await t.waitFor(() => assert.equal(got.length, 61), DEADLINE);
  });

  test('are not read on while one waits, and more than 100 that wait end the connection', async (t) => {
    const { port, url } = await start(t);
    const append = () => fetch(`${url}/v1/records?channel=pub:slow`, { method: 'POST', body: '1' });
    const { cursor } = (await (await append()).json()) as { cursor: string };
    const wait = `GET /v1/records?channel=pub:slow&after=${cursor}&wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    // Large requests: one read of the socket holds a few, so it can be left alone in time.
    const patient = mute(t, port);
    const got = statuses(patient);
    patient.write(wait.replace('\r\n\r\n', `\r\nX: ${'x'.repeat(15_000)}\r\n\r\n`).repeat(150));
    // Small ones: more than may wait stand in one read.
    const greedy = mute(t, port);
    greedy.write(wait.repeat(102));
    greedy.resume();
    await once(greedy, 'close');
    // Turns enough to read everything that is there to be read.
    for (let turn = 0; turn < 50; turn++) await (await fetch(`${url}/healthz`)).text();
    await append();
    patient.resume();
    await t.waitFor(() => assert.equal(got.length, 150), DEADLINE);
    assert.deepEqual(new Set(got), new Set(['200']));
  });
});

test('answers that nobody takes, all connections together, are bounded: beyond it `overloaded` (HTTP-14)', async (t) => {
  const { port, url, pagesRead, heldBytes } = await start(t, { outboxBytesTotal: 16 * MIB });
  const attackers = Array.from({ length: 24 }, () => mute(t, port));
  for (const socket of attackers) socket.write(PAGE.repeat(30));
  const refused = await t.waitFor(async () => {
    const answer = await fetch(`${url}/v1/records?channel=pub:big&limit=1000`);
    const body = await answer.text();
    assert.equal(answer.status, 503);
    return { retryAfter: answer.headers.get('retry-after'), error: JSON.parse(body).error };
  }, DEADLINE);
  assert.equal(refused.retryAfter, '1');
  assert.equal(refused.error.code, 'overloaded');
  assert.equal(refused.error.retryMs, 1_000);
  await standsStill(pagesRead);
  // Half of the budget is for HTTP, and what is being read when that is reached still comes.
  assert.ok((await heldBytes()) <= (8 + 5) * MIB, `${await heldBytes()} bytes`);
  for (const socket of attackers) socket.destroy();
  await t.waitFor(async () => assert.equal(await heldBytes(), 0), DEADLINE);
  assert.equal((await fetch(`${url}/v1/records?channel=pub:big&limit=1000`)).status, 200);
});

test('bodies that come in and never end are bounded by the same budget', async (t) => {
  const { port, url, heldBytes } = await start(t, { outboxBytesTotal: 16 * MIB });
  const attackers = Array.from({ length: 8 }, () => mute(t, port));
  const head = 'POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000000\r\n\r\n';
  for (const socket of attackers) socket.write(head + ' '.repeat(3_000_000));
  const text = await t.waitFor(async () => {
    const answer = await fetch(`${url}/v1/batch`, { method: 'POST', body: `[${' '.repeat(2_000_000)}]` });
    const body = await answer.text();
    assert.equal(answer.status, 503);
    return body;
  }, DEADLINE);
  assert.match(text, /"code":"overloaded"/);
  assert.ok((await heldBytes()) <= 9 * MIB, `${await heldBytes()} bytes`);
  for (const socket of attackers) socket.destroy();
  await t.waitFor(async () => assert.equal(await heldBytes(), 0), DEADLINE);
});

/** The value of something that no longer moves. */
async function standsStill(read: () => Promise<number>): Promise<number> {
  let before = await read();
  for (let same = 0; same < 5;) {
    // Each turn is a request of its own: whatever could still begin has had its chance.
    const now = await read();
    same = now === before ? same + 1 : 0;
    before = now;
  }
  return before;
}
