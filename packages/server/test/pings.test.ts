import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codes } from '@tideway/protocol';
import { createHeldEnv } from '../src/auth/testing/held-env.ts';
import { createServer } from '../src/index.ts';
import { DEADLINE, join } from './peer.ts';

// PNG-1: a ping that has no pong after 10 s is unanswered; two in a row close the connection with slow_pong.

for (const [pingMs, pings] of [
  [1_000, 11],
  [4_000, 4],
  [25_000, 2],
] as const) {
  test(`PNG-1 with a ping every ${pingMs} ms who is silent stays for ${pings}: the second has its 10 s, too`, async (t) => {
    const env = createHeldEnv();
    const server = await createServer({ log: 'memory:', env, pingMs, development: true, logger: () => {} });
    t.after(() => server.close({ drainMs: 0 }));
    const { port } = await server.listen({ port: 0 });
    const peer = await join(t, port);
    peer.socket.removeAllListeners('message');
    let heard = 0;
    peer.socket.on('message', (data: Buffer) => {
      if (data.includes('"op":"ping"')) heard++;
    });
    // A fifth of all sessions at a time.
    const period = (): void => {
      for (let part = 0; part < 5; part++) env.advance(pingMs / 5);
    };
    for (let ping = 1; ping <= pings; ping++) {
      period();
      await t.waitFor(() => assert.equal(heard, ping), DEADLINE);
    }
    period();
    assert.equal(await peer.closed(t), codes.slow_pong.close);
    assert.equal(heard, pings);
  });
}

test('PNG-1 who answers stays, also where the server was held up for long', async (t) => {
  const env = createHeldEnv();
  const server = await createServer({ log: 'memory:', env, pingMs: 1_000, development: true, logger: () => {} });
  t.after(() => server.close({ drainMs: 0 }));
  const { port } = await server.listen({ port: 0 });
  const peer = await join(t, port);
  const pings = (): number => peer.frames.filter(({ op }) => op === 'ping').length;
  for (let n = 1; n <= 20; n++) {
    for (let part = 0; part < 5; part++) env.advance(60_000);
    await t.waitFor(() => assert.equal(pings(), n), DEADLINE);
    // Its pong came before this.
    assert.equal((await peer.ask(t, { op: 'subscribe', id: n + 1, channel: `any:${n}` })).op, 'ok');
  }
  assert.equal(peer.closedWith, undefined);
});
