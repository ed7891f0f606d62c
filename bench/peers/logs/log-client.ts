/**
 * A process that uses a broker through its own client (bare-log.ts). It takes one object as its argument and says what
 * it did as lines of JSON:
 *
 *     {"do":"fill","records":N}             appends N records, then `done`
 *     {"do":"append","inFlight":N}          appends without end, N unanswered, from `go` on; `lap` is answered with `lap`
 *     {"do":"pace","rate":R,"records":N}    from `go` on, R a second whatever the broker does, then `done`
 *     {"do":"read","timed":B}               reads its own stream from the beginning; `until N` is answered with
 *                                           `reached`: what it took since the first record after the last `reached`,
 *                                           and latencies where they were asked for, since they take time
 *
 * Payloads are those of the appender (floors/appender.c): "n" counts, "at" is when the client
 * was given the record, on the monotonic clock: a timer of Node is too coarse to say when it should have been.
 */
import { createInterface } from 'node:readline';
import { setTimeout as after } from 'node:timers/promises';
import { percentile } from '../../stats.ts';
import type { BareLog, BarePlace, BareRecord, OpenBareLog } from './bare-log.ts';
import { openBareKafka } from './bare-kafka.ts';
import { openBareNats } from './bare-nats.ts';
import { openBareRabbitmq } from './bare-rabbitmq.ts';
import { openBareRedis } from './bare-redis.ts';

const openers: Readonly<Record<string, OpenBareLog>> = {
  redis: openBareRedis,
  nats: openBareNats,
  rabbitmq: openBareRabbitmq,
  kafka: openBareKafka,
};

export interface LogClientOptions {
  readonly kind: string;
  readonly url: string;
  readonly place: BarePlace;
  readonly channel: string;
  /** With it `channel` is the beginning of so many names, which take turns. */
  readonly channels?: number;
  readonly payloadBytes: number;
  readonly work:
    | { readonly do: 'fill'; readonly records: number }
    | { readonly do: 'append'; readonly inFlight: number }
    | { readonly do: 'pace'; readonly rate: number; readonly records: number }
    | { readonly do: 'read'; readonly timed: boolean };
}

const FILL_BATCH = 1_000;
/** Appends of an append without end go in groups of so many, as a client that gathers would send them. */
const GROUP = 100;
const TICK_MS = 2;
const AT_BEGIN = '{"n":1000000001,"at":"'.length;

const options = JSON.parse(process.argv[2] ?? '') as LogClientOptions;
const run = process.pid.toString(36);
let made = 0;

function say(event: string, more: Readonly<Record<string, unknown>> = {}): void {
  console.log(JSON.stringify({ event, ...more }));
}

function makeRecord(atNs: bigint): BareRecord {
  const n = made++;
  const head = `{"n":${1_000_000_001 + n},"at":"${String(atNs).padStart(19, '0')}","pad":"`;
  const pad = 'x'.repeat(Math.max(0, options.payloadBytes - head.length - 2));
  const { channel, channels } = options;
  return {
    channel: channels === undefined ? channel : `${channel}${n % channels}`,
    rid: `${run}-${n}`,
    payload: `${head}${pad}"}`,
  };
}

function makeRecords(count: number): BareRecord[] {
  const atNs = process.hrtime.bigint();
  return Array.from({ length: count }, () => makeRecord(atNs));
}

async function fill(log: BareLog, records: number): Promise<void> {
  for (let left = records; left > 0; left -= FILL_BATCH) await log.append(makeRecords(Math.min(left, FILL_BATCH)));
  say('done');
}

function appendOn(log: BareLog, inFlight: number): (line: string) => void {
  let acked = 0;
  let startedMs = performance.now();
  const group = Math.min(GROUP, inFlight);
  const one = async (): Promise<never> => {
    for (;;) {
      await log.append(makeRecords(group));
      acked += group;
    }
  };
  return (line) => {
    if (line === 'go') for (let i = 0; i < inFlight / group; i++) void one();
    const wallMs = performance.now() - startedMs;
    if (line === 'lap') say('lap', { acked, perSecond: (acked / wallMs) * 1e3 });
    startedMs += wallMs;
    acked = 0;
  };
}

async function pace(log: BareLog, rate: number, records: number): Promise<void> {
  const startNs = process.hrtime.bigint();
  const under = new Set<Promise<void>>();
  for (let sent = 0; sent < records;) {
    const due = Math.floor((Number(process.hrtime.bigint() - startNs) / 1e9) * rate) + 1;
    const count = Math.min(due - sent, records - sent, FILL_BATCH);
    if (count > 0) {
      const one = log.append(makeRecords(count)).finally(() => under.delete(one));
      under.add(one);
      sent += count;
    }
    // The next one is due then; many a second go together.
    await after(Math.max(TICK_MS, ((sent + 1) / rate) * 1e3 - Number(process.hrtime.bigint() - startNs) / 1e6));
  }
  await Promise.all(under);
  say('done');
}

async function readOn(log: BareLog, timed: boolean): Promise<(line: string) => void> {
  let count = 0;
  let wanted = Number.POSITIVE_INFINITY;
  let latenciesMs: number[] = [];
  let first: { readonly atMs: number; readonly cpu: NodeJS.CpuUsage } | undefined;
  const look = (): void => {
    if (count < wanted) return;
    wanted = Number.POSITIVE_INFINITY;
    const { user, system } = process.cpuUsage(first?.cpu);
    const spent = { wallMs: performance.now() - (first?.atMs ?? 0), cpuMs: (user + system) / 1e3 };
    const at = (share: number): number => percentile(latenciesMs, share);
    say('reached', { count, ...spent, ...(timed ? { latencyMs: { p50: at(0.5), p99: at(0.99) } } : {}) });
    latenciesMs = [];
    first = undefined;
  };
  const textOf = new TextDecoder();
  await log.read((payload) => {
    count++;
    first ??= { atMs: performance.now(), cpu: process.cpuUsage() };
    if (timed) {
      // "at" stands behind {"n":1000000001,"at":" and has 19 digits.
      const at = Number(textOf.decode(payload.subarray(AT_BEGIN, AT_BEGIN + 19)));
      latenciesMs.push((Number(process.hrtime.bigint()) - at) / 1e6);
    }
    look();
  });
  return (line) => {
    const until = /^until (\d+)$/.exec(line)?.[1];
    if (until === undefined) return;
    wanted = Number(until);
    look();
  };
}

async function main(): Promise<void> {
  const open = openers[options.kind];
  if (open === undefined) throw new Error(`no client of a broker is called "${options.kind}"`);
  const log = await open(options.url, options.place);
  const { work } = options;
  let obey: (line: string) => void = () => undefined;
  if (work.do === 'append') obey = appendOn(log, work.inFlight);
  if (work.do === 'pace') obey = (line) => void (line === 'go' && pace(log, work.rate, work.records));
  if (work.do === 'read') obey = await readOn(log, work.timed);
  createInterface({ input: process.stdin }).on('line', (line) => obey(line));
  process.on('SIGTERM', () => process.exit());
  say('ready');
  if (work.do === 'fill') await fill(log, work.records);
}

/** A client may wrap what it was told several times. */
function wordsOf(error: unknown): string {
  const { message, errors = [] } = error as Error & { readonly errors?: readonly unknown[] };
  return [message, ...errors.map(wordsOf)].join(': ');
}

await main().catch((error: unknown) => {
  say('failed', { reason: wordsOf(error) });
  process.exitCode = 1;
});
