import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { kafka as kind, kafkaUser } from '../../../../scripts/brokers/kafka.ts';
import { parseKafkaAddress } from '../log/kafka/kafka-address.ts';
import { loadKafka } from '../log/kafka/kafka-library.ts';
import { kafkaRoom } from '../log/kafka/testing/kafka-room.ts';
import { kafkaClientOptions } from './kafka-client.ts';
import { BridgeRoom, bridgeTest, stopBridge } from './testing/bridge-room.ts';

describe('Kafka with TLS and SCRAM', () => {
  const cluster = kafkaRoom({ tls: true, sasl: 'scram-sha-512' });

  bridgeTest(kind, 'records go out and come back under another name, and no password is said', async (t) => {
    const broker = await cluster(t);
    if (broker === undefined) throw new Error('bridgeTest has looked');
    const address = broker.url('events');
    const kafka = await loadKafka();
    const admin = new kafka.Admin(kafkaClientOptions(parseKafkaAddress(address)));
    await admin.createTopics({ topics: ['events'], partitions: 2, replicas: 1 });
    await admin.close();
    const room = await BridgeRoom.open(t);
    const json = ['{"n":1}', '{"n":12345678901234567890}'];
    await room.append(
      'order:a',
      json.map((text, n) => ({ rid: `r${n}`, json: text })),
    );
    const out = await room.bridge('--from', 'order:*', '--to', address, '--dead-letter', 'dead:out');
    const back = await room.bridge('--from', address, '--to', 'copy:{key}', '--dead-letter', 'dead:in');
    const records = await room.untilRecords('copy:order~3Aa', 2);
    assert.deepEqual(
      records.map(({ rid, key }) => [rid, key]),
      [
        ['r0', 'k'],
        ['r1', 'k'],
      ],
    );
    await stopBridge(out);
    await stopBridge(back);
    assert.ok(!JSON.stringify([out.stdout, out.stderr, back.stdout, back.stderr]).includes(kafkaUser.password));
  });

  bridgeTest(kind, 'a wrong password ends the command in words', async (t) => {
    const broker = await cluster(t);
    if (broker === undefined) throw new Error('bridgeTest has looked');
    const address = broker.url('events').replace(encodeURIComponent(kafkaUser.password), 'hunter2');
    const room = await BridgeRoom.open(t);
    const bridge = room.command('--from', address, '--to', 'order:{key}', '--dead-letter', 'dead:in');
    const { exitCode, stderr } = await bridge.finished();
    assert.equal(exitCode, 1);
    assert.match(stderr, /^error: kafka\+tls:.*: it refuses the user or the password \(SCRAM-SHA-512\)$/m);
    assert.ok(!stderr.includes('hunter2'));
  });
});
