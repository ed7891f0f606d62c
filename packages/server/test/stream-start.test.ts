import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeEnv } from '../src/env.ts';
import { createServer } from '../src/index.ts';

const asks: readonly (readonly [string, RequestInit])[] = [
  ['/v1/events?channel=a:b', {}],
  ['/v1/events', { method: 'POST', body: '{"channel":"a:b"}' }],
];

test('a stream whose credentials run out while it begins is a stream that says so (SSE-7)', async (t) => {
  let aheadMs = 0;
  const server = await createServer({
    log: 'memory:',
    logger: () => {},
    env: { ...nodeEnv, now: () => nodeEnv.now() + aheadMs },
    auth: { session: () => ({ user: 'ann', expiresInMs: 60_000 }) },
    // Asked once it is known who asks, and before the stream begins.
    namespaces: { a: { subscribe: () => (aheadMs += 61_000) > 0 } },
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { url } = await server.listen({ port: 0 });
  for (const [path, ask] of asks) {
    const answer = await fetch(url + path, ask);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.match(await answer.text(), /^event: error\ndata: \{"code":"token_expired"[^\n]*\n\n$/);
  }
});

test('who asks for a stream and cannot be found out for now is told so in a stream, on which an EventSource comes back (SSE-6)', async (t) => {
  const session = (): never => {
    throw new Error('the session store is away');
  };
  const namespaces = { a: { subscribe: 'anyone' } } as const;
  const server = await createServer({ log: 'memory:', logger: () => {}, auth: { session }, namespaces });
  t.after(() => server.close({ drainMs: 0 }));
  const { url } = await server.listen({ port: 0 });
  for (const [path, ask] of asks) {
    const answer = await fetch(url + path, ask);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.match(await answer.text(), /^retry: \d+\nevent: error\ndata: \{"code":"internal"[^\n]*\n\n$/);
  }
  // What is final stays a status.
  const wrong = { headers: { Authorization: 'Bearer tw_key_of-nobody' } };
  for (const [path, ask] of asks) assert.equal((await fetch(url + path, { ...ask, ...wrong })).status, 401);
});
