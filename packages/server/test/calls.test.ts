/** Calls between nodes: on each broker three of them, one a process of its own that is killed; and between workers. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createServer, TidewayError, type MethodOptions, type Server, type ServerOptions } from 'tideway';
import type { Broker, BrokerKind } from '../../../scripts/brokers/broker.ts';
import { kafka } from '../../../scripts/brokers/kafka.ts';
import { nats } from '../../../scripts/brokers/nats.ts';
import { rabbitmq } from '../../../scripts/brokers/rabbitmq.ts';
import { redis } from '../../../scripts/brokers/redis.ts';
import { startServer, temporaryFolder, type RunningServer } from '../src/cli/testing/cli-rig.ts';
import { DEADLINE, join, type Frame, type Peer } from './peer.ts';

const CONFIG = fileURLToPath(new URL('./calls-node.config.ts', import.meta.url));
const KIB = 1024;

function skipOf(kind: BrokerKind): string | false {
  const missing = kind.missing();
  if (missing !== undefined && process.env['TIDEWAY_REQUIRE_SERVICES'] === '1') throw new Error(missing);
  return missing ?? false;
}

/** Who somebody is stands in the cookie: `user=ann; role=buyer`. */
const auth: ServerOptions['auth'] = {
  session({ cookie = '' }) {
    const named = (name: string): string | undefined => new RegExp(`${name}=(\\w+)`).exec(cookie)?.[1];
    const user = named('user');
    const role = named('role');
    return user === undefined ? undefined : { user, roles: role === undefined ? [] : [role] };
  },
};
const buyer = { cookie: 'user=ann; role=buyer' };

async function post(url: string, method: string, body: BodyInit, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/v1/calls?method=${method}`, { method: 'POST', body, headers });
  return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
}

function codeOf(answer: { readonly body: Buffer }): string {
  return (JSON.parse(answer.body.toString()) as { error: { code: string } }).error.code;
}

/** Calls until the method is known here: a node that has just come is heard of soon. */
async function known(t: TestContext, url: string, method: string): Promise<void> {
  await t.waitFor(async () => {
    const answer = await post(url, method, '1');
    assert.ok(answer.status !== 404, `${method} at ${url} is ${answer.body.toString()}`);
  }, DEADLINE);
}

/** A call over a WebSocket: the answer, and its payload. */
async function ask(
  t: TestContext,
  peer: Peer,
  id: number,
  method: string,
  payload: string,
): Promise<readonly [Frame, unknown]> {
  const before = peer.payloads.length;
  const answer = await peer.ask(t, { op: 'call', id, method }, payload);
  return [answer, answer.op === 'ok' ? JSON.parse(peer.payloads[before] as string) : undefined];
}

for (const kind of [redis, nats, rabbitmq, kafka]) {
  describe(`three nodes on ${kind.name}`, { skip: skipOf(kind) }, () => {
    let broker: Broker;
    const servers: Server[] = [];
    const folders: string[] = [];
    /** Serves nothing. */
    let url = '';
    let port = 0;
    const aborted: string[] = [];
    const methods: Record<string, MethodOptions> = {
      'cart.who': { call: ['buyer'], handle: (argument, { user, roles }) => ({ argument, user, roles }) },
      'cart.echo': { call: 'anyone', handle: (argument) => argument },
      'cart.refuse': {
        call: 'anyone',
        handle() {
          throw new TidewayError('conflict', 'somebody was faster');
        },
      },
      'cart.wait': {
        call: 'anyone',
        handle: (argument, { signal }) =>
          new Promise((resolve) =>
            signal.addEventListener('abort', () => {
              aborted.push(String(argument));
              resolve('too late');
            }),
          ),
      },
    };

    before(async () => {
      broker = await kind.start();
      for (const calls of [{}, methods]) {
        const data = await mkdtemp(joinPath(tmpdir(), 'tideway-calls-'));
        folders.push(data);
        const server = await createServer({ log: broker.url, data, auth, calls, logger: () => {} });
        servers.push(server);
        ({ url, port } = servers.length === 1 ? await server.listen({ port: 0 }) : { url, port });
      }
    });
    after(async () => {
      for (const server of servers) await server.close({ drainMs: 0 });
      for (const folder of folders) await rm(folder, { recursive: true, force: true });
      await broker.stop();
    });

    test('a method of one node is called on another, over WebSocket and HTTP, as who one is', async (t) => {
      await known(t, url, 'cart.who');
      const peer = await join(t, port, undefined, buyer);
      const expected = { argument: { cart: 7 }, user: 'ann', roles: ['buyer'] };
      assert.deepEqual((await ask(t, peer, 2, 'cart.who', '{"cart":7}'))[1], expected);
      const http = await post(url, 'cart.who', '{"cart":7}', buyer);
      assert.deepEqual([http.status, JSON.parse(http.body.toString())], [200, expected]);
      assert.equal(codeOf(await post(url, 'cart.who', '1', { cookie: 'user=bob' })), 'forbidden');
      assert.equal(codeOf(await post(url, 'cart.who', '1')), 'unauthenticated');
      assert.equal(codeOf(await post(url, 'cart.refuse', '1')), 'conflict');
      assert.equal(codeOf(await post(url, 'cart.nobody', '1')), 'method_unknown');
    });

    test('what a call may hold passes this broker, also forty at once', async (t) => {
      await known(t, url, 'cart.echo');
      const headers = { 'content-type': 'application/octet-stream' };
      const largest = Buffer.alloc(256 * KIB, 'ab\n');
      assert.ok((await post(url, 'cart.echo', largest, headers)).body.equals(largest));
      const sizes = Array.from({ length: 40 }, (_, n) => (n + 1) * 2 * KIB);
      const answers = await Promise.all(sizes.map((size) => post(url, 'cart.echo', Buffer.alloc(size), headers)));
      assert.deepEqual(
        answers.map(({ status, body }) => [status, body.length]),
        sizes.map((size) => [200, size]),
      );
    });

    test('a caller that goes is told to the node that works for it', async (t) => {
      await known(t, url, 'cart.echo');
      const peer = await join(t, port);
      peer.send({ op: 'call', id: 2, method: 'cart.wait' }, '"over WebSocket"');
      const request = new AbortController();
      const { signal } = request;
      const http = fetch(`${url}/v1/calls?method=cart.wait`, { method: 'POST', body: '"over HTTP"', signal });
      // What is asked behind them is answered: they are under way.
      await ask(t, peer, 3, 'cart.echo', '1');
      await post(url, 'cart.echo', '1');
      peer.socket.terminate();
      request.abort();
      await assert.rejects(http);
      await t.waitFor(() => assert.deepEqual(aborted.toSorted(), ['over HTTP', 'over WebSocket']), DEADLINE);
    });

    test('a node that is killed in the middle of a call leaves it unanswered, and nobody waits longer', async (t) => {
      const there = await startServer(t, {
        data: await temporaryFolder(t),
        args: ['--log', broker.url, '--config', CONFIG],
      });
      await known(t, url, 'there.who');
      const peer = await join(t, port, undefined, buyer);
      const pid = there.process.child.pid as number;
      assert.deepEqual((await ask(t, peer, 2, 'there.who', '1'))[1], { user: 'ann', pid });
      const overWebSocket = peer.ask(t, { op: 'call', id: 3, method: 'there.wait' }, '1');
      const overHttp = post(url, 'there.wait', '2');
      for (const n of [1, 2]) await there.process.line('stderr', new RegExp(`waiting ${n}`));
      await there.process.end('SIGKILL');
      assert.equal((await overWebSocket)['code'], 'unanswered');
      const http = await overHttp;
      assert.deepEqual([http.status, codeOf(http)], [504, 'unanswered']);
      await t.waitFor(async () => assert.equal((await post(url, 'there.who', '1')).status, 404), DEADLINE);
    });
  });
}

describe('workers', () => {
  async function start(t: TestContext): Promise<RunningServer & { pid: (worker: number) => number }> {
    const file = fileURLToPath(new URL('./calls-worker.config.ts', import.meta.url));
    const server = await startServer(t, {
      data: await temporaryFolder(t),
      args: ['--workers', '2', '--config', file],
    });
    const pid = (worker: number): number => {
      const started = server.process.stderr.findLast(
        (line) => line.includes(`"worker":${worker},`) && line.includes('started'),
      );
      return (JSON.parse(started ?? '{}') as { pid: number }).pid;
    };
    return { ...server, pid };
  }

  test('a method of one worker is called over every connection and request, whichever worker has it', async (t) => {
    const { url, port, pid } = await start(t);
    await known(t, url, 'there.who');
    const peers = await Promise.all(Array.from({ length: 16 }, () => join(t, port)));
    for (const peer of peers) {
      await t.waitFor(async () => {
        const [, told] = await ask(t, peer, 2 + peer.frames.length, 'there.who', '1');
        assert.deepEqual(told, { pid: pid(2) });
      }, DEADLINE);
    }
    for (let n = 0; n < 8; n++) {
      const { body } = await post(url, 'there.who', '1', { connection: 'close' });
      assert.deepEqual(JSON.parse(body.toString()), { pid: pid(2) });
    }
  });

  test('a worker that is killed in the middle of a call leaves it unanswered', async (t) => {
    const server = await start(t);
    await known(t, server.url, 'there.who');
    const peers = await Promise.all(Array.from({ length: 16 }, () => join(t, server.port)));
    for (const [n, peer] of peers.entries()) peer.send({ op: 'call', id: 9, method: 'there.wait' }, String(100 + n));
    for (const n of peers.keys()) await server.process.line('stderr', new RegExp(`waiting ${100 + n}`));
    process.kill(server.pid(2), 'SIGKILL');
    // Those of the worker that was killed are gone with it; the others are told.
    await t.waitFor(() => {
      for (const { closedWith, frames } of peers)
        assert.ok(closedWith !== undefined || frames.some(({ id, code }) => id === 9 && code === 'unanswered'));
    }, DEADLINE);
    assert.ok(peers.some(({ closedWith }) => closedWith === undefined));
  });
});
