/**
 * A process that appends to the log in a folder until it is killed: batches of random size, several in flight. After
 * each answer it says on stdout, in one write, how many records were acknowledged so far.
 *
 *     node appending-child.ts FOLDER FIRST-RID SEED
 */
import { writeSync } from 'node:fs';
import { EmbeddedLog } from '../embedded-log.ts';
import { records } from './log-room.ts';

const [folder, first, seed] = process.argv.slice(2) as [string, string, string];
const log = new EmbeddedLog({ folder, segmentBytes: 1024 * 1024 });
try {
  await log.open();
} catch (error) {
  writeSync(1, `refused ${(error as Error).message}\n`);
  process.exit(3);
}
writeSync(1, 'open\n');

let next = Number(first);
let dice = Number(seed);
function pick(below: number): number {
  dice = (Math.imul(dice, 1_103_515_245) + 12_345) >>> 0;
  return (dice >>> 8) % below;
}

async function appendForEver(): Promise<void> {
  for (;;) {
    const from = next;
    const count = 1 + pick(pick(4) === 0 ? 512 : 8);
    next += count;
    const outcomes = await log.append(records(from, count, pick(400)));
    const stored = outcomes.filter(({ state }) => state === 'stored').length;
    writeSync(1, `stored ${from} ${stored}\n`);
  }
}
await Promise.all([appendForEver(), appendForEver(), appendForEver()]);
