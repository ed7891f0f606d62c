/** The order of writers that send again what was not stored, over a broker that does its worst (PROTOCOL.md APP-3). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { AppendOutcome } from '../log.ts';
import { BrokerWorld } from './testing/broker-world.ts';
import type { AppendFault } from './testing/fake-broker.ts';
import { Gathering, OrderWriter } from './testing/order-writer.ts';

const WINDOW = 4_096;
const LOAD_MS = 8_000;
/** One of each partition of two. */
const CHANNELS = ['a:0', 'a:4'] as const;

type Fault =
  | { readonly kind: 'cut' | 'wipe' | 'move' }
  | { readonly kind: 'away' | 'hang'; readonly ms: number }
  | { readonly kind: 'rewind'; readonly count: number }
  | { readonly kind: 'append'; readonly fault: AppendFault };

const appendFault: fc.Arbitrary<AppendFault> = fc.oneof(
  fc.record({ fault: fc.constantFrom('cut', 'cut-late', 'refuse', 'refuse-one'), stored: fc.nat(3) }),
  fc.constant({ fault: 'no-answer' } as const),
);
const faultOf: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constantFrom('cut', 'wipe', 'move') }),
  fc.record({ kind: fc.constantFrom('away', 'hang'), ms: fc.integer({ min: 1, max: 12_000 }) }),
  fc.record({ kind: fc.constant('rewind'), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ kind: fc.constant('append'), fault: appendFault }),
);

const states = (outcomes: readonly AppendOutcome[]): string[] => outcomes.map(({ state }) => state);

interface Plan {
  readonly seed: number;
  readonly faults: readonly (readonly [number, Fault])[];
}

const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.nat(),
  faults: fc.array(fc.tuple(fc.integer({ min: 0, max: LOAD_MS }), faultOf), { maxLength: 8 }),
});

async function run({ seed, faults }: Plan): Promise<void> {
  const world = new BrokerWorld(seed, { delayMs: 20 });
  const nodes = [0, 1].map(() => world.node({ partitions: 2, window: WINDOW }));
  await world.of(Promise.all(nodes.map(({ log }) => log.open())));
  for (const { log } of nodes) for (const partition of [0, 1]) follow(world, log, partition);
  const gatherings = nodes.map((node) => new Gathering(world, node));
  const writers = gatherings.flatMap((at, n) =>
    CHANNELS.flatMap((channel, c) => [0, 1].map((w) => new OrderWriter(world, at, `n${n}c${c}w${w}`, channel))),
  );
  const pending: AppendFault[] = [];
  world.broker.onAppend = () => pending.shift();
  for (let ms = 0; ms < LOAD_MS; ms += 1 + world.below(100)) {
    world.after(ms, () => {
      for (const writer of writers) if (world.random() < 0.5) writer.append();
    });
  }
  for (const [atMs, fault] of faults) {
    world.after(atMs, () => {
      if (fault.kind === 'move') for (const one of writers) one.move(gatherings[world.below(2)] as Gathering);
      else if (fault.kind === 'append') pending.push(fault.fault);
      else strike(world, fault);
    });
  }
  await world.pass(LOAD_MS);
  await world.until(() => writers.every((one) => one.pending === 0), 'every append to be stored', 90_000);
  for (const [partition, channel] of CHANNELS.entries()) {
    const records = world.broker.constants === undefined ? [] : world.broker.at(partition).records;
    const rids = [...new Set(records.map(({ headers }) => headers.get('tideway-rid')))];
    for (const writer of writers.filter((one) => one.channel === channel)) {
      const own = rids.filter((rid) => rid?.startsWith(`${writer.name}-`)).map((rid) => Number(rid?.split('-')[1]));
      assert.deepEqual(
        own,
        own.toSorted((a, b) => a - b),
        `${writer.name} in partition ${partition}`,
      );
    }
  }
}

/** A tail as a view keeps one: it begins anew where it is told to. */
function follow(world: BrokerWorld, log: { readonly tail: BrokerWorldTail }, partition: number): void {
  const again = (): void => {
    world.after(50, () => follow(world, log, partition));
  };
  log.tail(partition, 'oldest', () => undefined, again).catch(again);
}

type BrokerWorldTail = ReturnType<BrokerWorld['node']>['log']['tail'];

type Strike = Exclude<Fault, { readonly kind: 'append' }>;

function strike(world: BrokerWorld, fault: Strike): void {
  const { broker } = world;
  switch (fault.kind) {
    case 'move':
      return;
    case 'cut':
      return broker.cut();
    case 'wipe':
      return broker.wipe();
    case 'away':
      return world.awayFor(fault.ms);
    case 'hang':
      return world.hangFor(fault.ms);
    case 'rewind':
      if (broker.constants === undefined) return;
      broker.rewind(world.below(2), fault.count);
      return broker.cut();
    default:
      fault satisfies never;
  }
}

test('a writer’s records stand in its order, whatever the broker loses, refuses or leaves open', async () => {
  await fc.assert(fc.asyncProperty(plans, run), { numRuns: 60 });
});

test('while the call of a refused record is open, nothing more is stored behind it', async () => {
  const world = new BrokerWorld(2);
  const node = world.node({ partitions: 2, window: WINDOW });
  await world.of(node.log.open());
  const open = Promise.withResolvers<void>();
  const { append } = node.port;
  node.port.append = async (partition, records, deadlineMs) => {
    if (partition === 1) await open.promise;
    return await append.call(node.port, partition, records, deadlineMs);
  };
  world.broker.onAppend = (partition) => (partition === 0 ? { fault: 'refuse', stored: 0 } : undefined);
  const first = node.log.append(CHANNELS.flatMap((channel) => node.records(1, { channel })));
  await world.pass(1_000);
  world.broker.onAppend = undefined;
  const [behind] = await node.append(1, { channel: CHANNELS[0] });
  assert.ok(behind?.state === 'refused' && behind.code === 'not_durable');
  open.resolve();
  assert.deepEqual(states(await world.of(first)), ['refused', 'stored']);
  await world.pass(1);
  assert.deepEqual(states(await node.append(1, { channel: CHANNELS[0] })), ['stored']);
});

for (const { what, strike: hit } of [
  { what: 'emptied', strike: (world: BrokerWorld) => world.broker.wipe() },
  {
    what: 'led by a replica without its newest record',
    strike: (world: BrokerWorld) => {
      world.broker.rewind(0, 1);
      world.broker.cut();
    },
  },
]) {
  test(`behind a record that was confirmed and lost nothing is stored by a broker that is ${what}`, async () => {
    const world = new BrokerWorld(3);
    const node = await world.openNode();
    await node.read();
    world.broker.holdFollowers = true;
    const lost = node.log.append(node.records(1));
    await world.until(() => world.broker.confirmed === 1, 'the confirmation');
    await world.pass(20);
    const behind = node.log.append(node.records(1));
    await world.until(() => world.broker.calls.get('append') === 2, 'the next batch to be on its way');
    hit(world);
    world.broker.holdFollowers = false;
    assert.deepEqual(states(await world.of(lost)), ['unknown']);
    assert.notEqual((await world.of(behind))[0]?.state, 'stored');
    assert.deepEqual(world.broker.at(0).records, []);
  });
}
