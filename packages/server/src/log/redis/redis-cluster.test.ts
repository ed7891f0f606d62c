import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import {
  failOver,
  startClusterReplica,
  startRedisCluster,
  untilClusterIsWell,
} from '../../../../../scripts/brokers/redis-cluster.ts';
import type { RedisServer } from '../../../../../scripts/brokers/redis-server.ts';
import { numbers, PortRoom, Reader, records, redisTest, wantedConstants } from './testing/redis-room.ts';

const PARTITIONS = 6;

async function startCluster(t: TestContext): Promise<readonly RedisServer[]> {
  const servers = await startRedisCluster();
  t.after(() => Promise.all(servers.map((server) => server.stop())));
  return servers;
}

/** The server whose share of the slots holds a key. */
function holderOf(servers: readonly RedisServer[], key: string): RedisServer {
  const slot = Number(servers[0]!.cli('CLUSTER', 'KEYSLOT', key));
  return servers[Math.floor(slot / (16_384 / servers.length))]!;
}

redisTest('a Cluster is found from any member; its partitions lie on several, and are followed on each', async (t) => {
  const servers = await startCluster(t);
  const rooms = await Promise.all(servers.map(({ url }) => PortRoom.open(t, url, PARTITIONS)));
  const holders = new Set(numbers(0, PARTITIONS - 1).map((n) => holderOf(servers, `{tideway:${n}}:records`).port));
  assert.ok(holders.size > 1);
  const readers = numbers(0, PARTITIONS - 1).map(() => new Reader());
  for (const [n, reader] of readers.entries()) await rooms[n % 3]!.port.follow(n, 0, reader.events);
  for (const [n, room] of rooms.entries()) {
    for (const partition of numbers(0, PARTITIONS - 1)) await room.store(records(10 + n), partition);
  }
  for (const reader of readers) {
    await reader.count(33);
    assert.deepEqual(reader.numbers, numbers(1, 33));
  }
  const heard = Promise.withResolvers<Buffer>();
  await rooms[2]!.port.onSignal('a', heard.resolve);
  rooms[0]!.port.signal('a', Buffer.from('1'));
  assert.equal(String(await heard.promise), '1');
  await assert.rejects(
    new PortRoom(t, `${servers[0]!.url}?database=1`).port.connect(wantedConstants()),
    /only database 0/,
  );
});

redisTest('a partition that moves to another node is found there, and nothing of it is lost', async (t) => {
  const servers = await startCluster(t);
  const room = new PortRoom(t, servers[0]!.url);
  const constants = await room.port.connect(wantedConstants(1));
  await room.store(records(20));
  const key = '{tideway:0}:records';
  const from = holderOf(servers, key);
  const to = servers.find((server) => server !== from)!;
  const slot = from.cli('CLUSTER', 'KEYSLOT', key);
  const [fromId, toId] = [from.cli('CLUSTER', 'MYID'), to.cli('CLUSTER', 'MYID')];
  to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
  from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
  from.cli('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', key);
  const moving = await room.appendOne();
  assert.ok(moving.state === 'refused' && /being moved to another node/.test(moving.message), JSON.stringify(moving));
  await room.down();
  for (const server of [to, from]) server.cli('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
  assert.deepEqual(await room.connectAgain(), constants);
  await room.store(records(1));
  assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 21 });
});

redisTest('a failover inside the Cluster is found by who appends and by who only listens', async (t) => {
  const servers = await startCluster(t);
  const primary = holderOf(servers, '{tideway:0}:records');
  const replica = await startClusterReplica(servers, primary);
  t.after(() => replica.stop());
  const rooms = [new PortRoom(t, servers[0]!.url), new PortRoom(t, servers[1]!.url)] as const;
  const constants = await rooms[0].port.connect(wantedConstants(1));
  await rooms[1].port.connect(wantedConstants(1));
  await rooms[0].store(records(20));
  const reader = new Reader();
  await rooms[1].port.follow(0, 20, reader.events);
  await failOver(replica);
  await reader.end();
  await rooms[1].down();
  const refused = await rooms[0].appendOne();
  assert.ok(refused.state === 'refused', JSON.stringify(refused));
  for (const room of rooms) assert.deepEqual(await room.connectAgain(), constants);
  await rooms[0].store(records(1));
  assert.deepEqual(await rooms[1].port.bounds(0), { oldest: 0, newest: 21 });
  assert.equal(replica.cli('XLEN', '{tideway:0}:records'), '21');
});

redisTest('while a node of the Cluster is gone, connecting says what is missing', async (t) => {
  const servers = await startCluster(t);
  const members = `redis://${servers.map(({ port }) => `127.0.0.1:${port}`).join()}`;
  const room = await PortRoom.open(t, members, PARTITIONS);
  const gone = holderOf(servers, '{tideway:0}:records');
  await gone.kill();
  await room.down();
  await assert.rejects(
    room.port.connect(wantedConstants(PARTITIONS)),
    /nothing listens there|no primary for this partition/,
  );
  await gone.restart();
  await untilClusterIsWell(servers);
  await room.connectAgain(PARTITIONS);
  for (const partition of numbers(0, PARTITIONS - 1)) await room.store(records(1), partition);
});
