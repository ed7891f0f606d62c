import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { limits } from '@tideway/protocol';
import { signWithSecret, TEST_SECRET } from '../src/auth/testing/signers.ts';
import { createServer, type ServerOptions } from '../src/index.ts';
import { limitNames } from '../src/hub/measures.ts';
import { join, Peer } from './peer.ts';
import { moves } from './scrape.ts';

const KIB = 1024;

async function start(t: TestContext, set: ServerOptions['limits'] = {}) {
  const open = { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone' } as const;
  const gate = Promise.withResolvers<boolean>();
  const server = await createServer({
    log: 'memory:',
    logger: () => {},
    limits: set,
    auth: { jwt: { secret: TEST_SECRET } },
    namespaces: { chat: { ...open, recordBytes: KIB }, large: open, slow: { ...open, append: () => gate.promise } },
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { url, port } = await server.listen({ port: 0 });
  /** The limit is hit by what is done, and no other is. */
  const hits = async (limit: (typeof limitNames)[number], act: () => unknown): Promise<void> => {
    const others = limitNames.filter((name) => name !== limit);
    await moves(
      t,
      url,
      {
        [`tideway_limit_hits_total{limit="${limit}"}`]: 1,
        ...Object.fromEntries(others.map((name) => [`tideway_limit_hits_total{limit="${name}"}`, 0])),
      },
      act,
    );
  };
  const post = async (path: string, body: string): Promise<number> => {
    const response = await fetch(url + path, { method: 'POST', body });
    await response.arrayBuffer();
    return response.status;
  };
  return { server, url, port, hits, post, letGo: () => gate.resolve(true) };
}

async function stranger(t: TestContext, port: number): Promise<Peer> {
  const peer = new Peer(port);
  t.after(() => peer.socket.terminate());
  await Promise.race([once(peer.socket, 'open').catch(() => {}), new Promise((done) => peer.socket.on('close', done))]);
  return peer;
}

describe('who runs into a limit is counted under its name', () => {
  test('rates', async (t) => {
    const { port, hits } = await start(t, { appendsPerSecond: 2, signalsPerSecond: 2 });
    const peer = await join(t, port);
    await hits('appendsPerSecond', () => {
      for (let n = 0; n < 10; n++) peer.send({ op: 'append', id: 10 + n, channel: 'chat:1', rid: `r${n}` }, '1');
    });
    await hits('signalsPerSecond', () => {
      for (let n = 0; n < 10; n++) peer.send({ op: 'signal', channel: 'chat:1' }, '1');
    });
  });

  test('subscriptions, one by one and in one frame', async (t) => {
    const { port, hits } = await start(t, { subscriptions: 2 });
    const peer = await join(t, port);
    const channels = ['a', 'b', 'c'].map((rest) => ({ channel: `chat:${rest}` }));
    await hits('subscriptions', () => peer.ask(t, { op: 'subscribe', id: 2, channels }));
    await hits('subscriptions', () => peer.ask(t, { op: 'subscribe', id: 3, channel: 'chat:d' }));
  });

  test('sessions of the node, and of a user', async (t) => {
    const { url, port, hits } = await start(t, { sessions: 4, sessionsPerUser: 1 });
    const token = await signWithSecret({ sub: 'ann', exp: Math.floor(Date.now() / 1000) + 600 });
    await join(t, port, token);
    await hits('sessionsPerUser', async () => {
      const second = await stranger(t, port);
      await second.ask(t, { op: 'hello', id: 1, instance: 'i', token });
    });
    await hits('sessions', async () => {
      for (let n = 0; n < 4; n++) await stranger(t, port);
    });
    // A stream is a session, too; an EventSource that is told so comes back (SSE-6).
    await hits('sessions', async () => {
      const answer = await fetch(`${url}/v1/events?channel=chat:1`);
      assert.equal(answer.status, 200);
      assert.match(await answer.text(), /^retry: \d+\nevent: error\ndata: \{"code":"overloaded"/);
    });
  });

  test('commands in flight', async (t) => {
    const { port, hits, letGo } = await start(t);
    const peer = await join(t, port);
    await hits('commandsInFlight', () => {
      for (let n = 0; n < limits.commandsInFlight; n++)
        peer.send({ op: 'append', id: 10 + n, channel: 'slow:1', rid: `r${n}` }, '1');
    });
    letGo();
    // What was held back is answered, and what comes then is read.
    await peer.ask(t, { op: 'subscribe', id: 2, channel: 'chat:1' });
  });

  test('sizes: a record, a signal, a body, a message', async (t) => {
    const { port, hits, post } = await start(t);
    const peer = await join(t, port);
    const large = JSON.stringify('x'.repeat(2 * KIB));
    await hits('recordBytes', () => peer.ask(t, { op: 'append', id: 2, channel: 'chat:1', rid: 'r' }, large));
    await hits('recordBytes', async () => assert.equal(await post('/v1/records?channel=chat:1', large), 413));
    await hits('signalBytes', () =>
      peer.send({ op: 'signal', channel: 'chat:1' }, JSON.stringify('x'.repeat(20 * KIB))),
    );
    await hits('bodyBytes', async () =>
      assert.equal(await post('/v1/records?channel=chat:1', JSON.stringify('x'.repeat(100 * KIB))), 413),
    );
    await hits('messageBytes', async () => {
      peer.send({ op: 'append', id: 3, channel: 'large:1', rid: 'r' }, JSON.stringify('x'.repeat(1024 * KIB)));
      assert.equal(await peer.closed(t), 1009);
    });
  });

  test('the outboxes of the node together', async (t) => {
    const { server, url, port } = await start(t, { outboxBytes: 1024 * KIB, outboxBytesTotal: 1024 * KIB });
    for (let n = 0; n < 6; n++) {
      const peer = await join(t, port);
      await peer.ask(t, { op: 'subscribe', id: 2, channel: 'large:1' });
      peer.socket.pause();
    }
    await moves(t, url, { 'tideway_limit_hits_total{limit="outboxBytesTotal"}': 1 }, async () => {
      for (let n = 0; n < 80; n++) await server.channel('large:1').append('x'.repeat(200_000));
    });
  });
});
