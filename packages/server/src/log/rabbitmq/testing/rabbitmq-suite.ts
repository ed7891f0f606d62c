/** The log suite on a real RabbitMQ, for a number of partitions: one server for all of it, each case a log of its own. */
import { after, before, test } from 'node:test';
import { logSuite } from '@tideway/verifier';
import { rabbitmq, startRabbitmq, type RabbitmqBroker } from '../../../../../../scripts/brokers/rabbitmq.ts';
import { requireService } from '../../../../../../scripts/services.ts';
import { BrokerLog, type BrokerLogOptions } from '../../broker/broker-log.ts';
import { parseRabbitmqAddress } from '../rabbitmq-address.ts';
import { RabbitmqPort } from '../rabbitmq-port.ts';

const skip = {
  unsettled: 'RabbitMQ deletes by size, whatever is settled; what is said then: rabbitmq-port.test.ts',
  trimmed: 'RabbitMQ deletes by size, and what it deleted last may have been a note of its own',
};

export function rabbitmqSuite(partitions: number): void {
  const missing = rabbitmq.missing();
  if (missing !== undefined) {
    test(`log suite: RabbitMQ, ${partitions} partitions`, (t) => void requireService(t, missing, undefined));
    return;
  }
  let broker: RabbitmqBroker | undefined;
  let logs = 0;
  before(async () => {
    broker = await startRabbitmq();
  });
  after(() => broker?.stop());
  logSuite(
    `RabbitMQ, ${partitions} partitions`,
    async (size) => {
      if (broker === undefined) throw new Error('RabbitMQ did not start');
      const isSmall = size === 'small';
      const options: Omit<BrokerLogOptions, 'port'> = {
        partitions,
        ...(isSmall ? { window: 64, queueBytesMax: 128 * 1024 } : {}),
      };
      const query = `name=suite${++logs}${isSmall ? '&keepBytes=400000&segmentBytes=50000' : ''}`;
      const address = parseRabbitmqAddress(broker.urlOf(query));
      const make = (): BrokerLog => new BrokerLog({ ...options, port: new RabbitmqPort(address) });
      const log = make();
      return { log, reopen: make, peer: make, dispose: () => log.close() };
    },
    { skip },
  );
}
