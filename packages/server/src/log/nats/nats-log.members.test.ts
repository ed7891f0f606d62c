/** One server of several is killed, and leads partitions: until each has another leader it waits, the others go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { nats, startNatsCluster } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { PartitionsRoom } from '../broker/testing/partitions-room.ts';
import { parseNatsAddress } from './nats-address.ts';
import { NatsPort } from './nats-port.ts';
import { NatsNames } from './nats-subject.ts';
import { newName } from './testing/nats-room.ts';

const PARTITIONS = 6;
const WAIT = { timeout: 90_000, interval: 50 };

test('a server is killed: partitions that others lead go on without a break; those that it led come back alone', async (t) => {
  if (!requireService(t, nats.missing() ?? 'nats-server', nats.missing() === undefined)) return;
  const cluster = await startNatsCluster();
  t.after(() => cluster.stop());
  const [first] = cluster.members;
  const name = newName();
  // Connected to the first: it is another one that is killed.
  const address = parseNatsAddress(`nats://127.0.0.1:${first?.port}/${name}?partitions=${PARTITIONS}&replicas=3`);
  const room = await PartitionsRoom.open(t, new NatsPort(address), PARTITIONS);
  await room.assertApart([]);
  const connection = await connect({ servers: `127.0.0.1:${first?.port}` });
  t.after(() => connection.close());
  const manager = await jetstreamManager(connection);
  const leaderOf = async (stream: string): Promise<number> => {
    const { cluster: group } = await manager.streams.info(stream);
    return Number(group?.leader?.slice(1)) - 1;
  };
  const streams = Array.from({ length: PARTITIONS }, (_, n) => new NatsNames(name).stream(n));
  // Partition 0 gets a leader that is not the first, and each keeps the one that it has then.
  await t.waitFor(async () => {
    if ((await leaderOf(streams[0] as string)) > 0) return;
    await connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${streams[0]}`);
    assert.fail('the first server leads it');
  }, WAIT);
  await room.untilDown([]);
  const leaders = await Promise.all(streams.map(leaderOf));
  const gone = leaders[0] as number;
  const led = [...leaders.keys()].filter((n) => leaders[n] === gone);
  const others = [...leaders.keys()].filter((n) => leaders[n] !== gone);
  assert.ok(others.length > 0, leaders.join());
  await cluster.members[gone]?.kill();
  for (let round = 0; round < 10; round++) {
    for (const n of others) assert.equal(await room.append(n), 'stored');
  }
  for (const n of others) assert.equal(room.tails[n]?.length, 11);
  for (const n of led) await t.waitFor(async () => assert.equal(await room.append(n), 'stored'), WAIT);
  await room.untilDown([]);
});
