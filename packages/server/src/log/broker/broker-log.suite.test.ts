import { logSuite } from '@tideway/verifier';
import { BrokerLog, type BrokerLogOptions } from './broker-log.ts';
import { FakeBroker } from './testing/fake-broker.ts';

const KIB = 1024;
const small = { window: 64, keepRecords: 64, queueBytesMax: 128 * KIB };

for (const { name, partitions, isSparse } of [
  { name: 'broker, one partition', partitions: 1, isSparse: false },
  { name: 'broker, four partitions', partitions: 4, isSparse: false },
  { name: 'broker, numbers with holes', partitions: 4, isSparse: true },
]) {
  logSuite(name, (size) => {
    const broker = new FakeBroker({ delay: () => new Promise((resolve) => void setImmediate(resolve)), isSparse });
    const options: Omit<BrokerLogOptions, 'port'> = { partitions, ...(size === 'small' ? small : {}) };
    const node = (): BrokerLog => new BrokerLog({ ...options, port: broker.port() });
    return Promise.resolve({
      log: node(),
      reopen: node,
      peer: node,
      dispose: () => Promise.resolve(),
    });
  });
}
