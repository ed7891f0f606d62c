/** What holds for every broker that is bridged to channels, whatever happens on the way. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import type { Broker, BrokerKind } from '../../../../../scripts/brokers/broker.ts';
import { BridgeRoom, bridgeTest, stopBridge } from './bridge-room.ts';

export interface BrokerSide {
  /** The address to read from. */
  readonly from: string;
  /** The channel template; `order:a` and `order:b` must come of it for messages with the name `a` or `b`. */
  readonly to: string;
  /** Where it is. */
  readonly broker: Broker;
  /** Puts messages there, in order, each with what makes it itself. */
  produce(messages: readonly Produced[]): Promise<void>;
}

export interface Produced {
  /** `a` or `b`. */
  readonly name: string;
  readonly body: string | Buffer;
  readonly id: string;
}

/** @param copies what two bridges of one source do: one of them works, or both */
export function inboundTests(
  kind: BrokerKind,
  open: (t: TestContext) => Promise<BrokerSide>,
  copies: 'one works' | 'both work',
): void {
  const tests: Readonly<Record<string, (t: TestContext, side: BrokerSide) => Promise<void>>> = {
    'arrives once and in order over kills of bridge and server; poison is a dead letter once': arrivesOnceAndInOrder,
    'leaves at the broker what it has no room for': holdsLittle,
    'goes on at its place': goesOnAtItsPlace,
    'is read on when its broker was away': outlivesItsBroker,
    ...(copies === 'one works'
      ? { 'has one reader, and another one when that is killed': standsBy }
      : { 'is shared by copies that come and go in mid-flow, once and in order': isSharedByCopies }),
  };
  for (const [title, run] of Object.entries(tests)) bridgeTest(kind, title, async (t) => run(t, await open(t)));
}

const NAMES = ['a', 'b'] as const;
/** Of both halves each channel holds less than it keeps. */
const COUNT = 900;

/**
 * Records arrive once and in order though the bridge is killed in mid-flow, twice, and the server too; what can be no
 * record is in the dead letter channel, once.
 */
export async function arrivesOnceAndInOrder(t: TestContext, { from, to, produce }: BrokerSide): Promise<void> {
  const room = await BridgeRoom.open(t);
  const bridge = ['--from', from, '--to', to, '--dead-letter', 'dead:orders'];
  await produce(numbered(0, COUNT));
  const broken = { name: 'a', body: '{"n":', id: 'broken' };
  const noText = { name: 'b', body: Buffer.of(0x22, 0xff, 0x22), id: 'no-text' };
  await produce([broken, noText]);

  const first = await room.bridge(...bridge);
  await room.untilRecords('order:a', 1);
  await first.end('SIGKILL');
  const second = await room.bridge(...bridge);
  await room.untilRecords('order:b', COUNT / 2 - 100);
  await room.killServer();
  await produce(numbered(COUNT, 2 * COUNT));
  await second.line('stdout', /"event":"waiting".*"at":"node"/);
  await room.restartServer();
  await room.untilRecords('order:a', COUNT / 2 + 1);
  await second.end('SIGKILL');
  const third = await room.bridge(...bridge);
  for (const name of NAMES) {
    const records = await room.untilRecords(`order:${name}`, COUNT);
    const expected = numbered(0, 2 * COUNT).filter((one) => one.name === name);
    assert.deepEqual(
      records.map(({ data }) => (data as { readonly n: number }).n),
      expected.map(({ body }) => (JSON.parse(body as string) as { readonly n: number }).n),
    );
  }
  const dead = await room.deadLetters('dead:orders');
  // They are of two names, so nothing says which one comes first.
  assert.deepEqual(
    dead
      .map(({ code, message, body }) => ({ code, message, body }))
      .toSorted((x, y) => (x.message < y.message ? -1 : 1)),
    [
      { code: 'bad_frame', message: 'the payload is not valid JSON', body: '{"n":' },
      {
        code: 'bad_frame',
        message: 'the payload is not valid UTF-8',
        body: { base64: noText.body.toString('base64') },
      },
    ],
  );
  assert.ok(dead.every(({ source, bridge: name }) => name === 'bridge' && !source.includes('@')));
  await stopBridge(third);
}

/** What was settled is not given again: one that is stopped in order and started again moves nothing twice. */
async function goesOnAtItsPlace(t: TestContext, { from, to, produce }: BrokerSide): Promise<void> {
  const room = await BridgeRoom.open(t);
  const bridge = ['--from', from, '--to', to, '--dead-letter', 'dead:orders'];
  await produce(numbered(0, 20));
  const first = await room.bridge(...bridge);
  await room.untilRecords('order:a', 10);
  await room.untilRecords('order:b', 10);
  await stopBridge(first);
  await produce(numbered(20, 40));
  const second = await room.bridge(...bridge);
  await room.untilRecords('order:a', 20);
  await room.untilRecords('order:b', 20);
  const { stdout } = await second.end('SIGTERM');
  const ended = JSON.parse(stdout.trim().split('\n').at(-1) as string) as Readonly<Record<string, unknown>>;
  assert.deepEqual(ended, { event: 'ended', bridge: 'bridge', stored: 20, duplicates: 0, dead: 0 });
}

/** A copy joins in mid-flow, and the first one leaves: partitions change hands, and nothing is twice or out of order. */
async function isSharedByCopies(t: TestContext, { from, to, produce }: BrokerSide): Promise<void> {
  const room = await BridgeRoom.open(t);
  const bridge = ['--from', from, '--to', to, '--dead-letter', 'dead:orders'];
  await produce(numbered(0, 400));
  const first = await room.bridge(...bridge);
  await room.untilRecords('order:a', 1);
  await produce(numbered(400, 800));
  const second = await room.bridge(...bridge);
  await produce(numbered(800, 1_200));
  for (const name of NAMES) await room.untilRecords(`order:${name}`, 600);
  await produce(numbered(1_200, 1_600));
  await stopBridge(first);
  for (const name of NAMES) {
    const records = await room.untilRecords(`order:${name}`, 800);
    assert.deepEqual(
      records.map(({ data }) => (data as { readonly n: number }).n),
      Array.from({ length: 800 }, (_, at) => 2 * at + NAMES.indexOf(name)),
    );
  }
  await stopBridge(second);
}

function numbered(from: number, to: number): Produced[] {
  return Array.from({ length: to - from }, (_, at) => {
    const n = from + at;
    return { name: NAMES[n % 2] as string, body: JSON.stringify({ n }), id: `m${n}` };
  });
}

/** A broker that is killed and comes back is read on, by the same process. */
async function outlivesItsBroker(t: TestContext, { from, to, produce, broker }: BrokerSide): Promise<void> {
  const room = await BridgeRoom.open(t);
  await produce(numbered(0, 20));
  const bridge = await room.bridge('--from', from, '--to', to, '--dead-letter', 'dead:orders');
  await room.untilRecords('order:b', 10);
  await broker.kill();
  await bridge.line('stdout', /"event":"waiting".*"at":"broker"/);
  await broker.restart();
  await bridge.line('stdout', /"event":"resumed".*"at":"broker"/);
  await t.waitFor(() => produce(numbered(20, 40)), { interval: 200, timeout: 60_000 });
  for (const name of NAMES) {
    const records = await room.untilRecords(`order:${name}`, 20);
    assert.equal(new Set(records.map(({ rid }) => rid)).size, records.length);
  }
  await stopBridge(bridge);
}

/** A second copy waits, and goes on where the first one was killed. */
async function standsBy(t: TestContext, { from, to, produce }: BrokerSide): Promise<void> {
  const room = await BridgeRoom.open(t);
  const bridge = ['--from', from, '--to', to, '--dead-letter', 'dead:orders'];
  const first = await room.bridge(...bridge);
  const second = room.command(...bridge);
  await second.line('stdout', /"event":"standby"/);
  await produce(numbered(0, 20));
  await room.untilRecords('order:b', 10);
  await first.end('SIGKILL');
  await second.line('stdout', /"event":"ready"/);
  await produce(numbered(20, 40));
  await room.untilRecords('order:a', 20);
  await room.untilRecords('order:b', 20);
  await stopBridge(second);
}

/** Of large messages: each is more than a record of these channels may be. */
const LARGE_BYTES = 700 * 1024;
const LARGE_COUNT = 400;
/** What a bridge is without messages, what may wait inside of it, and what is made of that and not yet swept up. */
const PEAK_BYTES_MAX = 320 * 1024 * 1024;

/** Messages that are many times its memory, first small ones and then large ones, wait at the broker while the server is away. */
async function holdsLittle(t: TestContext, { from, to, produce }: BrokerSide): Promise<void> {
  if (process.platform !== 'linux') return t.skip('the peak of a process is read from /proc');
  const room = await BridgeRoom.open(t);
  const bridge = await room.bridge('--from', from, '--to', to, '--dead-letter', 'dead:orders');
  await produce(numbered(0, COUNT));
  for (const name of NAMES) await room.untilRecords(`order:${name}`, COUNT / 2);
  await room.killServer();
  for (let n = 0; n < LARGE_COUNT; n++) {
    await produce([{ name: 'a', body: JSON.stringify('x'.repeat(LARGE_BYTES)), id: `large${n}` }]);
  }
  await bridge.line('stdout', /"event":"waiting".*"at":"node"/);
  await room.restartServer();
  await room.untilRecords('dead:orders', LARGE_COUNT);
  const dead = await room.deadLetters('dead:orders');
  assert.deepEqual([dead.length, dead.at(-1)?.bodyBytes, dead.at(-1)?.isCut], [LARGE_COUNT, LARGE_BYTES + 2, true]);
  const [, peak] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${bridge.child.pid}/status`, 'utf8')) ?? [];
  t.diagnostic(`the bridge was ${Math.round(Number(peak) / 1024)} MiB at its peak`);
  assert.ok(Number(peak) * 1024 < PEAK_BYTES_MAX, `the bridge was ${peak} kB at its peak`);
  await stopBridge(bridge);
}
