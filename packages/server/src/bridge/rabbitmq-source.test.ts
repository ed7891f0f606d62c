import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { connect, type ConfirmChannel } from 'amqplib';
import { rabbitmq as kind, startRabbitmq, type RabbitmqBroker } from '../../../../scripts/brokers/rabbitmq.ts';
import { BridgeRoom, bridgeTest, stopBridge } from './testing/bridge-room.ts';
import { arrivesOnceAndInOrder, type BrokerSide, inboundTests } from './testing/inbound-suite.ts';

describe('RabbitMQ, bridged', () => {
  let started: RabbitmqBroker | undefined;
  before(async () => {
    if (kind.missing() === undefined) started = await startRabbitmq();
  });
  after(() => started?.stop());

  function broker(): { readonly broker: RabbitmqBroker; readonly url: string } {
    if (started === undefined) throw new Error('bridgeTest has looked');
    return { broker: started, url: started.urlOf('').replace(/\?.*$/, '') };
  }

  async function side(what: string): Promise<BrokerSide> {
    const { broker: at, url } = broker();
    const query = new URLSearchParams(what);
    const [queue, exchange] = [query.get('queue') ?? '', query.get('exchange') ?? ''];
    await withChannel(url, async (channel) => {
      if (queue === '') await channel.assertExchange(exchange, 'topic', { durable: true });
      else await channel.assertQueue(queue, { durable: true });
    });
    return {
      from: `${url}?${what}`,
      broker: at,
      to: queue === '' ? 'order:{routingKey.2}' : 'order:{header.name}',
      produce: (messages) =>
        withChannel(url, async (channel) => {
          for (const { name, body, id } of messages) {
            const key = queue === '' ? `order.${name}` : queue;
            channel.publish(exchange, key, Buffer.from(body), { messageId: id, headers: { name }, persistent: true });
          }
          await channel.waitForConfirms();
        }),
    };
  }

  let queues = 0;
  inboundTests(kind, () => side(`queue=orders-${++queues}`), 'one works');

  bridgeTest(kind, 'what an exchange gives to a queue of its own arrives once and in order over kills', async (t) => {
    const from = await side('exchange=shop&routingKey=order.*');
    const room = await BridgeRoom.open(t);
    // The queue has what comes from the first start on.
    await stopBridge(await room.bridge('--from', from.from, '--to', from.to, '--dead-letter', 'dead:orders'));
    await arrivesOnceAndInOrder(t, from);
  });

  bridgeTest(kind, 'a stream is refused in words, since it keeps no place of its consumers', async (t) => {
    const { url } = broker();
    await withChannel(url, async (channel) => {
      await channel.assertQueue('a-stream', { durable: true, arguments: { 'x-queue-type': 'stream' } });
    });
    const room = await BridgeRoom.open(t);
    const bridge = await room.bridge('--from', `${url}?queue=a-stream`, '--to', 'order:all', '--dead-letter', 'dead:o');
    await withChannel(url, async (channel) => {
      channel.sendToQueue('a-stream', Buffer.from('1'));
      await channel.waitForConfirms();
    });
    const { exitCode, stderr } = await bridge.finished();
    assert.equal(exitCode, 1);
    assert.match(stderr, /^error: a-stream is a stream, which keeps no place of its consumers; bind a queue/m);
  });
});

/** A connection of its own: the broker may have been away since the last one. */
async function withChannel(url: string, work: (channel: ConfirmChannel) => Promise<void>): Promise<void> {
  const connection = await connect(url);
  connection.on('error', () => {});
  const channel = await connection.createConfirmChannel();
  await work(channel);
  await connection.close();
}
