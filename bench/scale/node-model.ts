/**
 * One node in the simulation: a thread that works in turns of the event loop. A turn takes everything that has come,
 * then writes once to each connection that is to get something; what comes meanwhile waits for the next turn. One batch
 * of appends is under way to the log, what comes meanwhile is the next.
 */
import type { Costs } from './costs.ts';
import type { Latencies } from './latencies.ts';

/** The clients that come back are served for so long in a turn (ARCHITECTURE.md, the ring and the tick). */
const STORM_MS = 0.5;
const PING_MS = 25_000;
/** A record is counted at so many moments of the writes that deliver it. */
const MOMENTS = 4;

export interface Arrival {
  /** When the client sent it. */
  readonly sentMs: number;
  readonly channel: number;
}

export interface Stored extends Arrival {
  /** When nodes can have it. */
  readonly atMs: number;
}

export interface NodeOptions {
  readonly costs: Costs;
  readonly ingestUs: number;
  /** How long a batch takes to be stored. */
  readonly logMs: number;
  readonly connections: number;
  /** How many of this node's connections follow a channel. */
  followersOf(channel: number): number;
  /** A relay is not sent what nobody here follows. */
  readonly isRelay: boolean;
}

export class NodeModel {
  readonly #options: NodeOptions;
  readonly #latencies: Latencies;
  /** Appends of its own clients that were not looked at yet, and those that wait for the batch under way. */
  appends: Arrival[] = [];
  #waiting: Arrival[] = [];
  #batch: readonly Arrival[] | undefined;
  #batchDoneMs = Number.POSITIVE_INFINITY;
  /** Clients that come back, by when, in order; how many are served. */
  comebacks: number[] = [];
  #served = 0;
  connections: number;
  /** Of its thread, and what other threads did besides. */
  busyMs = 0;
  otherThreadsMs = 0;
  deliveries = 0;
  /** Records that it took in. */
  taken = 0;
  /** When the last of those who came back was there. */
  stormOverMs = 0;
  #turnMs = 0;

  constructor(options: NodeOptions, latencies: Latencies) {
    this.#options = options;
    this.#latencies = latencies;
    this.connections = options.connections;
  }

  /** When it has something to do, given when the next record comes. */
  nextMs(recordMs: number): number {
    const appendMs = this.appends[0]?.sentMs ?? Number.POSITIVE_INFINITY;
    const stormMs = this.comebacks[this.#served] ?? Number.POSITIVE_INFINITY;
    return Math.max(this.#turnMs, Math.min(recordMs, appendMs, stormMs, this.#batchDoneMs));
  }

  /** One turn, which begins now. Returns what became durable by it, for all nodes. */
  turn(nowMs: number, records: readonly Stored[]): readonly Arrival[] {
    const { costs } = this.#options;
    let usedUs = ((nowMs - this.#turnMs) / PING_MS) * this.connections * 2 * costs.writeUs;
    const stored = this.#takeBatch(nowMs);
    usedUs += this.#takeAppends(nowMs) + this.#takeComebacks(nowMs, usedUs);
    const [ingestUs, writesUs] = this.#takeRecords(records, nowMs + usedUs / 1e3);
    usedUs += ingestUs + writesUs;
    this.#turnMs = nowMs + usedUs / 1e3;
    this.busyMs += usedUs / 1e3;
    if (this.#batch === undefined && this.#waiting.length > 0) {
      this.#batch = this.#waiting;
      this.#waiting = [];
      this.#batchDoneMs = this.#turnMs + this.#options.logMs;
    }
    return stored;
  }

  #takeBatch(nowMs: number): readonly Arrival[] {
    if (this.#batch === undefined || this.#batchDoneMs > nowMs) return [];
    const stored = this.#batch;
    this.#batch = undefined;
    this.#batchDoneMs = Number.POSITIVE_INFINITY;
    return stored;
  }

  #takeAppends(nowMs: number): number {
    const { appendUs, batchUs, batchTurnUs } = this.#options.costs;
    let count = 0;
    while (count < this.appends.length && (this.appends[count] as Arrival).sentMs <= nowMs) count++;
    this.#waiting.push(...this.appends.splice(0, count));
    const begins = this.#batch === undefined && this.#waiting.length > 0;
    if (begins) this.otherThreadsMs += (batchUs - batchTurnUs) / 1e3;
    return count * appendUs + (begins ? batchTurnUs : 0);
  }

  #takeComebacks(nowMs: number, usedUs: number): number {
    const { comebackUs } = this.#options.costs;
    let ownUs = 0;
    while (ownUs < STORM_MS * 1e3 && (this.comebacks[this.#served] ?? Number.POSITIVE_INFINITY) <= nowMs) {
      this.#served++;
      this.connections++;
      ownUs += comebackUs;
    }
    if (ownUs > 0) this.stormOverMs = nowMs + (usedUs + ownUs) / 1e3;
    return ownUs;
  }

  #takeRecords(records: readonly Stored[], atMs: number): [number, number] {
    const { costs, ingestUs, isRelay } = this.#options;
    const byChannel = new Map<number, Stored[]>();
    let taken = 0;
    for (const record of records) {
      const isFollowed = this.#options.followersOf(record.channel) > 0;
      if (!isRelay || isFollowed) taken++;
      if (!isFollowed) continue;
      const others = byChannel.get(record.channel);
      if (others === undefined) byChannel.set(record.channel, [record]);
      else others.push(record);
    }
    this.taken += taken;
    let writesUs = 0;
    for (const [channel, own] of byChannel) {
      // Those who came from a lost node follow what the others follow.
      const followers = this.#options.followersOf(channel) * (this.connections / this.#options.connections);
      const allUs = followers * (costs.writeUs + own.length * costs.recordUs);
      this.deliveries += followers * own.length;
      for (let moment = 1; moment <= MOMENTS; moment++) {
        const untilMs = atMs + (taken * ingestUs + writesUs + (allUs * moment) / MOMENTS) / 1e3;
        for (const { sentMs } of own) this.#latencies.add(untilMs - sentMs, (followers * own.length) / MOMENTS);
      }
      writesUs += allUs;
    }
    return [taken * ingestUs, writesUs];
  }
}
