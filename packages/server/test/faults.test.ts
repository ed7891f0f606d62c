import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { connect } from '@tideway/client';
import { createServer } from 'tideway';
import { DEADLINE } from './peer.ts';

async function start(t: TestContext, faults: boolean): Promise<string> {
  const server = await createServer({ log: 'memory:', development: true, faults, logger: () => {} });
  const { url } = await server.listen({ port: 0 });
  t.after(() => server.close({ drainMs: 0 }));
  return url;
}

async function figures(url: string): Promise<{ readonly sessions: number; readonly instances: readonly string[] }> {
  const response = await fetch(`${url}/v1/faults`);
  assert.equal(response.status, 200);
  return (await response.json()) as Awaited<ReturnType<typeof figures>>;
}

test('a node says which client objects are connected to it, and which wait for its answer', async (t) => {
  const url = await start(t, true);
  assert.deepEqual(await figures(url), { sessions: 0, instances: [] });
  const [websocket, sse] = [connect({ url, transport: 'websocket' }), connect({ url, transport: 'sse' })];
  t.after(() => {
    websocket.close();
    sse.close();
  });
  for (const client of [websocket, sse]) client.channel('chat:a').on({ onGap: 'continue' }, () => {});
  const leave = new AbortController();
  const headers = { 'Tideway-Instance': 'waiting' };
  const waiting = fetch(`${url}/v1/records?channel=chat:a&after=oldest&wait=60`, { headers, signal: leave.signal });
  const all = [websocket.instance, sse.instance, 'waiting'].toSorted();
  await t.waitFor(async () => {
    const { sessions, instances } = await figures(url);
    assert.deepEqual([sessions, instances.toSorted()], [2, all]);
  }, DEADLINE);
  leave.abort();
  await assert.rejects(waiting);
  websocket.close();
  const left = { sessions: 1, instances: [sse.instance] };
  await t.waitFor(async () => assert.deepEqual(await figures(url), left), DEADLINE);
});

test('a server without faults does not', async (t) => {
  const url = await start(t, false);
  assert.equal((await fetch(`${url}/v1/faults`)).status, 404);
});
