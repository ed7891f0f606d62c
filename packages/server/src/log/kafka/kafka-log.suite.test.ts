import { after, before, test } from 'node:test';
import { logSuite } from '@tideway/verifier';
import { kafka, startKafka, type KafkaCluster } from '../../../../../scripts/brokers/kafka.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import { parseKafkaAddress } from './kafka-address.ts';
import { KafkaPort } from './kafka-port.ts';
import { newName } from './testing/kafka-room.ts';

const KIB = 1024;
const small = { window: 64, keepRecords: 64, queueBytesMax: 128 * KIB };

if (kafka.missing() === undefined) {
  let cluster: KafkaCluster;
  before(async () => {
    cluster = await startKafka();
  });
  after(() => cluster.stop());
  for (const partitions of [1, 4]) {
    logSuite(`Kafka, ${partitions === 1 ? 'one partition' : `${partitions} partitions`}`, (size) => {
      const address = parseKafkaAddress(cluster.url(newName(), { retention: 'none' }));
      const make = (): BrokerLog =>
        new BrokerLog({ partitions, port: new KafkaPort(address), ...(size === 'small' ? small : {}) });
      return Promise.resolve({ log: make(), reopen: make, peer: make, dispose: () => Promise.resolve() });
    });
  }
} else {
  test('the log suite on Kafka', (t) => void requireService(t, kafka.missing() ?? '', undefined));
}
