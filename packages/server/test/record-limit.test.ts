/** `limits.recordBytes`: what a server says is what it stores, on the log that it has (LIM-1, LIM-2, HEL-2, HTTP-13). */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { test, type TestContext } from 'node:test';
import { limits } from '@tideway/protocol';
import { createServer, type NamespaceOptions } from 'tideway';
import { nats, startNats } from '../../../scripts/brokers/nats.ts';
import { requireService } from '../../../scripts/services.ts';
import { join, type Peer } from './peer.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const open = { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone' } as const;

async function start(t: TestContext, log: string, namespaces: Record<string, NamespaceOptions>) {
  const data = await mkdtemp(joinPath(tmpdir(), 'tideway-limit-'));
  const server = await createServer({ log, data, namespaces, logger: () => {} });
  t.after(async () => {
    await server.close({ drainMs: 0 });
    await rm(data, { recursive: true, force: true, maxRetries: 20 });
  });
  return await server.listen({ port: 0 });
}

/** A JSON text of so many bytes. */
function text(bytes: number): string {
  return `"${'a'.repeat(bytes - 2)}"`;
}

function announcedTo({ frames }: Peer): number {
  return (frames[0] as unknown as { limits: { recordBytes: number } }).limits.recordBytes;
}

/** What is announced is stored and read; one byte more is refused with the limit, on every way in. */
async function holds(t: TestContext, { url, port }: { url: string; port: number }, channel: string): Promise<number> {
  const peer = await join(t, port);
  const recordBytes = announcedTo(peer);
  const session = (await (await fetch(`${url}/v1/session`)).json()) as { limits: { recordBytes: number } };
  assert.equal(session.limits.recordBytes, recordBytes);
  // With everything beside it that a record may have.
  const more = { channel, key: 'é'.repeat(limits.keyBytes / 2), trace: 't'.repeat(64) };
  const over = await peer.ask(t, { op: 'append', id: 2, rid: 'over', ...more }, text(recordBytes + 1));
  assert.deepEqual([over.op, over.code], ['error', 'too_large']);
  assert.match(String(over['message']), new RegExp(`\\b${recordBytes}\\b`));
  const at = await peer.ask(t, { op: 'append', id: 3, rid: 'r'.repeat(64), ...more }, text(recordBytes));
  assert.equal(at.op, 'ok', JSON.stringify(at));
  const post = (bytes: number) => fetch(`${url}/v1/records?channel=${channel}`, { method: 'POST', body: text(bytes) });
  const refused = await post(recordBytes + 1);
  assert.equal(refused.status, 413);
  assert.match(await refused.text(), new RegExp(`\\b${recordBytes}\\b`));
  assert.equal((await post(recordBytes)).status, 201);
  const data = Buffer.alloc(recordBytes, 7).toString('base64');
  const batch = await fetch(`${url}/v1/batch`, {
    method: 'POST',
    body: JSON.stringify([{ channel, rid: 'b', encoding: 'base64', data }]),
  });
  const { results } = (await batch.json()) as { results: readonly object[] };
  assert.deepEqual(Object.keys(results[0] as object), ['cursor']);
  const page = await fetch(`${url}/v1/records?channel=${channel}&after=oldest&limit=1`);
  const { records } = (await page.json()) as { records: { data: string }[] };
  assert.equal(records[0]?.data.length, recordBytes - 2);
  return recordBytes;
}

test('the largest record of any namespace is announced, and may come in a batch', async (t) => {
  const at = await start(t, 'memory:', {
    chat: { ...open, recordBytes: 5 * MIB },
    note: { ...open, recordBytes: KIB },
  });
  assert.equal(await holds(t, at, 'chat:1'), 5 * MIB);
});

test('where records are small, what is no record still fits: a signal, places of 100 channels', async (t) => {
  const { port } = await start(t, 'memory:', { chat: { ...open, recordBytes: KIB } });
  const peer = await join(t, port);
  assert.equal(announcedTo(peer), KIB);
  const channels = Array.from({ length: limits.channelsPerFrame }, (_, n) => ({
    channel: `chat:${String(n).padStart(200, 'x')}`,
    from: 'q0Zx7a.0.zzzz',
  }));
  const subscribed = await peer.ask(t, { op: 'subscribe', id: 2, channels });
  assert.equal((subscribed['channels'] as readonly object[]).length, limits.channelsPerFrame);
  peer.send({ op: 'signal', channel: 'chat:1' }, text(limits.signalBytes));
  const unsubscribed = await peer.ask(t, { op: 'unsubscribe', id: 3, channel: 'chat:1' });
  assert.equal(unsubscribed.op, 'ok');
  assert.ok(!peer.frames.some(({ op }) => op === 'error'));
});

test('nats: no more is announced than a message of the server may have', async (t) => {
  if (!requireService(t, nats.name, nats.missing() === undefined)) return;
  const broker = await startNats({ payloadBytesMax: MIB });
  t.after(() => broker.stop());
  const at = await start(t, broker.url, { chat: { ...open, recordBytes: 4 * MIB } });
  assert.equal(await holds(t, at, 'chat:1'), MIB - 8 * KIB);
});
