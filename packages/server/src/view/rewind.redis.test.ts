/** A view in front of a real Redis that fails over to a stale replica, which another node has written to since. */
import assert from 'node:assert/strict';
import { BrokerLog } from '../log/broker/broker-log.ts';
import { parseRedisAddress } from '../log/redis/redis-address.ts';
import { RedisPort } from '../log/redis/redis-port.ts';
import { redisTest, startServer } from '../log/redis/testing/redis-room.ts';
import { MemoryStore } from './store-memory.ts';
import { Listener, Rig, waitFor } from './testing/view-rig.ts';

const FAILOVER_MS = 60_000;

function logAt(url: string): BrokerLog {
  const port = new RedisPort(parseRedisAddress(url), { times: { answerMs: 5_000, probeMs: 200 } });
  return new BrokerLog({ partitions: 1, port });
}

async function cursorsOf(rig: Rig, channel: string): Promise<string[]> {
  return (await rig.readAll(channel)).map(({ cursor }) => cursor);
}

redisTest('a failover to a stale replica: who lost something is told, the others get what comes', async (t) => {
  const primary = await startServer(t);
  const replica = await startServer(t, { replicaOf: primary });
  const log = logAt(`redis://127.0.0.1:${primary.port},127.0.0.1:${replica.port}`);
  const rig = await Rig.open(new MemoryStore(), { log, constants: await log.open() });
  t.after(async () => {
    await rig.view.close();
    await log.close();
  });
  const kept = new Map<string, string[]>();
  for (const channel of ['chat:lost', 'chat:same', 'chat:grown']) kept.set(channel, await rig.fill(channel, 10));
  await replica.untilReplicated();
  replica.cli('REPLICAOF', 'NO', 'ONE');
  await rig.fill('chat:lost', 5);
  const followed = new Map([...kept.keys()].map((channel) => [channel, new Listener()]));
  for (const [channel, listener] of followed) rig.view.follow(channel, listener);

  const other = logAt(replica.url);
  const elsewhere = await Rig.open(new MemoryStore(), { log: other, constants: await other.open() });
  t.after(async () => {
    await elsewhere.view.close();
    await other.close();
  });
  const grown = await elsewhere.fill('chat:grown', 30);
  await primary.kill();
  const isCutBack = (): boolean => rig.troubles.some(({ event }) => event === 'view_rebuilt');
  await waitFor('the view to be cut back', isCutBack, FAILOVER_MS);
  const heard = (channel: string): Listener => followed.get(channel) as Listener;
  await waitFor('what the other node wrote', () => heard('chat:grown').records.length >= 30, FAILOVER_MS);

  assert.ok(!rig.troubles.some(({ event }) => event === 'store_set_aside'));
  assert.deepEqual(heard('chat:same').heard, []);
  assert.deepEqual(
    heard('chat:grown').records.map(({ cursor }) => cursor),
    grown,
  );
  assert.ok(!heard('chat:grown').heard.some((what) => what.startsWith('gap')));
  assert.deepEqual(heard('chat:lost').heard, [`gap diverged ${rig.view.state('chat:lost').floor}`]);
  assert.deepEqual(await cursorsOf(rig, 'chat:lost'), kept.get('chat:lost'));
  assert.deepEqual(await cursorsOf(rig, 'chat:same'), kept.get('chat:same'));
  assert.deepEqual(await cursorsOf(rig, 'chat:grown'), await cursorsOf(elsewhere, 'chat:grown'));
});
