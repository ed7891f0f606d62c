import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { logSuite } from '@tideway/verifier';
import { EmbeddedLog } from './embedded-log.ts';

const KIB = 1024;
const small = { window: 64, segmentBytes: 16 * KIB, keepBytes: 48 * KIB, queueBytesMax: 96 * KIB };

logSuite('embedded', async (size) => {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-log-'));
  const options = { folder, ...(size === 'small' ? small : {}) };
  return {
    log: new EmbeddedLog(options),
    reopen: () => new EmbeddedLog(options),
    dispose: () => rm(folder, { recursive: true }),
  };
});
