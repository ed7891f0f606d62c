/**
 * Measures a log, whatever its driver: how long one append takes when nothing else happens, how soon its record is on
 * the tail, how many records a second go in and come out. Figures are of this machine and of this hour; compare them
 * with others of the same run.
 *
 *     node --conditions=tideway-source packages/server/src/log/broker/testing/log-meter.ts redis://127.0.0.1/meter
 */
import { createLog } from '../../registry.ts';
import type { Log, PhysicalRecord } from '../../log.ts';

const LONE = 2_000;
const MANY = 50_000;
const PER_CALL = 10;
const CALLS_AT_ONCE = 200;
const PAYLOAD_BYTES = 200;

class Counter {
  count = 0;
  #wanted = 0;
  #done: (() => void) | undefined;

  readonly onBatch = (batch: readonly unknown[]): undefined => {
    this.count += batch.length;
    if (this.count >= this.#wanted) this.#done?.();
    return undefined;
  };

  reach(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted = count;
      this.#done = resolve;
      this.onBatch([]);
    });
  }
}

function record(n: number): PhysicalRecord {
  const payload = Buffer.alloc(PAYLOAD_BYTES, 120);
  return {
    channel: 'meter:1',
    kind: 'data',
    encoding: 'bytes',
    payload,
    time: Date.now(),
    user: 'meter',
    rid: `m${n}`,
  };
}

async function append(log: Log, records: readonly PhysicalRecord[]): Promise<void> {
  for (const outcome of await log.append(records)) {
    if (outcome.state !== 'stored') throw new Error(`an append was ${outcome.state}: ${outcome.message}`);
  }
}

function percentiles(ms: readonly number[]): string {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] as number).toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

/** Where other programs use the machine, the processor time says more than the clock. */
function rate(count: number, since: { readonly ms: number; readonly cpu: NodeJS.CpuUsage }): string {
  const { user, system } = process.cpuUsage(since.cpu);
  const perSecond = Math.round((count / (performance.now() - since.ms)) * 1000);
  return `${perSecond} records/s, ${((user + system) / count).toFixed(1)} µs of this process a record`;
}

function now(): { ms: number; cpu: NodeJS.CpuUsage } {
  return { ms: performance.now(), cpu: process.cpuUsage() };
}

async function measure(log: Log): Promise<void> {
  const { partitionOf } = await log.open();
  const partition = partitionOf('meter:1');
  console.log(`stored survives: ${log.declares.storedSurvives}`);
  const seen = new Counter();
  const { newest } = await log.bounds(partition);
  const fail = (error: Error): never => {
    throw error;
  };
  await log.tail(partition, { position: newest, tag: '----' }, seen.onBatch, fail);

  const answers: number[] = [];
  const arrivals: number[] = [];
  for (let n = 0; n < LONE; n++) {
    const startMs = performance.now();
    const arrived = seen.reach(seen.count + 1).then(() => arrivals.push(performance.now() - startMs));
    await append(log, [record(n)]);
    answers.push(performance.now() - startMs);
    await arrived;
  }
  console.log(`one append after the other: ${percentiles(answers)}`);
  console.log(`from the append to the tail: ${percentiles(arrivals)}`);

  const start = now();
  const all = seen.reach(seen.count + MANY);
  let next = 0;
  const callers = Array.from({ length: CALLS_AT_ONCE }, async () => {
    while (next < MANY) {
      const from = next;
      next += PER_CALL;
      await append(
        log,
        Array.from({ length: PER_CALL }, (_, n) => record(LONE + from + n)),
      );
    }
  });
  await Promise.all(callers);
  await all;
  console.log(`${CALLS_AT_ONCE} callers, ${PER_CALL} records a call: stored and on the tail: ${rate(MANY, start)}`);

  const again = new Counter();
  const readStart = now();
  const read = again.reach(MANY);
  await log.tail(partition, 'oldest', again.onBatch, fail);
  await read;
  console.log(`a tail that catches up: ${rate(MANY, readStart)}`);
  await log.close();
}

const [address] = process.argv.slice(2);
if (address === undefined) throw new Error('the address of a log is missing, such as redis://127.0.0.1/meter');
await measure(await createLog(address));
