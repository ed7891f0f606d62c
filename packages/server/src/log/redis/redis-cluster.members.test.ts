/** One member of a Redis Cluster is gone: its partitions are away, all others stay, over one life of the port. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import {
  startClusterReplica,
  startRedisCluster,
  untilClusterIsWell,
} from '../../../../../scripts/brokers/redis-cluster.ts';
import type { RedisServer } from '../../../../../scripts/brokers/redis-server.ts';
import { TailError } from '../log.ts';
import { numbers, PortRoom, Reader, records, redisTest, wantedConstants } from './testing/redis-room.ts';

const PARTITIONS = 6;
const WAIT = { timeout: 60_000, interval: 20 };

/** A Cluster that serves the slots it has while others are lost. */
async function startCluster(
  t: TestContext,
): Promise<{ readonly servers: readonly RedisServer[]; readonly url: string }> {
  const servers = await startRedisCluster(3, { settings: { 'cluster-require-full-coverage': 'no' } });
  t.after(() => Promise.all(servers.map((server) => server.stop())));
  return { servers, url: `redis://${servers.map(({ port }) => `127.0.0.1:${port}`).join()}` };
}

/** The member that holds partition 0, which partitions lie there, and which elsewhere. */
function splitBy(servers: readonly RedisServer[]) {
  const holders = numbers(0, PARTITIONS - 1).map((n) => {
    const slot = Number(servers[0]!.cli('CLUSTER', 'KEYSLOT', `{tideway:${n}}:records`));
    return servers[Math.floor(slot / (16_384 / servers.length))]!;
  });
  const [member] = holders as [RedisServer];
  const of = (isThere: boolean): number[] =>
    numbers(0, PARTITIONS - 1).filter((n) => (holders[n] === member) === isThere);
  const [away, well] = [of(true), of(false)];
  assert.ok(away.length > 0 && well.length > 0);
  return { member, away, well };
}

async function followAll(room: PortRoom): Promise<readonly Reader[]> {
  const readers = numbers(0, PARTITIONS - 1).map(() => new Reader());
  for (const [partition, reader] of readers.entries()) await room.port.follow(partition, 0, reader.events);
  return readers;
}

async function untilStored(t: TestContext, room: PortRoom, partition: number): Promise<void> {
  await t.waitFor(
    async () => assert.deepEqual(await room.port.append(partition, records(1), 10_000), [{ state: 'stored' }]),
    WAIT,
  );
}

redisTest(
  'a member that is gone: its partitions are refused, their followers end, the others go on; back, all are found',
  async (t) => {
    const { servers, url } = await startCluster(t);
    const room = await PortRoom.open(t, url, PARTITIONS);
    const { member, away, well } = splitBy(servers);
    const readers = await followAll(room);
    for (const partition of numbers(0, PARTITIONS - 1)) await room.store(records(2), partition);
    for (const reader of readers) await reader.count(2);
    await member.kill();
    for (const partition of away) {
      await readers[partition]!.end();
      const [outcome] = await room.port.append(partition, records(1), 10_000);
      assert.ok(outcome?.state === 'refused' && outcome.code === 'not_durable', JSON.stringify(outcome));
      await assert.rejects(
        room.port.bounds(partition),
        (error) => error instanceof TailError && error.reason === 'unavailable',
      );
    }
    for (const partition of well) {
      await room.store(records(3), partition);
      await readers[partition]!.count(5);
      assert.deepEqual(readers[partition]!.ends, []);
    }
    const heard = Promise.withResolvers<Buffer>();
    await room.port.onSignal('a', heard.resolve);
    await t.waitFor(async () => {
      room.port.signal('a', Buffer.from('1'));
      assert.equal(String(await Promise.race([heard.promise, Promise.resolve('nothing yet')])), '1');
    }, WAIT);
    await member.restart();
    await untilClusterIsWell(servers);
    for (const partition of away) {
      await untilStored(t, room, partition);
      const { newest } = await room.port.bounds(partition);
      const reader = new Reader();
      await room.port.follow(partition, 0, reader.events);
      await reader.count(newest);
    }
    for (const partition of well) assert.deepEqual(readers[partition]!.ends, []);
    assert.deepEqual(room.downs, [], 'one life of the port');
  },
);

redisTest('a member whose replica takes over: its partitions are found there, the others never stop', async (t) => {
  const { servers, url } = await startCluster(t);
  const room = await PortRoom.open(t, url, PARTITIONS);
  const { member, away, well } = splitBy(servers);
  const replica = await startClusterReplica(servers, member);
  t.after(() => replica.stop());
  const readers = await followAll(room);
  for (const partition of numbers(0, PARTITIONS - 1)) await room.store(records(1), partition);
  await t.waitFor(() => {
    const offset = (server: RedisServer): string | undefined =>
      /master_repl_offset:(\d+)/.exec(server.cli('INFO', 'replication'))?.[1];
    assert.equal(offset(replica), offset(member));
  }, WAIT);
  await member.kill();
  for (const partition of away) {
    await untilStored(t, room, partition);
    assert.deepEqual(await room.port.bounds(partition), { oldest: 0, newest: 2 });
    assert.equal(replica.cli('XLEN', `{tideway:${partition}}:records`), '2');
  }
  for (const partition of well) {
    await room.store(records(1), partition);
    await readers[partition]!.count(2);
    assert.deepEqual(readers[partition]!.ends, []);
  }
  assert.deepEqual(room.downs, []);
});

redisTest(
  'a partition that was made anew while its member was gone is another one: the port connects anew',
  async (t) => {
    const { servers, url } = await startCluster(t);
    const room = new PortRoom(t, url);
    const before = await room.port.connect(wantedConstants(PARTITIONS));
    const { member, away } = splitBy(servers);
    const readers = await followAll(room);
    await member.kill();
    for (const partition of away) await readers[partition]!.end();
    await member.restart();
    await untilClusterIsWell(servers);
    member.cli('DEL', '{tideway:0}:records');
    await assert.rejects(room.port.bounds(0), (error) => error instanceof TailError && error.reason === 'epoch');
    assert.equal(room.downs.length, 1);
    const after = await room.connectAgain(PARTITIONS);
    const changed = numbers(0, PARTITIONS - 1).filter(
      (n) => after.partitions[n]!.epoch !== before.partitions[n]!.epoch,
    );
    assert.deepEqual(changed, [0]);
    for (const partition of numbers(0, PARTITIONS - 1)) await room.store(records(1), partition);
  },
);

redisTest(
  'a port that was connected before connects while a member is gone; a new one says what is missing',
  async (t) => {
    const { servers, url } = await startCluster(t);
    const room = await PortRoom.open(t, url, PARTITIONS);
    const { member, away, well } = splitBy(servers);
    const constants = await room.port.connect(wantedConstants(PARTITIONS));
    await member.kill();
    assert.deepEqual(await room.connectAgain(PARTITIONS), constants);
    for (const partition of well) await room.store(records(1), partition);
    const [outcome] = await room.port.append(away[0]!, records(1), 10_000);
    assert.equal(outcome?.state, 'refused');
    await assert.rejects(
      new PortRoom(t, url).port.connect(wantedConstants(PARTITIONS)),
      /nothing listens there|no primary/,
    );
    await member.restart();
    await untilClusterIsWell(servers);
    for (const partition of away) await untilStored(t, room, partition);
    assert.deepEqual(room.downs, []);
  },
);
