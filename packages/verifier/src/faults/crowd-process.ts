/**
 * Many readers of one channel in a process of their own, started by `crowd.ts`: each notes how late it was given a record
 * at worst, by the clock of the machine that it shares with the nodes, and whether what it was given is one chain.
 */
import { connect } from '@tideway/client';
import { disableHttp2 } from '@tideway/client/node';
import { EventSource } from 'eventsource';
import { rest } from '../torture/stage.ts';
import type { CrowdOrder, CrowdReport, CrowdTask, ReaderKind } from './crowd.ts';

/** Readers begin one after the other, so that they are no storm. */
const PACE_MS = 10;
const PEACE_MS = 60_000;

interface Arrived {
  readonly cursor: string;
  readonly prev: string;
  readonly time?: number;
}

// Sockets are reset here.
disableHttp2();

class Reader {
  readonly kind: ReaderKind;
  place: string | undefined;
  /** At worst, before and during the fault. */
  calmMs = 0;
  lateMs = 0;
  failure: string | undefined;

  constructor(kind: ReaderKind) {
    this.kind = kind;
  }

  take({ cursor, prev, time }: Arrived): void {
    if (this.place !== undefined && prev !== this.place) this.fail(`${cursor} follows ${prev}, not ${this.place}`);
    this.place = cursor;
    // What was there when it began is late for no reason of ours.
    if (time === undefined || time < readyMs) return;
    const lateMs = Date.now() - time;
    if (time >= beganMs) this.lateMs = Math.max(this.lateMs, lateMs);
    else this.calmMs = Math.max(this.calmMs, lateMs);
  }

  fail(what: string): void {
    this.failure ??= `${this.kind}: ${what}`;
  }
}

let readyMs = Number.POSITIVE_INFINITY;
let beganMs = Number.POSITIVE_INFINITY;
const readers: Reader[] = [];
const { url, channel, kinds } = JSON.parse(process.argv[2] ?? '{}') as CrowdTask;

for (const kind of kinds) {
  const reader = new Reader(kind);
  readers.push(reader);
  if (kind === 'EventSource') followStream(reader);
  else void followSdk(reader, kind);
  await rest(PACE_MS);
}
process.on('message', (order: CrowdOrder) => void obey(order));
process.on('disconnect', () => process.exit());
await until(() => readers.every(({ place }) => place !== undefined));
readyMs = Date.now();
process.send?.('ready');

async function obey(order: CrowdOrder): Promise<void> {
  if (order.say === 'begin') {
    beganMs = Date.now();
    return;
  }
  await until(() => readers.every(({ place }) => place !== undefined && place >= order.head));
  for (const reader of readers)
    if ((reader.place ?? '') < order.head) reader.fail(`is stuck at ${reader.place}, before ${order.head}`);
  const report: CrowdReport = readers.map(({ kind, calmMs, lateMs, failure }) => ({ kind, calmMs, lateMs, failure }));
  process.send?.(report, () => process.exit());
}

async function followSdk(reader: Reader, transport: 'websocket' | 'sse'): Promise<void> {
  // Clients of one token function would be one connection.
  const client = connect({ url, transport, token: () => undefined, onError: (error) => reader.fail(String(error)) });
  for await (const item of client.channel(channel).read({ from: 'last:1', onGap: 'continue' }).items()) {
    if (item.type === 'record') reader.take(item.record);
    else if (item.type !== 'live') reader.fail(JSON.stringify(item));
  }
}

function followStream(reader: Reader): void {
  const at = new URL('/v1/events', url);
  at.searchParams.set('channel', channel);
  at.searchParams.set('from', 'last:1');
  const source = new EventSource(at);
  source.addEventListener('message', ({ data }) => reader.take(JSON.parse(data as string) as Arrived));
  source.addEventListener('gap', ({ data }) => reader.fail(String(data)));
  source.addEventListener('error', () => {
    if (source.readyState === source.CLOSED) reader.fail('the EventSource gave up');
  });
}

async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + PEACE_MS;
  while (!holds() && performance.now() < endMs) await rest(50);
}
