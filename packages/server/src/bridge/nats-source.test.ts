import assert from 'node:assert/strict';
import { describe, type TestContext } from 'node:test';
import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { nats as kind, startNats } from '../../../../scripts/brokers/nats.ts';
import { BridgeRoom, bridgeTest } from './testing/bridge-room.ts';
import { type BrokerSide, inboundTests } from './testing/inbound-suite.ts';

async function side(
  t: TestContext,
  authorization?: string,
): Promise<{ readonly side: BrokerSide; readonly manager: JetStreamManager }> {
  const server = await startNats({ isSynced: true, ...(authorization !== undefined && { authorization }) });
  t.after(() => server.stop());
  const connection = await connect({
    servers: `127.0.0.1:${server.port}`,
    ...(authorization !== undefined && { user: 'all', pass: 'secret' }),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
  });
  t.after(() => connection.close());
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>', 'other.>'] });
  const js = jetstream(connection);
  const from: BrokerSide = {
    from: `nats://127.0.0.1:${server.port}/orders.>`,
    to: 'order:{subject.3}',
    broker: server,
    async produce(messages) {
      for (const { name, body } of messages) {
        // What others publish to the same stream leaves holes in its sequence.
        connection.publish('other.thing', 'noise');
        await js.publish(`orders.eu.${name}`, body);
      }
    },
  };
  return { side: from, manager };
}

describe('a subject of JetStream, bridged', () => {
  inboundTests(kind, async (t) => (await side(t)).side, 'one works');

  bridgeTest(kind, 'is refused in words where it is a work queue, or in no stream', async (t) => {
    const { side: from, manager } = await side(t);
    await manager.streams.add({ name: 'JOBS', subjects: ['jobs.>'], retention: 'workqueue' });
    const room = await BridgeRoom.open(t);
    for (const [subject, why] of [
      ['jobs.>', /^error: nats:.*\/jobs\.>: the stream JOBS has the retention workqueue/m],
      ['nowhere', /^error: nats:.*\/nowhere: no stream of JetStream has the subject nowhere$/m],
    ] as const) {
      const address = from.from.replace('orders.>', subject);
      const bridge = room.command('--from', address, '--to', 'job:all', '--dead-letter', 'dead:jobs');
      const { exitCode, stderr } = await bridge.finished();
      assert.equal(exitCode, 1);
      assert.match(stderr, why);
    }
  });

  bridgeTest(kind, 'says that its account may not tell JetStream to go on', async (t) => {
    const deny = '{ user: few, password: secret, permissions: { publish: { deny: "$JS.FC.>" } } }';
    const { side: from } = await side(t, `users: [{ user: all, password: secret }, ${deny}]`);
    // JetStream asks each 2 MiB, and between two tries the bridge waits longer and longer: until that lasts, and is told.
    const body = JSON.stringify('x'.repeat(100 * 1024));
    await from.produce(Array.from({ length: 160 }, (_, n) => ({ name: 'a', body, id: `m${n}` })));
    const room = await BridgeRoom.open(t);
    const address = from.from.replace('nats://', 'nats://few:secret@');
    const bridge = await room.bridge('--from', address, '--to', from.to, '--dead-letter', 'dead:orders');
    await bridge.line('stdout', /"event":"waiting".*"at":"broker".*permissions violation.*\$JS\.FC\./i);
    assert.ok(!bridge.stdout.join('').includes('secret'));
  });
});
