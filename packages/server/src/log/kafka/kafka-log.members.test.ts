/** One broker of several is killed, and leads partitions that no other holds: they are down, the others go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PartitionsRoom } from '../broker/testing/partitions-room.ts';
import { parseKafkaAddress } from './kafka-address.ts';
import { KafkaCluster } from './kafka-cluster.ts';
import { loadKafka } from './kafka-library.ts';
import { KafkaPort } from './kafka-port.ts';
import { kafkaRoom, newName } from './testing/kafka-room.ts';

const PARTITIONS = 6;
const brokers = kafkaRoom({ members: 3 });

test('a broker is killed: its partitions are down, those of the others go on; started again, all are up', async (t) => {
  const cluster = await brokers(t);
  if (cluster === undefined) return;
  const name = newName();
  const address = parseKafkaAddress(cluster.url(name, { partitions: String(PARTITIONS), replication: '1' }));
  const room = await PartitionsRoom.open(t, new KafkaPort(address), PARTITIONS);
  await room.assertApart([]);
  const seen = await KafkaCluster.connect(await loadKafka(), address, [name]);
  const leaders = Array.from({ length: PARTITIONS }, (_, n) => seen.leader(name, n)?.leader);
  await seen.close();
  const member = cluster.members.find(({ place }) => place.id === leaders[0]);
  const down = [...leaders.keys()].filter((n) => leaders[n] === leaders[0]);
  assert.ok(member !== undefined && down.length < PARTITIONS);
  await member.kill();
  await room.untilDown(down);
  await room.assertApart(down);
  await member.restart();
  await room.untilDown([]);
  await room.assertApart([]);
  const outages = room.events.filter(({ event }) => event === 'down');
  assert.ok(outages.length > 0 && outages.every(({ health }) => health.down.every((n) => down.includes(n))));
});
