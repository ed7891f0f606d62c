import assert from 'node:assert/strict';
import { after, before, describe, type TestContext } from 'node:test';
import { connect } from 'amqplib';
import { rabbitmq as kind, startRabbitmq, type RabbitmqBroker } from '../../../../scripts/brokers/rabbitmq.ts';
import { BridgeRoom, bridgeTest, stopBridge } from './testing/bridge-room.ts';
import { arrivesInOrder, keepsPayloads, type SinkSide, type Written } from './testing/outbound-suite.ts';

describe('channels, bridged to RabbitMQ', () => {
  let started: RabbitmqBroker | undefined;
  before(async () => {
    if (kind.missing() === undefined) started = await startRabbitmq();
  });
  after(() => started?.stop());

  /** A queue that takes what is written to `what`, and all that it got. */
  async function side(t: TestContext, what: string, queue: string, bindKey?: string): Promise<SinkSide> {
    const url = (started as RabbitmqBroker).urlOf('').replace(/\?.*$/, '');
    const connection = await connect(url);
    t.after(() => connection.close());
    const channel = await connection.createChannel();
    await channel.assertQueue(queue, { durable: true });
    if (bindKey !== undefined) {
      await channel.assertExchange('events', 'topic', { durable: true });
      await channel.bindQueue(queue, 'events', bindKey);
    }
    const written: Written[] = [];
    await channel.consume(queue, (message) => {
      if (message === null) return;
      const { properties, content } = message;
      const headers = new Map<string, string>(Object.entries(properties.headers ?? {}));
      written.push({
        channel: headers.get('tideway-channel') ?? '',
        value: content,
        headers,
        id: String(properties.messageId),
      });
      channel.ack(message);
    });
    return { to: `${url}?${what}`, read: () => Promise.resolve(written) };
  }

  bridgeTest(kind, 'arrive in a queue, each in order, over kills of bridge and server', async (t) => {
    await arrivesInOrder(t, await side(t, 'queue=out-1', 'out-1'));
  });

  bridgeTest(
    kind,
    'arrive over an exchange, with the channel for a routing key, and keep their payloads',
    async (t) => {
      await keepsPayloads(t, await side(t, 'exchange=events', 'out-2', 'order:x'));
    },
  );

  bridgeTest(kind, 'wait where no queue would take them, and say so', async (t) => {
    const { to, read } = await side(t, 'exchange=events&routingKey=nowhere', 'out-3', 'elsewhere');
    const room = await BridgeRoom.open(t);
    await room.append('order:x', [{ rid: 'r', json: '1' }]);
    const bridge = await room.bridge('--from', 'order:*', '--to', to, '--dead-letter', 'dead:orders');
    await bridge.line('stdout', /"event":"waiting".*no queue is bound for the routing key nowhere/);
    assert.deepEqual(await room.records('dead:orders'), []);
    const connection = await connect((started as RabbitmqBroker).urlOf('').replace(/\?.*$/, ''));
    t.after(() => connection.close());
    await (await connection.createChannel()).bindQueue('out-3', 'events', 'nowhere');
    await bridge.line('stdout', /"event":"resumed"/);
    const [written] = await read();
    assert.equal(written?.value.toString(), '1');
    await stopBridge(bridge);
  });
});
