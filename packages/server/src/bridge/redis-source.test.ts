import assert from 'node:assert/strict';
import { describe, type TestContext } from 'node:test';
import { Redis } from 'ioredis';
import { redis as kind } from '../../../../scripts/brokers/redis.ts';
import type { RedisServer } from '../../../../scripts/brokers/redis-server.ts';
import { startServer } from '../log/redis/testing/redis-room.ts';
import { parseBridgeAddress } from './bridge-address.ts';
import { WAITING_BYTES_MAX } from './message.ts';
import { openSource } from './sources.ts';
import { BridgeRoom, bridgeTest, stopBridge } from './testing/bridge-room.ts';
import { type BrokerSide, inboundTests } from './testing/inbound-suite.ts';

function clientOf(t: TestContext, server: RedisServer): Redis {
  const client = new Redis(server.port, '127.0.0.1');
  client.on('error', () => {});
  t.after(() => client.disconnect());
  return client;
}

async function side(t: TestContext): Promise<BrokerSide> {
  const server = await startServer(t);
  const client = clientOf(t, server);
  return {
    from: `redis://127.0.0.1:${server.port}/orders:in`,
    to: 'order:{header.name}',
    broker: server,
    async produce(messages) {
      const pipeline = client.pipeline();
      for (const { name, body } of messages) pipeline.xadd('orders:in', '*', 'name', name, 'value', body);
      await pipeline.exec();
    },
  };
}

describe('a stream of Redis, bridged', () => {
  inboundTests(kind, side, 'one works');

  bridgeTest(kind, 'gives as many entries at once as there is room for, new ones and those given before', async (t) => {
    const server = await startServer(t, {});
    const client = clientOf(t, server);
    const large = Buffer.alloc(WAITING_BYTES_MAX / 8 - 'value'.length);
    for (let n = 0; n < 20; n++) await client.xadd('large', '*', 'value', large);
    const address = parseBridgeAddress(`${server.url.replace(/\/?$/, '')}/large`);
    const { signal } = new AbortController();
    for (const which of ['new', 'given before']) {
      const source = await openSource(address, 'bridge');
      const counts = [(await source.next(signal)).length, (await source.next(signal)).length];
      assert.deepEqual(counts, [8, 8], which);
      await source.close();
    }
  });

  bridgeTest(
    kind,
    'gives an entry without a body as JSON of its fields, with the password in the address',
    async (t) => {
      const server = await startServer(t, { password: 'hunter2' });
      const client = new Redis(server.port, '127.0.0.1', { password: 'hunter2' });
      t.after(() => client.disconnect());
      await client.xadd('prices', '1700000000000-7', 'isin', 'DE0001', 'price', '12.5');
      await client.xadd('prices', '*', 'isin', 'DE0001', 'raw', Buffer.of(0xff));
      await client.xadd('prices', '*', 'price', '3');
      const room = await BridgeRoom.open(t);
      const from = `${server.url.replace(/\/?$/, '')}/prices`;
      const bridge = await room.bridge('--from', from, '--to', 'price:{body.isin}', '--dead-letter', 'dead:prices');
      const records = await room.untilRecords('price:DE0001', 2);
      assert.deepEqual(
        records.map(({ data }) => data),
        [
          { isin: 'DE0001', price: '12.5' },
          { isin: 'DE0001', raw: { base64: '/w==' } },
        ],
      );
      assert.match(records[0]?.rid as string, /^[\w-]{16}\/1700000000000-7$/);
      await room.untilRecords('dead:prices', 1);
      const [dead] = await room.deadLetters('dead:prices');
      assert.equal(dead?.message, 'price:{body.isin}: {body.isin} has no value in this message');
      assert.ok(!JSON.stringify([bridge.stdout, bridge.stderr, dead]).includes('hunter2'));
      await stopBridge(bridge);
    },
  );
});
