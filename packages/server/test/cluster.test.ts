import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { connect, type Client } from '@tideway/client';
import { createServer, type Server } from 'tideway';
import type { Broker, BrokerKind } from '../../../scripts/brokers/broker.ts';
import { kafka } from '../../../scripts/brokers/kafka.ts';
import { nats } from '../../../scripts/brokers/nats.ts';
import { redis } from '../../../scripts/brokers/redis.ts';
import { DEADLINE, join, type Frame, type Peer } from './peer.ts';

/** Distinct for each use, so that no test sees another's records. */
let serial = 0;
const newChannel = (): string => `chat:${++serial}`;

interface Node {
  readonly server: Server;
  readonly url: string;
  readonly port: number;
  readonly folder: string;
}

/** What the file's process needs to know of TIDEWAY_REQUIRE_SERVICES is in `skip`. */
function skipOf(kind: BrokerKind): string | false {
  const missing = kind.missing();
  if (missing === undefined) return false;
  if (process.env['TIDEWAY_REQUIRE_SERVICES'] === '1') throw new Error(`${kind.name}: ${missing}`);
  return missing;
}

async function startNode(t: TestContext | undefined, log: string, folder?: string): Promise<Node> {
  const data = folder ?? (await mkdtemp(joinPath(tmpdir(), 'tideway-node-')));
  const server = await createServer({
    log,
    data,
    namespaces: {
      chat: { subscribe: 'anyone', append: 'anyone', history: 'anyone', signal: 'anyone' },
    },
    logger: () => {},
  });
  const { url, port } = await server.listen({ port: 0 });
  t?.after(async () => {
    await server.close({ drainMs: 0 });
    await rm(data, { recursive: true, force: true });
  });
  return { server, url, port, folder: data };
}

function clientOf(t: TestContext, { url }: Node): Client {
  const client = connect({ url, transport: 'websocket' });
  t.after(() => client.close());
  return client;
}

/** The records a peer was given of a channel, in the order they came. */
function recordsOf(peer: Peer, channel: string): readonly Frame[] {
  return peer.frames.filter((frame) => frame.op === 'record' && frame['channel'] === channel);
}

/** The data of a channel's newest records, as a node has them. */
async function history(url: string, channel: string): Promise<readonly unknown[]> {
  const response = await fetch(`${url}/v1/records?channel=${channel}`);
  const { records } = (await response.json()) as { readonly records: readonly { readonly data: unknown }[] };
  return records.map(({ data }) => data);
}

async function readyz({ url }: Node): Promise<unknown> {
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, log: ((await response.json()) as { readonly log: string }).log };
}

for (const kind of [redis, nats, kafka]) {
  describe(`three nodes on ${kind.name}`, { skip: skipOf(kind) }, () => {
    let broker: Broker;
    let nodes: readonly Node[];

    before(async () => {
      broker = await kind.start();
      nodes = await Promise.all([1, 2, 3].map(() => startNode(undefined, broker.url)));
    });
    after(async () => {
      for (const { server, folder } of nodes) {
        await server.close({ drainMs: 0 });
        await rm(folder, { recursive: true, force: true });
      }
      await broker.stop();
    });

    test('what is appended on any node comes to readers on all of them, in one order, once', async (t) => {
      const channel = newChannel();
      const peers = await Promise.all(nodes.map(({ port }) => join(t, port)));
      for (const peer of peers) await peer.ask(t, { op: 'subscribe', id: 2, channel });
      const writers = nodes.map((node) => clientOf(t, node).channel(channel));
      const appended = writers.flatMap((writer, from) =>
        Array.from({ length: 60 }, async (_, n) => ({ from, n, cursor: (await writer.append({ from, n })).cursor })),
      );
      const receipts = await Promise.all(appended);
      await t.waitFor(() => {
        for (const peer of peers) assert.equal(recordsOf(peer, channel).length, 180);
      }, DEADLINE);
      const order = recordsOf(peers[0] as Peer, channel).map((frame) => frame['cursor']);
      assert.deepEqual(order, receipts.map(({ cursor }) => cursor).sort());
      for (const peer of peers) {
        assert.deepEqual(
          recordsOf(peer, channel).map((frame) => frame['cursor']),
          order,
        );
      }
      for (const from of [0, 1, 2]) {
        const own = receipts.filter((receipt) => receipt.from === from).sort((a, b) => (a.cursor < b.cursor ? -1 : 1));
        assert.deepEqual(
          own.map(({ n }) => n),
          own.map((_, n) => n),
        );
      }
    });

    test('a client that moves from node to node while others append goes on exactly where it was', async (t) => {
      const channel = newChannel();
      const writer = clientOf(t, nodes[0] as Node).channel(channel);
      const first = await writer.append({ n: 0 });
      let place = first.cursor;
      const seen: string[] = [];
      const writing = (async () => {
        for (let n = 1; n <= 300; n++) await writer.append({ n });
      })();
      for (let move = 0; seen.length < 300; move++) {
        assert.ok(move < 600, `${seen.length} of 300 records after ${move} moves`);
        const peer = await join(t, (nodes[move % 3] as Node).port);
        const answer = await peer.ask(t, { op: 'subscribe', id: 2, channel, from: place });
        assert.equal(answer['resumed'], true, JSON.stringify(answer));
        await t.waitFor(() => assert.ok(recordsOf(peer, channel).length > 0), DEADLINE);
        for (const record of recordsOf(peer, channel)) {
          assert.ok((record['prev'] as string) <= place && place < (record['cursor'] as string));
          place = record['cursor'] as string;
          seen.push(place);
        }
        assert.ok(!peer.frames.some(({ op }) => op === 'gap'));
        peer.socket.terminate();
      }
      await writing;
      assert.equal(seen.length, 300);
    });

    test('the same record appended on two nodes is one record, with one answer', async () => {
      const channel = newChannel();
      const append = async (node: Node): Promise<{ readonly cursor: string; readonly duplicate?: boolean }> => {
        const response = await fetch(`${node.url}/v1/records?channel=${channel}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'idempotency-key': 'order-42' },
          body: '{"n":1}',
        });
        assert.ok(response.status === 201 || response.status === 200, String(response.status));
        return (await response.json()) as { readonly cursor: string; readonly duplicate?: boolean };
      };
      const answers = await Promise.all(nodes.map(append));
      assert.equal(new Set(answers.map(({ cursor }) => cursor)).size, 1, JSON.stringify(answers));
      for (const { url } of nodes) assert.equal((await history(url, channel)).length, 1);
    });

    test('a signal reaches followers on every node, and the end of a user’s sessions too', async (t) => {
      const channel = newChannel();
      const peers = await Promise.all(nodes.map(({ port }) => join(t, port)));
      for (const peer of peers) await peer.ask(t, { op: 'subscribe', id: 2, channel });
      const response = await fetch(`${(nodes[1] as Node).url}/v1/signals?channel=${channel}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"typing":true}',
      });
      assert.equal(response.status, 202);
      for (const peer of peers) {
        await t.waitFor(() => assert.ok(peer.frames.some((frame) => frame.op === 'signal')), DEADLINE);
      }
      for (const { url } of nodes) {
        await t.waitFor(
          async () => assert.match(await (await fetch(`${url}/metrics`)).text(), /^tideway_nodes 3$/m),
          DEADLINE,
        );
      }
    });

    test('while the broker is away clients are told, reads go on, appends are refused; back, nothing is missing', async (t) => {
      const channel = newChannel();
      const node = nodes[0] as Node;
      const peer = await join(t, node.port);
      await peer.ask(t, { op: 'subscribe', id: 2, channel });
      const first = await peer.ask(t, { op: 'append', id: 3, channel, rid: 'a' }, '{"n":1}');
      assert.equal(first.op, 'ok', JSON.stringify(first));
      // It is answered as soon as its own node has it.
      for (const { url } of nodes) {
        await t.waitFor(async () => assert.equal((await history(url, channel)).length, 1), DEADLINE);
      }
      await broker.kill();
      await t.waitFor(() => assert.ok(peer.frames.some((frame) => frame.op === 'log' && frame['state'] === 'down')), {
        timeout: 60_000,
        interval: 20,
      });
      assert.deepEqual(await readyz(node), { status: 200, log: 'down' });
      assert.equal((await history(node.url, channel)).length, 1);
      const refused = await peer.ask(t, { op: 'append', id: 4, channel, rid: 'b' }, '{"n":2}');
      assert.equal(refused.op, 'error', JSON.stringify(refused));
      assert.ok(typeof refused['retryMs'] === 'number', JSON.stringify(refused));

      // A node that knows this log starts without its broker and serves what it has.
      const late = nodes[2] as Node;
      await late.server.close({ drainMs: 0 });
      const again = await startNode(t, broker.url, late.folder);
      assert.equal((await history(again.url, channel)).length, 1);
      assert.deepEqual(await readyz(again), { status: 200, log: 'down' });

      await broker.restart();
      await t.waitFor(() => assert.ok(peer.frames.some((frame) => frame.op === 'log' && frame['state'] === 'up')), {
        timeout: 60_000,
        interval: 20,
      });
      const answer = await peer.ask(t, { op: 'append', id: 5, channel, rid: 'c', restart: true }, '{"n":3}');
      assert.equal(answer.op, 'ok', JSON.stringify(answer));
      await t.waitFor(async () => assert.deepEqual(await history(again.url, channel), [{ n: 1 }, { n: 3 }]), DEADLINE);
      assert.ok(!peer.frames.some(({ op }) => op === 'gap'), 'nothing was lost, so no gap is told');
    });
  });
}
