import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeEnv } from '../src/env.ts';
import { createServer } from '../src/index.ts';

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
  const asks: readonly (readonly [string, RequestInit])[] = [
    ['/v1/events?channel=a:b', {}],
    ['/v1/events', { method: 'POST', body: '{"channel":"a:b"}' }],
  ];
  for (const [path, ask] of asks) {
    const answer = await fetch(url + path, ask);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.match(await answer.text(), /^event: error\ndata: \{"code":"token_expired"[^\n]*\n\n$/);
  }
});
