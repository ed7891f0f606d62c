import { after, before, test } from 'node:test';
import { logSuite } from '@tideway/verifier';
import { nats, startNats, type NatsBroker } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import { parseNatsAddress } from './nats-address.ts';
import { NatsPort } from './nats-port.ts';
import { newName } from './testing/nats-room.ts';

const KIB = 1024;
const small = { window: 64, keepRecords: 64, queueBytesMax: 128 * KIB };

if (nats.missing() === undefined) {
  let broker: NatsBroker;
  before(async () => {
    broker = await startNats();
  });
  after(() => broker.stop());
  for (const partitions of [1, 4]) {
    logSuite(`NATS, ${partitions === 1 ? 'one partition' : `${partitions} partitions`}`, (size) => {
      const address = parseNatsAddress(broker.urlOf(newName(), `partitions=${partitions}`));
      const make = (): BrokerLog =>
        new BrokerLog({ partitions, port: new NatsPort(address), ...(size === 'small' ? small : {}) });
      return Promise.resolve({ log: make(), reopen: make, peer: make, dispose: () => Promise.resolve() });
    });
  }
} else {
  test('the log suite on NATS', (t) => void requireService(t, nats.missing() ?? '', undefined));
}
