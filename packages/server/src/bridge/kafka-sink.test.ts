import { describe, type TestContext } from 'node:test';
import { kafka as kind } from '../../../../scripts/brokers/kafka.ts';
import { loadKafka } from '../log/kafka/kafka-library.ts';
import { kafkaRoom } from '../log/kafka/testing/kafka-room.ts';
import { bridgeTest } from './testing/bridge-room.ts';
import { arrivesInOrder, keepsPayloads, type SinkSide, type Written } from './testing/outbound-suite.ts';

describe('channels, bridged to a topic of Kafka', () => {
  const cluster = kafkaRoom();
  let made = 0;

  async function side(t: TestContext): Promise<SinkSide> {
    const broker = await cluster(t);
    if (broker === undefined) throw new Error('bridgeTest has looked');
    const kafka = await loadKafka();
    const topic = `events-${++made}`;
    const options = { clientId: 'test', bootstrapBrokers: broker.bootstrap.split(',') };
    const admin = new kafka.Admin(options);
    await admin.createTopics({ topics: [topic], partitions: 3, replicas: 1 });
    await admin.close();
    const consumer = new kafka.Consumer({ ...options, groupId: topic });
    t.after(() => consumer.close(true));
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', maxWaitTime: 100 });
    const written: Written[] = [];
    stream.on('data', ({ key, value, headerEntries }) => {
      const headers = new Map(headerEntries.map(([name, text]) => [String(name), String(text)]));
      written.push({ channel: key.toString(), value, headers, id: headers.get('tideway-cursor') ?? '' });
    });
    return { to: `kafka://${broker.bootstrap}/${topic}`, read: () => Promise.resolve(written) };
  }

  bridgeTest(kind, 'arrive, each in order, over kills of bridge and server', async (t) => {
    await arrivesInOrder(t, await side(t));
  });

  bridgeTest(kind, 'keep their payloads', async (t) => {
    await keepsPayloads(t, await side(t));
  });
});
