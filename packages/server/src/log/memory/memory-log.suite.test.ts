import { logSuite } from '@tideway/verifier';
import { MemoryLog } from './memory-log.ts';

logSuite('memory', (size) =>
  Promise.resolve({
    log: new MemoryLog(size === 'small' ? { keepBytes: 64 * 1024, window: 64 } : {}),
    dispose: () => Promise.resolve(),
  }),
);
