/**
 * The log over a broker that does its worst, thousands of times: what was acknowledged is there unless the broker lost
 * it, in order and once, and every tail holds what the broker holds in the end, or was told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { recordTag } from '../record.ts';
import type { AppendOutcome, TailError, TailRecord } from '../log.ts';
import { positionOf } from '../position.ts';
import type { BrokerLog } from './broker-log.ts';
import { fromNative } from './native-record.ts';
import { BrokerWorld, type Node } from './testing/broker-world.ts';
import type { AppendFault } from './testing/fake-broker.ts';

const WINDOW = 64;
const LOAD_MS = 20_000;

type Fault =
  | { readonly kind: 'cut' | 'wipe' | 'quiet rewind' }
  | { readonly kind: 'away' | 'hang'; readonly ms: number }
  | { readonly kind: 'rewind'; readonly count: number; readonly isCut: boolean }
  | { readonly kind: 'append'; readonly fault: AppendFault };

const appendFault: fc.Arbitrary<AppendFault> = fc.oneof(
  fc.record({ fault: fc.constantFrom('cut', 'cut-late', 'refuse', 'refuse-one'), stored: fc.nat(3) }),
  fc.constant({ fault: 'no-answer' } as const),
);
const harmless: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constant('cut') }),
  fc.record({ kind: fc.constantFrom('away', 'hang'), ms: fc.integer({ min: 1, max: 15_000 }) }),
  fc.record({ kind: fc.constant('append'), fault: appendFault }),
  fc.record({ kind: fc.constant('append'), fault: appendFault }),
);
const harmful: fc.Arbitrary<Fault> = fc.oneof(
  harmless,
  fc.record({ kind: fc.constantFrom('wipe', 'quiet rewind') }),
  fc.record({ kind: fc.constant('rewind'), count: fc.integer({ min: 1, max: 20 }), isCut: fc.boolean() }),
);

interface Plan {
  readonly seed: number;
  readonly nodes: number;
  readonly partitions: number;
  readonly isSparse: boolean;
  readonly faults: readonly (readonly [number, Fault])[];
}

const planOf = (fault: fc.Arbitrary<Fault>): fc.Arbitrary<Plan> =>
  fc.record({
    seed: fc.nat(),
    nodes: fc.integer({ min: 1, max: 2 }),
    partitions: fc.integer({ min: 1, max: 2 }),
    isSparse: fc.boolean(),
    faults: fc.array(fc.tuple(fc.integer({ min: 0, max: LOAD_MS }), fault), { maxLength: 6 }),
  });

/** One record that was appended. */
interface Sent {
  readonly node: number;
  readonly rid: string;
  readonly channel: string;
  readonly atMs: number;
  outcome: AppendOutcome | undefined;
}

/** What was seen to be wrong on the way. */
const problems: string[] = [];

/** Follows one partition as a view does: starts again where it is told to. */
class Follower {
  records: TailRecord[] = [];
  readonly ends: TailError['reason'][] = [];
  readonly #world: BrokerWorld;
  readonly #log: BrokerLog;
  readonly #partition: number;

  constructor(world: BrokerWorld, log: BrokerLog, partition: number) {
    this.#world = world;
    this.#log = log;
    this.#partition = partition;
    this.start();
  }

  start(): void {
    const last = this.records.at(-1);
    const after = last === undefined ? 'oldest' : { position: last.position, tag: last.tag };
    const take = (batch: readonly TailRecord[]): Promise<void> | undefined => {
      this.records.push(...batch);
      return this.#world.random() < 0.2 ? this.#world.pause(this.#world.below(50)) : undefined;
    };
    this.#log
      .tail(this.#partition, after, take, (error) => this.#end(error, true))
      .catch((error: unknown) => {
        this.#end(error as TailError, false);
      });
  }

  #end(error: TailError, wasRunning: boolean): void {
    if (error.name !== 'TailError') problems.push(`no TailError: ${error.stack}`);
    if (error.reason === 'unavailable') {
      if (wasRunning) problems.push(`a running tail waits: ${error.message}`);
    } else {
      this.ends.push(error.reason);
      this.records = [];
    }
    this.#world.after(error.reason === 'unavailable' ? 200 : 0, () => this.start());
  }
}

interface Run {
  readonly world: BrokerWorld;
  readonly sent: readonly Sent[];
  readonly followers: readonly (readonly Follower[])[];
}

async function run(plan: Plan): Promise<Run> {
  problems.length = 0;
  const world = new BrokerWorld(plan.seed, { isSparse: plan.isSparse });
  const nodes = Array.from({ length: plan.nodes }, () => world.node({ partitions: plan.partitions, window: WINDOW }));
  const opened = await world.of(Promise.all(nodes.map(({ log }) => log.open())));
  const followers = nodes.map(({ log }) => opened[0]?.epochs.map((_, n) => new Follower(world, log, n)) ?? []);
  const sent: Sent[] = [];
  let isLoaded = true;
  const quiet = { untilMs: 0 };
  for (const [n, node] of nodes.entries()) load(world, node, n, sent, () => isLoaded && world.nowMs >= quiet.untilMs);
  const pending: AppendFault[] = [];
  world.broker.onAppend = () => pending.shift();
  for (const [atMs, fault] of plan.faults) world.after(atMs, () => strike(world, plan, fault, pending, quiet));
  await world.pass(Math.max(LOAD_MS, quiet.untilMs));
  isLoaded = false;
  await world.pass(16_000);
  await world.until(() => sent.every(({ outcome }) => outcome !== undefined), 'every append to be answered');
  // Longer than it takes to look at an earlier place twice.
  await world.pass(30_000);
  return { world, sent, followers };
}

function load(world: BrokerWorld, node: Node, n: number, sent: Sent[], isOn: () => boolean): void {
  const next = (): void => {
    world.after(world.random() * 800, next);
    if (!isOn()) return;
    const records = node
      .records(1 + world.below(4), { payload: Buffer.from('1') })
      .map((record) => ({ ...record, channel: `a:${world.below(3)}`, rid: `n${n}${record.rid}` }));
    const calls = records.map(({ rid, channel }): Sent => ({
      node: n,
      rid,
      channel,
      atMs: world.nowMs,
      outcome: undefined,
    }));
    sent.push(...calls);
    void node.log.append(records).then((outcomes) => {
      for (const [i, call] of calls.entries()) call.outcome = outcomes[i];
      const late = world.nowMs - (calls[0]?.atMs ?? 0);
      if (late > 12_500) problems.push(`answered after ${late} ms`);
    });
  };
  next();
}

function strike(
  world: BrokerWorld,
  plan: Plan,
  fault: Fault,
  pending: AppendFault[],
  quiet: { untilMs: number },
): void {
  const { broker } = world;
  const partition = world.below(plan.partitions);
  switch (fault.kind) {
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
      broker.rewind(partition, fault.count);
      return fault.isCut ? broker.cut() : broker.endFollowers(partition);
    case 'quiet rewind':
      // Nothing tells of it, and no other node covers it up until the next look at an earlier place.
      if (broker.constants === undefined) return;
      broker.rewind(partition, 3);
      if (plan.nodes > 1) broker.endFollowers(partition);
      quiet.untilMs = world.nowMs + 30_000;
      return;
    case 'append':
      return void pending.push(fault.fault);
    default:
      fault satisfies never;
  }
}

function ridsOf(world: BrokerWorld, partition: number): string[] {
  return world.broker.at(partition).records.map(({ headers }) => headers.get('tideway-rid') ?? '');
}

function judge(plan: Plan, { world, sent, followers }: Run): void {
  assert.deepEqual(problems, []);
  const logs = Array.from({ length: plan.partitions }, (_, n) => ridsOf(world, n));
  const all = new Set(logs.flat());
  // What was acknowledged is there, unless the broker lost it.
  for (const { rid, outcome } of sent) {
    if (outcome?.state === 'stored') assert.ok(all.has(rid) || world.broker.lost.has(rid), `${rid} is missing`);
    if (outcome?.state === 'refused') assert.ok(!all.has(rid), `${rid} was refused and is there`);
  }
  for (const rids of logs) {
    const first = new Map<string, number>();
    for (const [n, rid] of rids.entries()) {
      const before = first.get(rid);
      if (before === undefined) first.set(rid, n);
      else assert.ok(n - before < WINDOW, `${rid} stands at ${before} and ${n}`);
    }
    const newest = new Map<string, number>();
    for (const { node, channel, rid, outcome } of sent) {
      const at = first.get(rid);
      // One that was given up may come late, behind what its channel was sent afterwards.
      if (at === undefined || outcome?.state !== 'stored') continue;
      const way = `${node} ${channel}`;
      assert.ok(at > (newest.get(way) ?? -1), `${rid} stands before what its channel was sent before`);
      newest.set(way, at);
    }
  }
  const lossy = plan.faults.some(([, { kind }]) => kind === 'wipe' || kind.endsWith('rewind'));
  for (const node of followers) {
    for (const [partition, follower] of node.entries()) {
      assert.deepEqual(
        follower.records.map(({ position, tag, record }) => `${position} ${tag} ${record.rid}`),
        world.broker.at(partition).records.map((stored) => {
          const record = fromNative(stored);
          return `${positionOf(stored.number)} ${recordTag(record)} ${record.rid}`;
        }),
        `partition ${partition}`,
      );
      if (!lossy) assert.deepEqual(follower.ends, [], 'nobody is told of a gap where nothing was lost');
      for (const reason of follower.ends) assert.ok(reason === 'diverged' || reason === 'epoch', reason);
    }
  }
}

test('a broker that cuts, hangs, refuses and answers nothing loses, doubles and reorders nothing', async () => {
  await fc.assert(
    fc.asyncProperty(planOf(harmless), async (plan) => judge(plan, await run(plan))),
    { numRuns: 200 },
  );
});

test('a broker that forgets is found out: every tail is told and ends up with what the broker has', async () => {
  await fc.assert(
    fc.asyncProperty(planOf(harmful), async (plan) => judge(plan, await run(plan))),
    { numRuns: 200 },
  );
});

test('the same seed gives the same run', async () => {
  const [plan] = fc.sample(planOf(harmful), { numRuns: 1, seed: 7 }) as [Plan];
  const trace = async (): Promise<unknown> => {
    const { world, sent, followers } = await run(plan);
    return [sent, followers.map((node) => node.map(({ records, ends }) => [records.length, ends])), world.nowMs];
  };
  assert.deepEqual(await trace(), await trace());
});
