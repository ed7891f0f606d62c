/**
 * Measures a log by its address, or on a broker that it starts: what one record costs, what many together do, and how
 * long a record takes from one node to another. Records have 200 bytes.
 *
 *     node --conditions=tideway-source packages/server/src/log/broker/testing/measure-log.ts kafka
 *     node --conditions=tideway-source packages/server/src/log/broker/testing/measure-log.ts 'kafka://127.0.0.1:9092/measured?partitions=1'
 */
import { createHistogram, performance } from 'node:perf_hooks';
import type { Log, PhysicalRecord, TailRecord } from '../../log.ts';
import { createLog } from '../../registry.ts';
import type { Broker, BrokerKind } from '../../../../../../scripts/brokers/broker.ts';
import { kafka } from '../../../../../../scripts/brokers/kafka.ts';
import { nats } from '../../../../../../scripts/brokers/nats.ts';
import { rabbitmq } from '../../../../../../scripts/brokers/rabbitmq.ts';
import { redis, startMeasured } from '../../../../../../scripts/brokers/redis.ts';

const kinds: Readonly<Record<string, BrokerKind>> = { kafka, nats, rabbitmq, redis };
const LONE = 1_000;
const WARM_UP = 200;
const MANY = 50_000;
/** Appends that wait for their answer at once. */
const IN_FLIGHT = 1_000;

let count = 0;

function makeRecord(): PhysicalRecord {
  const n = ++count;
  const payload = Buffer.from(`{"n":${n},"text":"${'x'.repeat(180)}"}`);
  return { channel: 'measure:1', kind: 'data', encoding: 'json', payload, time: Date.now(), rid: `r${n}` };
}

/** Resolves when its log's tail has given the record that a rid names. */
class Waits {
  readonly #byRid = new Map<string, () => void>();
  seen = 0;
  onSeen: (() => void) | undefined;

  take(batch: readonly TailRecord[]): undefined {
    this.seen += batch.length;
    for (const { record } of batch) this.#byRid.get(record.rid ?? '')?.();
    this.onSeen?.();
  }

  of(record: PhysicalRecord): Promise<void> {
    return new Promise((resolve) => this.#byRid.set(record.rid ?? '', resolve));
  }

  until(total: number): Promise<void> {
    return new Promise((resolve) => {
      this.onSeen = () => this.seen >= total && resolve();
      this.onSeen();
    });
  }
}

async function follow(log: Log, partition: number): Promise<Waits> {
  const waits = new Waits();
  const fail = (error: Error): never => {
    throw error;
  };
  await log.tail(partition, 'oldest', (batch) => waits.take(batch), fail);
  return waits;
}

async function store(log: Log, records: readonly PhysicalRecord[]): Promise<void> {
  for (const outcome of await log.append(records)) {
    if (outcome.state !== 'stored') throw new Error(`${outcome.state}: ${outcome.message}`);
  }
}

async function measure(address: string): Promise<void> {
  const [one, two] = [await createLog(address), await createLog(address)];
  const constants = await one.open();
  await two.open();
  const partition = constants.partitionOf('measure:1');
  const [here, there] = [await follow(one, partition), await follow(two, partition)];
  await there.until(here.seen);

  const [answered, arrived] = [createHistogram(), createHistogram()];
  for (let n = 0; n < WARM_UP + LONE; n++) {
    const record = makeRecord();
    const arrival = there.of(record);
    const start = performance.now();
    const [answerMs, arrivalMs] = await Promise.all(
      [store(one, [record]), arrival].map((done) => done.then(() => performance.now() - start)),
    );
    if (n < WARM_UP) continue;
    answered.record(Math.ceil((answerMs ?? 0) * 1_000));
    arrived.record(Math.ceil((arrivalMs ?? 0) * 1_000));
  }
  const ms = (histogram: typeof answered): string =>
    `p50 ${(histogram.percentile(50) / 1_000).toFixed(2)} ms, p99 ${(histogram.percentile(99) / 1_000).toFixed(2)} ms`;
  console.log(`one append at a time, until it is answered           ${ms(answered)}`);
  console.log(`                      until another node's tail has it ${ms(arrived)}`);

  const before = there.seen;
  const start = performance.now();
  const running: Promise<void>[] = [];
  for (let n = 0; n < MANY; n++) {
    running.push(store(one, [makeRecord()]));
    if (running.length >= IN_FLIGHT) await running.shift();
  }
  await Promise.all(running);
  const appendedMs = performance.now() - start;
  await there.until(before + MANY);
  const per = (elapsedMs: number): string => `${Math.round((MANY / elapsedMs) * 1_000)} records/s`;
  console.log(`${IN_FLIGHT} appends of one record at a time: answered        ${per(appendedMs)}`);
  console.log(`                        on another node's tail         ${per(performance.now() - start)}`);

  const third = await createLog(address);
  await third.open();
  const began = performance.now();
  const late = await follow(third, partition);
  await late.until(there.seen);
  const caughtUp = Math.round((there.seen / (performance.now() - began)) * 1_000);
  console.log(`a third node catches up                                 ${caughtUp} records/s`);
  await Promise.all([one, two, third].map((log) => log.close()));
}

const [what = ''] = process.argv.slice(2);
const kind = Object.hasOwn(kinds, what) ? kinds[what] : undefined;
let broker: Broker | undefined;
try {
  broker = kind === undefined ? undefined : await startMeasured(kind);
  await measure(broker?.url ?? what);
} finally {
  await broker?.stop();
}
