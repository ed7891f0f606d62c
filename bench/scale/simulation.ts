/**
 * A simulation of nodes on one log: clients append, the log orders, every node takes every record in and writes it to
 * those of its connections that follow its channel; one node may be lost, and its clients come back to the others.
 * Time is the simulation's own and all dice have a seed, so the same plan gives the same figures.
 *
 * What it leaves out: the network's own time, garbage collection, other programs, and that the kernel is slower with
 * more connections. checks.ts says how far it is from what was measured.
 */
import type { BrokerName } from '../brokers.ts';
import type { Costs } from './costs.ts';
import { Dice, Popularity } from './dice.ts';
import { Latencies } from './latencies.ts';
import { NodeModel, type Arrival, type Stored } from './node-model.ts';
import type { Workload } from './workload.ts';

export interface Plan {
  readonly workload: Workload;
  readonly nodes: number;
  readonly log: BrokerName | 'embedded';
  readonly seconds: number;
  readonly seed: number;
  /** One node is lost then; its clients come back within half a second, as the SDK's do. */
  readonly lostAtMs?: number;
  /** Nodes are sent only what their clients follow. */
  readonly isRelayed?: boolean;
}

export interface Outcome {
  /** Of one node, as most of what follows: CPU of all threads, and deliveries, in all the time that was played. */
  readonly cpuMs: number;
  readonly deliveries: number;
  /** Records that a node took in, of all. */
  readonly takenShare: number;
  /** Of one thread, mean and busiest node. */
  readonly cpuShare: number;
  readonly cpuShareMax: number;
  /** From the append to the write on the socket. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** On all nodes. */
  readonly deliveriesPerSecond: number;
  /** Work that was left when the time was over: a node that cannot keep up. */
  readonly isBehind: boolean;
  readonly memoryMb: number;
  /** Of one node, to its clients and from the log. */
  readonly outMbitPerSecond: number;
  readonly inMbitPerSecond: number;
  /** CPU of the broker, in cores. */
  readonly brokerCores: number;
  /** After a node was lost: when the last of its clients was back. */
  readonly backMs: number;
}

/** So many nodes are played; more are alike. */
const NODES_MAX = 16;
const COMEBACK_MS = 500;
/** A node that is this far behind at the end does not keep up. */
const BEHIND_MS = 500;
/** Ethernet, IP and TCP headers of a segment, both ways counted once. */
const SEGMENT_BYTES = 78;

export function simulate(plan: Plan, costs: Costs): Outcome {
  const { workload, seconds } = plan;
  const dice = new Dice(plan.seed);
  const popularity = new Popularity(workload.channels, workload.exponent);
  const latencies = new Latencies();
  const log = plan.log === 'embedded' ? undefined : costs.logs[plan.log];
  const logMs = log?.latencyMs ?? costs.syncMs;
  const played = Math.min(plan.nodes, NODES_MAX);
  const nodes = Array.from({ length: played }, () => {
    const followers = followersOnOne(workload, popularity, plan.nodes, dice);
    return new NodeModel(
      {
        costs,
        // The embedded log's own ingest is part of what an append costs.
        ingestUs: log?.ingestUs ?? 0,
        logMs,
        connections: Math.round(workload.connections / plan.nodes),
        followersOf: (channel) => followers[channel] as number,
        isRelay: plan.isRelayed === true,
      },
      latencies,
    );
  });
  const appends = makeAppends(plan, popularity, dice);
  if (plan.lostAtMs !== undefined) loseOne(nodes, plan, dice);
  const endMs = play(nodes, appends, plan, logMs);
  const records = appends.length / seconds;
  const busy = nodes.map(({ busyMs }) => busyMs / endMs);
  const perNode = (sum(nodes.map(({ deliveries }) => deliveries)) / nodes.length / endMs) * 1e3;
  const frameBytes = workload.payloadBytes + costs.frameBytes;
  return {
    cpuMs: sum(nodes.map(({ busyMs, otherThreadsMs }) => busyMs + otherThreadsMs)) / nodes.length,
    deliveries: sum(nodes.map(({ deliveries }) => deliveries)) / nodes.length,
    takenShare: sum(nodes.map(({ taken }) => taken)) / nodes.length / appends.length,
    cpuShare: sum(busy) / nodes.length,
    cpuShareMax: Math.max(...busy),
    p50Ms: latencies.percentile(0.5),
    p99Ms: latencies.percentile(0.99),
    deliveriesPerSecond: perNode * (plan.lostAtMs === undefined ? plan.nodes : plan.nodes - 1),
    isBehind: endMs > seconds * 1e3 + BEHIND_MS,
    memoryMb: costs.processMb + ((nodes[0]?.connections ?? 0) * costs.connectionKb) / 1e3,
    outMbitPerSecond: (perNode * (frameBytes + SEGMENT_BYTES) * 8) / 1e6,
    inMbitPerSecond: (records * frameBytes * 8) / 1e6,
    brokerCores: log === undefined ? 0 : (records * (log.brokerWriteUs + plan.nodes * log.brokerReadUs)) / 1e6,
    backMs: Math.max(...nodes.map(({ stormOverMs }) => stormOverMs)) - (plan.lostAtMs ?? 0),
  };
}

/** How many of one node's connections follow each channel: clients come to any node, as a load balancer sends them. */
function followersOnOne(workload: Workload, popularity: Popularity, nodes: number, dice: Dice): Float64Array {
  const mean = (workload.connections * workload.follows) / nodes;
  return popularity.shares.map((share) => (nodes === 1 ? Math.round(mean * share) : dice.count(mean * share)));
}

function makeAppends(plan: Plan, popularity: Popularity, dice: Dice): Arrival[] {
  const { appendsPerSecond, burst, isPaced, channels } = plan.workload;
  const appends: Arrival[] = [];
  const burstsPerSecond = appendsPerSecond / burst;
  for (let atMs = 0, n = 0; atMs < plan.seconds * 1e3;) {
    for (let i = 0; i < burst; i++) {
      appends.push({ sentMs: atMs, channel: isPaced === true ? n++ % channels : popularity.throw(dice) });
    }
    atMs += isPaced === true ? 1e3 / burstsPerSecond : dice.gapMs(burstsPerSecond);
  }
  return appends;
}

/** The first node is not played any more; its clients go to the others. */
function loseOne(nodes: NodeModel[], { nodes: count, lostAtMs = 0 }: Plan, dice: Dice): void {
  const clients = nodes.shift()?.connections ?? 0;
  for (const node of nodes) {
    const own = dice.count(clients / (count - 1));
    node.comebacks = Array.from({ length: own }, () => lostAtMs + dice.fraction() * COMEBACK_MS).sort((a, b) => a - b);
  }
}

/** Whose turn begins first has it. Returns when everything was done. */
function play(nodes: readonly NodeModel[], appends: readonly Arrival[], plan: Plan, logMs: number): number {
  // Appends on nodes that are not played are stored as if those had nothing else to do.
  const elsewhere: Stored[] = [];
  appends.forEach((append, n) => {
    const node = nodes[n % plan.nodes];
    if (node === undefined) elsewhere.push({ ...append, atMs: append.sentMs + logMs });
    else node.appends.push(append);
  });
  const stored: Stored[] = [];
  const places = nodes.map(() => 0);
  let endMs = plan.seconds * 1e3;
  let others = 0;
  for (;;) {
    let [first, firstMs] = [-1, Number.POSITIVE_INFINITY];
    nodes.forEach((node, n) => {
      const nextMs = node.nextMs(stored[places[n] as number]?.atMs ?? Number.POSITIVE_INFINITY);
      if (nextMs < firstMs) [first, firstMs] = [n, nextMs];
    });
    const other = elsewhere[others];
    if (other !== undefined && other.atMs <= firstMs) {
      stored.push(other);
      others++;
      continue;
    }
    if (first < 0) return endMs;
    const from = places[first] as number;
    let to = from;
    while (to < stored.length && (stored[to] as Stored).atMs <= firstMs) to++;
    places[first] = to;
    for (const arrival of (nodes[first] as NodeModel).turn(firstMs, stored.slice(from, to))) {
      stored.push({ ...arrival, atMs: firstMs });
    }
    endMs = Math.max(endMs, firstMs);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
