/** Redis as tests and demos start it: one server, a primary with its replica, a Cluster. */
import { execFileSync } from 'node:child_process';
import { type Broker, type BrokerKind, replicatedBroker, type ReplicatedBroker, type StaleBroker } from './broker.ts';
import { startRedisCluster } from './redis-cluster.ts';
import { RedisServer } from './redis-server.ts';

export const redis: BrokerKind = {
  name: 'redis',
  missing: () => {
    for (const program of ['redis-server', 'redis-cli']) {
      try {
        execFileSync(program, ['--version'], { stdio: 'ignore' });
      } catch {
        return `${program} is not installed (Debian: apt-get install redis-server)`;
      }
    }
    return undefined;
  },
  start: () => RedisServer.start(),
  startStale: startRedisPair,
  startMembers: async () =>
    replicated(await startRedisCluster(3, { settings: { 'cluster-require-full-coverage': 'no' } })),
};

/** A broker to be measured: Redis as most run it, which may lose what a slow disk has not taken yet. */
export function startMeasured(kind: BrokerKind): Promise<Broker> {
  return kind === redis ? RedisServer.start({ fsync: 'everysec' }) : kind.start();
}

/** A primary and its replica, which becomes a primary once it is detached. */
async function startRedisPair(): Promise<StaleBroker> {
  const primary = await RedisServer.start();
  const replica = await RedisServer.start({ replicaOf: primary });
  await replica.untilReplicated();
  return Object.assign(replicated([primary, replica]), {
    async detachReplica() {
      replica.cli('REPLICAOF', 'NO', 'ONE');
    },
    failOver: () => primary.kill(),
  });
}

function replicated(members: readonly RedisServer[]): ReplicatedBroker {
  const url = `redis://${members.map(({ port }) => `127.0.0.1:${port}`).join()}`;
  const stop = async (): Promise<void> => void (await Promise.all(members.map((member) => member.stop())));
  return replicatedBroker({ url, members, stop });
}
