/** A Redis Cluster of real servers: its start, its replicas, and a failover to one of them. */
import { RedisServer, type RedisServerOptions } from './redis-server.ts';

/** After this time a failover that was asked for is given up (CLUSTER FAILOVER). */
const ELECTION_MS = 5_000;

/** Starts primaries, each with a share of the slots, and waits until all agree on it. */
export async function startRedisCluster(count = 3, options: RedisServerOptions = {}): Promise<readonly RedisServer[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => RedisServer.start({ ...options, cluster: true })),
  );
  const [first] = servers as [RedisServer, ...RedisServer[]];
  const share = 16_384 / count;
  for (const [n, server] of servers.entries()) {
    server.cli('CLUSTER', 'ADDSLOTSRANGE', String(Math.ceil(n * share)), String(Math.ceil((n + 1) * share) - 1));
    server.cli('CLUSTER', 'SET-CONFIG-EPOCH', String(n + 1));
    if (server !== first) server.cli('CLUSTER', 'MEET', '127.0.0.1', String(first.port));
  }
  await untilClusterIsWell(servers);
  return servers;
}

/** Waits until all nodes of a Cluster know each other, and that every slot is held. */
export async function untilClusterIsWell(servers: readonly RedisServer[]): Promise<void> {
  // The state alone may be ok while slots are missing.
  const wanted = ['cluster_state:ok', 'cluster_slots_ok:16384', `cluster_known_nodes:${servers.length}`];
  for (const server of servers) {
    const isWell = (info: string): boolean => wanted.every((line) => info.includes(line));
    await server.until(['CLUSTER', 'INFO'], isWell, 'the Cluster to agree');
  }
}

/** Adds a replica of a primary to its Cluster; resolves once all of them know it. */
export async function startClusterReplica(servers: readonly RedisServer[], primary: RedisServer): Promise<RedisServer> {
  const replica = await RedisServer.start({ ...primary.options, cluster: true });
  const id = primary.cli('CLUSTER', 'MYID');
  const nodes = ['CLUSTER', 'NODES'];
  replica.cli('CLUSTER', 'MEET', '127.0.0.1', String(primary.port));
  await replica.until(nodes, (known) => known.includes(id), 'the replica to meet the Cluster');
  const synced = replica.says(/sync: Finished with success/);
  replica.cli('CLUSTER', 'REPLICATE', id);
  await synced;
  const listed = new RegExp(`^${replica.cli('CLUSTER', 'MYID')} .*slave ${id}`, 'm');
  for (const server of servers) await server.until(nodes, (known) => listed.test(known), 'all to know the replica');
  return replica;
}

/** Makes a replica the primary. One that is not elected in time, since somebody was busy, stands again. */
export async function failOver(replica: RedisServer): Promise<void> {
  while (!replica.cli('INFO', 'replication').includes('role:master')) {
    const elected = replica.says(/Failover election won/, ELECTION_MS).catch(() => undefined);
    replica.cli('CLUSTER', 'FAILOVER');
    await elected;
  }
}
