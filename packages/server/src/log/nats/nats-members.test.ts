import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { nats, startNatsCluster, type NatsCluster } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { eventually, NatsRoom, newName, recordsOf, ridOf } from './testing/nats-room.ts';

let cluster: NatsCluster | undefined;
before(async () => {
  if (nats.missing() === undefined) cluster = await startNatsCluster();
});
after(() => cluster?.stop());

function given(t: TestContext): NatsCluster | undefined {
  return requireService(t, nats.missing() ?? 'nats-server', cluster) ? cluster : undefined;
}

test('the server that a node is connected to is killed: it goes on by another one', async (t) => {
  const servers = given(t);
  if (servers === undefined) return;
  const [first] = servers.members;
  // The address names one server only; the others are told by it.
  const url = `nats://127.0.0.1:${first?.port}/${newName()}?partitions=1&replicas=3`;
  const room = new NatsRoom(url);
  t.after(() => room.port.close());
  const stored = await eventually(t, () => room.connect());
  await room.store(0, recordsOf('chat:a', 10));
  await first?.kill();
  await room.down();
  const again = await eventually(t, () => room.connect());
  assert.deepEqual(again, stored);
  assert.deepEqual(await eventually(t, () => room.port.bounds(0)), { oldest: 0, newest: 10 });
  await first?.restart();
});

test('without a majority nothing is stored, and nothing is said to be', async (t) => {
  const servers = given(t);
  if (servers === undefined) return;
  const room = new NatsRoom(servers.urlOf(newName(), 'partitions=1&replicas=3'));
  t.after(() => room.port.close());
  await eventually(t, () => room.connect());
  const stored = recordsOf('chat:a', 10);
  await room.store(0, stored);
  const [one, two] = servers.members;
  await Promise.all([one?.kill(), two?.kill()]);
  const unsure = recordsOf('chat:a', 5);
  const outcomes = await room.port.append(0, unsure, 2_000);
  for (const { state } of outcomes) assert.notEqual(state, 'stored');
  await Promise.all([one?.restart(), two?.restart()]);
  await eventually(t, () => room.connect());
  const { newest } = await eventually(t, () => room.port.bounds(0));
  // The member that was left may have kept any number of them for its successors, in their order.
  const reading = await eventually(t, () => room.follow(0));
  await reading.count(newest);
  assert.ok(newest >= 10, String(newest));
  const { rids } = reading;
  assert.deepEqual(rids, [...stored, ...unsure].slice(0, rids.length).map(ridOf));
});
