import { after, before, test } from 'node:test';
import { logSuite } from '@tideway/verifier';
import { redis } from '../../../../../scripts/brokers/redis.ts';
import { startRedisCluster } from '../../../../../scripts/brokers/redis-cluster.ts';
import { RedisServer } from '../../../../../scripts/brokers/redis-server.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import { parseRedisAddress } from './redis-address.ts';
import { RedisPort } from './redis-port.ts';

const KIB = 1024;
const small = { window: 64, keepRecords: 64, queueBytesMax: 128 * KIB };
const missing = redis.missing();

if (missing === undefined) {
  let alone: RedisServer;
  let cluster: readonly RedisServer[];
  before(async () => {
    [alone, cluster] = await Promise.all([RedisServer.start(), startRedisCluster()]);
  });
  after(() => Promise.all([alone, ...cluster].map((server) => server.stop())));
  let logs = 0;
  const suite = (name: string, partitions: number, url: () => string): void => {
    logSuite(name, (size) => {
      const address = parseRedisAddress(`${url()}/log${++logs}`);
      const make = (): BrokerLog =>
        new BrokerLog({ partitions, port: new RedisPort(address), ...(size === 'small' ? small : {}) });
      return Promise.resolve({ log: make(), reopen: make, peer: make, dispose: () => Promise.resolve() });
    });
  };
  suite('Redis, one partition', 1, () => alone.url);
  suite('Redis, four partitions', 4, () => alone.url);
  suite('Redis Cluster, four partitions', 4, () => cluster[0]!.url);
} else {
  test('the log suite on Redis', (t) => void requireService(t, missing, undefined));
}
