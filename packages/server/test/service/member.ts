/** A consumer as a process: writes `ready`, then a line for each record it handles. Ends cleanly on SIGTERM. */
import { writeSync } from 'node:fs';
import { consume, type ConsumeOptions } from '../../src/service/service.ts';

const options = JSON.parse(process.argv[2] as string) as Pick<ConsumeOptions, 'url' | 'key' | 'group'>;
const consumer = consume({
  ...options,
  channels: ['order:*'],
  leaseMs: 1_500,
  onError: () => {},
  handle: ({ channel, data }) => {
    writeSync(1, `${JSON.stringify({ channel, n: (data as { n: number }).n })}\n`);
  },
});
process.once('SIGTERM', () => void consumer.close());
await consumer.ready;
writeSync(1, 'ready\n');
