/**
 * The deployments that docs/scale.md works out: what clients do in each, how many nodes that takes by arithmetic, and
 * what the simulation says of them.
 */
import type { BrokerName } from '../brokers.ts';
import type { Costs } from './costs.ts';
import { simulate, type Outcome } from './simulation.ts';
import { followersPerAppend, type Workload } from './workload.ts';

/** A node's thread is planned to be this busy when one node is lost; the rest is for bursts and garbage collection. */
export const plannedShare = 0.6;
/** Of which taking in every record of the log may be half. */
export const ingestShare = 0.3;
/** Half of the default of `limits.sessions`. */
export const connectionsMax = 25_000;
export const log: BrokerName = 'kafka';

export interface Planned {
  readonly name: string;
  readonly workload: Workload;
  /** How long is played: long enough for some hundred appends. */
  readonly seconds: number;
}

const rooms = { exponent: 0.5, follows: 1, burst: 1, payloadBytes: 200 };

export const plans: readonly Planned[] = [
  {
    name: '1 million, rooms of ten',
    workload: { ...rooms, connections: 1e6, channels: 1e5, appendsPerSecond: 5_000 },
    seconds: 3,
  },
  {
    name: '1 million, some rooms very popular',
    workload: { ...rooms, connections: 1e6, channels: 1e5, exponent: 0.8, appendsPerSecond: 5_000 },
    seconds: 3,
  },
  {
    name: '10 million, rooms of ten',
    workload: { ...rooms, connections: 1e7, channels: 1e6, appendsPerSecond: 50_000 },
    seconds: 2,
  },
  {
    name: '1 million on one channel, a record a second',
    workload: { ...rooms, connections: 1e6, channels: 1, appendsPerSecond: 1, isPaced: true },
    seconds: 30,
  },
  {
    name: '1 million on one channel, four a second',
    workload: { ...rooms, connections: 1e6, channels: 1, appendsPerSecond: 4, isPaced: true },
    seconds: 20,
  },
  {
    name: '500,000 appends a second, 1 million',
    workload: { ...rooms, connections: 1e6, channels: 1e5, appendsPerSecond: 500_000 },
    seconds: 1,
  },
];

export interface Sized {
  readonly planned: Planned;
  /** Logs of their own, each with its nodes; what follows is of one of them. */
  readonly cells: number;
  readonly nodes: number;
  readonly workload: Workload;
}

/** What of one thread a node of so many needs. */
export function threadShare(workload: Workload, nodes: number, costs: Costs): number {
  const { connections, appendsPerSecond } = workload;
  const { ingestUs, latencyMs } = costs.logs[log];
  const own = appendsPerSecond / nodes;
  const deliveries = own * followersPerAppend(workload);
  const pings = connections / nodes / 25;
  const usPerSecond =
    appendsPerSecond * ingestUs +
    own * costs.appendUs +
    Math.min(own, 1e3 / latencyMs) * costs.batchTurnUs +
    deliveries * (costs.writeUs + costs.recordUs) +
    pings * 2 * costs.writeUs;
  return usPerSecond / 1e6;
}

/** As many cells as taking records in asks for, and in each as many nodes as are enough when one of them is lost. */
export function sizeOf(planned: Planned, costs: Costs): Sized {
  const { workload: whole } = planned;
  const cells = Math.max(1, Math.ceil((whole.appendsPerSecond * costs.logs[log].ingestUs) / 1e6 / ingestShare));
  const workload: Workload = {
    ...whole,
    connections: Math.round(whole.connections / cells),
    channels: Math.max(1, Math.round(whole.channels / cells)),
    appendsPerSecond: whole.appendsPerSecond / cells,
  };
  let left = Math.max(1, Math.ceil(workload.connections / connectionsMax));
  while (threadShare(workload, left, costs) > plannedShare) left++;
  return { planned, cells, nodes: left + 1, workload };
}

export function play(sized: Sized, costs: Costs, more: { readonly lostAtMs?: number } = {}): Outcome {
  const { workload, nodes, planned } = sized;
  return simulate({ workload, nodes, log, seconds: planned.seconds, seed: 1, ...more }, costs);
}
