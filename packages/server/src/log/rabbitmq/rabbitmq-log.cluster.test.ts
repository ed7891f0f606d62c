import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from 'amqplib';
import {
  rabbitmq,
  startRabbitmqCluster,
  type RabbitmqBroker,
  type RabbitmqCluster,
} from '../../../../../scripts/brokers/rabbitmq.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { LogRun } from './testing/log-run.ts';
import { TcpRelay } from './testing/tcp-relay.ts';

const WAIT = { timeout: 60_000, interval: 50 };
let cluster: RabbitmqCluster | undefined;
before(async () => {
  if (rabbitmq.missing() === undefined) cluster = await startRabbitmqCluster();
});
after(() => cluster?.stop());

test('two of three members are killed under load, one after the other: no place diverges, all that was stored is there, in order', async (t) => {
  if (!requireService(t, rabbitmq.missing() ?? 'rabbitmq-server', cluster)) return;
  const runs = [await LogRun.open(cluster.urlOf('name=members')), await LogRun.open(cluster.urlOf('name=members'))];
  const [run, peer] = runs as [LogRun, LogRun];
  const [tail, peerTail] = [await run.tail(), await peer.tail()];
  const stop = run.write();
  await run.storedBeyond(200);
  const [first, second] = cluster.members as [RabbitmqBroker, RabbitmqBroker];
  await first.kill();
  await run.storedBeyond(run.stored.length + 200);
  await first.restart();
  await run.storedBeyond(run.stored.length + 200);
  await second.kill();
  await run.storedBeyond(run.stored.length + 200);
  await stop();
  assert.deepEqual(await run.append(1), [{ state: 'stored' }]);
  tail.assertWhole();
  await peer.until(() => peerTail.records.length >= tail.records.length, 'the other node to have it all');
  assert.deepEqual(peerTail.records, tail.records);
  assert.equal(peerTail.error, undefined);
  for (const one of runs) await one.log.close();
  await second.restart();
});

test('a node whose member hangs goes on at another one, though RabbitMQ binds no queue meanwhile', async (t) => {
  if (!requireService(t, rabbitmq.missing() ?? 'rabbitmq-server', cluster)) return;
  const [first, second] = cluster.members as [RabbitmqBroker, RabbitmqBroker];
  const witness = await connect(second.url);
  t.after(() => witness.close());
  const channel = await witness.createChannel();
  await channel.assertQueue('witness', { durable: true });
  const relay = await TcpRelay.to(first.port);
  const url = cluster.urlOf('name=hangs').replace(`:${first.port}`, `:${relay.port}`);
  let run = await LogRun.open(url);
  t.after(() => run.log.close());
  // Nodes begin with any member.
  while (relay.connections === 0) {
    await run.log.close();
    run = await LogRun.open(url);
  }
  assert.deepEqual(await run.append(1), [{ state: 'stored' }]);
  // A replica learns that a record counts a moment after its writer does, and from a leader that hangs not at all.
  for (const member of cluster.members.slice(1)) {
    const reader = await LogRun.open(member.urlOf('name=hangs'));
    const tail = await reader.tail();
    await reader.until(() => tail.records.length === 1, 'every member to have it');
    await reader.log.close();
  }
  first.pause();
  let isBound = false;
  const bound = channel.bindQueue('witness', 'amq.direct', 'w').then(() => (isBound = true));
  try {
    await t.waitFor(() => assert.equal(relay.connections, 0, 'the member is not given up'), WAIT);
    await t.waitFor(async () => {
      const tail = await run.tail();
      await t.waitFor(() => assert.equal(tail.records.length, 1, 'the record is not read at another member'), WAIT);
    }, WAIT);
    assert.equal(isBound, false, 'RabbitMQ has given the member up by itself');
  } finally {
    first.resume();
    await relay.close();
  }
  await bound;
  assert.deepEqual(await run.append(1), [{ state: 'stored' }]);
});
