import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CountingProxy } from '../../../scripts/brokers/counting-proxy.ts';
import { kafka } from '../../../scripts/brokers/kafka.ts';
import { nats } from '../../../scripts/brokers/nats.ts';
import { rabbitmq } from '../../../scripts/brokers/rabbitmq.ts';
import { redis } from '../../../scripts/brokers/redis.ts';
import { requireService } from '../../../scripts/services.ts';
import { startNode, type Node } from './node.ts';
import { DEADLINE, join } from './peer.ts';

// Clients that come back are served from the node's view: a storm of them must not become one on the broker. Counted in
// front of the broker: the payload of every record carries a mark, and the proxy looks for it in all that the broker sends.

const CHANNELS = 5;
const RECORDS = 100;
const CLIENTS = 200;
/** All of them together, on a machine that does other things too. */
const STORM = { ...DEADLINE, timeout: 120_000 };
const MARK = 'counted-by-the-proxy';

function startChat(t: TestContext, log: string, data: string): Promise<Node> {
  return startNode(t, {
    log,
    data,
    namespaces: { chat: { subscribe: 'anyone', append: 'anyone', history: 'anyone' } },
  });
}

async function append(url: string, channel: string, payloads: readonly unknown[]): Promise<readonly string[]> {
  const items = payloads.map((data) => ({ channel, data }));
  const answer = await fetch(`${url}/v1/batch`, { method: 'POST', body: JSON.stringify(items) });
  assert.equal(answer.status, 200);
  const { results } = (await answer.json()) as { readonly results: readonly { readonly cursor: string }[] };
  return results.map(({ cursor }) => cursor);
}

for (const kind of [redis, nats, rabbitmq, kafka]) {
  test(`${CLIENTS} clients that come back read nothing on ${kind.name}`, async (t) => {
    if (!requireService(t, kind.name, kind.missing() === undefined)) return;
    const broker = await kind.start();
    t.after(() => broker.stop());
    const { hostname: host, port: brokerPort } = new URL(broker.url);
    const proxy = await CountingProxy.listen({ host, port: Number(brokerPort) }, MARK);
    t.after(() => proxy.close());
    const address = new URL(broker.url);
    address.port = String(proxy.port);
    const data = await mkdtemp(joinPath(tmpdir(), 'tideway-node-'));
    t.after(() => rm(data, { recursive: true, force: true, maxRetries: 20 }));

    const first = await startChat(t, address.href, data);
    const places: string[] = [];
    for (let n = 0; n < CHANNELS; n++) {
      const payloads = Array.from({ length: RECORDS + 1 }, (_, i) => ({ [MARK]: i }));
      const [place] = await append(first.url, `chat:${n}`, payloads);
      places.push(place as string);
    }
    assert.ok(proxy.counted.texts >= CHANNELS * (RECORDS + 1), 'every record came to the node once, through the proxy');
    // From time to time a node looks at the record where it stands: in each partition that one shall have no mark.
    for (let n = 0; n < 64; n++) await append(first.url, `chat:last-${n}`, ['last']);
    await first.close();

    const node = await startChat(t, address.href, data);
    const before = proxy.counted.texts;
    const peers = await Promise.all(Array.from({ length: CLIENTS }, () => join(t, node.port)));
    await Promise.all(
      peers.map((peer, n) => {
        const from = places[n % CHANNELS];
        return peer.ask(t, { op: 'subscribe', id: 2, channel: `chat:${n % CHANNELS}`, from });
      }),
    );
    await t.waitFor(() => {
      for (const { frames } of peers) assert.equal(frames.filter(({ op }) => op === 'record').length, RECORDS);
    }, STORM);
    assert.equal(proxy.counted.texts - before, 0, `records that ${kind.name} was asked for by ${CLIENTS} clients`);
  });
}
