import { describe, type TestContext } from 'node:test';
import { Redis } from 'ioredis';
import { redis as kind } from '../../../../scripts/brokers/redis.ts';
import { startServer } from '../log/redis/testing/redis-room.ts';
import { bridgeTest } from './testing/bridge-room.ts';
import { arrivesInOrder, keepsPayloads, type SinkSide, type Written } from './testing/outbound-suite.ts';

async function side(t: TestContext): Promise<SinkSide> {
  const server = await startServer(t);
  const client = new Redis(server.port, '127.0.0.1');
  t.after(() => client.disconnect());
  return {
    to: `redis://127.0.0.1:${server.port}/shop:events`,
    async read() {
      const entries = await client.xrangeBuffer('shop:events', '-', '+');
      return entries.map(([, fields]): Written => {
        const values = new Map<string, Buffer>();
        for (let i = 0; i + 1 < fields.length; i += 2) values.set(String(fields[i]), fields[i + 1] as Buffer);
        const headers = new Map([...values].map(([name, value]) => [name, value.toString()]));
        const [channel = '', id = ''] = [headers.get('channel'), headers.get('tideway-cursor')];
        return { channel, value: values.get('value') as Buffer, headers, id };
      });
    },
  };
}

describe('channels, bridged to a stream of Redis', () => {
  bridgeTest(kind, 'arrive, each in order, over kills of bridge and server', async (t) => {
    await arrivesInOrder(t, await side(t));
  });

  bridgeTest(kind, 'keep their payloads', async (t) => {
    await keepsPayloads(t, await side(t));
  });
});
