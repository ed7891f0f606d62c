import assert from 'node:assert/strict';
import { describe, type TestContext } from 'node:test';
import type { Producer } from '@platformatic/kafka';
import { kafka as kind } from '../../../../scripts/brokers/kafka.ts';
import { loadKafka } from '../log/kafka/kafka-library.ts';
import { kafkaRoom } from '../log/kafka/testing/kafka-room.ts';
import { BridgeRoom, bridgeTest, stopBridge } from './testing/bridge-room.ts';
import { type BrokerSide, inboundTests } from './testing/inbound-suite.ts';

describe('a topic of Kafka, bridged', () => {
  const cluster = kafkaRoom();
  let made = 0;

  async function newTopic(
    t: TestContext,
    partitions: number,
  ): Promise<{ readonly topic: string; readonly from: string; readonly producer: Producer }> {
    const broker = await cluster(t);
    if (broker === undefined) throw new Error('bridgeTest has looked');
    const kafka = await loadKafka();
    const topic = `topic-${++made}`;
    const options = { clientId: 'test', bootstrapBrokers: broker.bootstrap.split(',') };
    const admin = new kafka.Admin(options);
    await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
    await admin.close();
    const producer = new kafka.Producer(options);
    t.after(() => producer.close(true));
    return { topic, from: `kafka://${broker.bootstrap}/${topic}`, producer };
  }

  async function side(t: TestContext): Promise<BrokerSide> {
    const { topic, from, producer } = await newTopic(t, 2);
    const [broker] = (await cluster(t))?.members ?? [];
    if (broker === undefined) throw new Error('a cluster has a member');
    return {
      from,
      broker,
      to: 'order:{key}',
      async produce(messages) {
        for (let at = 0; at < messages.length; at += 500) {
          await producer.send({
            messages: messages.slice(at, at + 500).map(({ name, body }) => {
              return { topic, key: Buffer.from(name), value: Buffer.from(body) };
            }),
          });
        }
      },
    };
  }

  inboundTests(kind, side, 'both work');

  bridgeTest(kind, 'an inbox takes native records with any key, in any partition', async (t) => {
    const { topic, from, producer } = await newTopic(t, 1);
    const headers = (more: Readonly<Record<string, string>>): Map<Buffer, Buffer> =>
      new Map(Object.entries(more).map(([name, value]) => [Buffer.from(name), Buffer.from(value)]));
    const key = Buffer.from('chat:1');
    await producer.send({
      messages: [
        { topic, key, value: Buffer.from('"hi"'), headers: headers({ 'tideway-rid': 'r1', 'tideway-key': 'k' }) },
        { topic, key, value: Buffer.from('"hi"'), headers: headers({ 'tideway-rid': 'r1' }) },
        { topic, key, value: Buffer.of(0xff), headers: headers({ 'tideway-encoding': 'bytes' }) },
        { topic, value: Buffer.from('1') },
      ] as never,
    });
    const room = await BridgeRoom.open(t);
    const bridge = await room.bridge('--from', from, '--to', '{key}', '--dead-letter', 'dead:inbox');
    await room.untilRecords('dead:inbox', 1);
    const records = await room.untilRecords('chat:1', 2);
    assert.deepEqual(
      records.map(({ data, key: recordKey, encoding }) => ({ data, recordKey, encoding })),
      [
        { data: 'hi', recordKey: 'k', encoding: undefined },
        { data: '/w==', recordKey: undefined, encoding: 'base64' },
      ],
    );
    assert.equal(records[0]?.rid, 'r1');
    assert.match(records[1]?.rid as string, /^[\w-]{22}\/0\/2$/);
    const [dead] = await room.deadLetters('dead:inbox');
    assert.equal(dead?.message, '{key} has no value in this message');
    await stopBridge(bridge);
  });
});
