/**
 * A process that fills an outbox file until it is killed, and says on stdout what is durable: `+rid` and `-rid`, one a
 * line. `node outbox-writer.ts FILE PREFIX`
 */
import { writeSync } from 'node:fs';
import { fileOutbox } from '@tideway/client/node';

const [file = '', prefix = ''] = process.argv.slice(2);
const store = fileOutbox(file);
const left = (await store.open(() => {})).map(({ rid }) => rid);
writeSync(1, `left ${left.join()}\n`);
const kept: string[] = [];
for (let n = 0; ; n++) {
  // Some are large, so that a kill falls into a write; some are bytes.
  const length = n % 7 === 0 ? 300_000 : 20;
  const payload = n % 3 === 0 ? new Uint8Array(length).fill(n % 256) : JSON.stringify('x'.repeat(length));
  const rid = `${prefix}${n}`;
  await store.put([{ rid, channel: 'chat:1', payload }]);
  writeSync(1, `+${rid}\n`);
  kept.push(rid);
  if (kept.length > 5) {
    const gone = kept.shift() as string;
    await store.remove([gone]);
    writeSync(1, `-${gone}\n`);
  }
}
