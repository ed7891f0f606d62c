/** Calls of the SDK against a real server, from clients of both transports. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { connect, TidewayError, type Client } from '@tideway/client';
import { call } from '@tideway/client/call';
import { createServer, TidewayError as ServerError, type ServerOptions } from 'tideway';

/** Told when `wait` was called, and when it was told that nobody waits. */
interface Waiting {
  readonly begun: PromiseWithResolvers<void>;
  readonly over: PromiseWithResolvers<void>;
}

async function start(t: TestContext, waiting?: Waiting) {
  const calls: ServerOptions['calls'] = {
    echo: { call: 'anyone', handle: (argument) => argument },
    secret: { call: 'user', handle: () => 1 },
    refuse: {
      call: 'anyone',
      handle() {
        throw new ServerError('conflict', 'somebody was faster');
      },
    },
    wait: {
      call: 'anyone',
      handle(_argument, { signal }) {
        signal.addEventListener('abort', () => waiting?.over.resolve());
        waiting?.begun.resolve();
        return new Promise(() => {});
      },
    },
  };
  const server = await createServer({ log: 'memory:', calls, logger: () => {} });
  t.after(() => server.close({ drainMs: 0 }));
  return { server, ...(await server.listen({ port: 0 })) };
}

function open(t: TestContext, url: string, transport: 'websocket' | 'sse'): Client {
  const client = connect({ url, transport });
  t.after(() => client.close());
  return client;
}

const waiting = (): Waiting => ({ begun: Promise.withResolvers(), over: Promise.withResolvers() });

for (const transport of ['websocket', 'sse'] as const) {
  test(`over ${transport}: JSON, bytes and nothing go in and come out`, async (t) => {
    const { url } = await start(t);
    const client = open(t, url, transport);
    assert.deepEqual(await call(client, 'echo', { n: [1, 'ä'] }), { n: [1, 'ä'] });
    assert.deepEqual(await call(client, 'echo', Uint8Array.of(0, 10, 255)), Uint8Array.of(0, 10, 255));
    assert.equal(await call(client, 'echo'), null);
  });
}

test('what is refused says why, with the code of the server or of the application', async (t) => {
  const { url } = await start(t);
  const client = open(t, url, 'websocket');
  const codes = { nobody: 'method_unknown', secret: 'unauthenticated', refuse: 'conflict' };
  for (const [method, code] of Object.entries(codes)) await assert.rejects(call(client, method, 1), { code });
  await assert.rejects(call(client, 'echo', 'x'.repeat(256 * 1024)), { code: 'too_large' });
  await assert.rejects(
    call(client, 'echo', () => 1),
    { code: 'invalid' },
  );
  client.close();
  await assert.rejects(call(client, 'echo', 1), { code: 'disconnected' });
  await assert.rejects(call({ state: 'live', error: undefined }, 'echo'), TypeError);
});

test('a call that is given up rejects with the reason, and its method is told', async (t) => {
  const told = waiting();
  const { url } = await start(t, told);
  const giveUp = new AbortController();
  const called = call(open(t, url, 'websocket'), 'wait', 1, { signal: giveUp.signal });
  await told.begun.promise;
  const reason = new Error('enough');
  giveUp.abort(reason);
  await assert.rejects(called, (error) => error === reason);
  await told.over.promise;
});

test('a server that ends in the middle of a call leaves it unanswered, and it is not made again', async (t) => {
  const told = waiting();
  const { server, url } = await start(t, told);
  const called = call(open(t, url, 'websocket'), 'wait', 1);
  const rejected = assert.rejects(called, (error) => error instanceof TidewayError && error.code === 'unanswered');
  await told.begun.promise;
  await server.close({ drainMs: 0 });
  await rejected;
});
