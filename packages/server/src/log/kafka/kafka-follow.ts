/**
 * Following partitions: one fetch loop for each broker, over all partitions that it leads and somebody follows. The next
 * fetch is on its way while the records of the last one are handed over; a follower that is slow keeps at most what one
 * fetch may bring, then its partition is left out until it has caught up.
 */
import type { FollowEvents, Following, StoredRecord } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import { WAIT_MS_MAX, type KafkaCluster } from './kafka-cluster.ts';
import { faultText } from './kafka-fault.ts';
import { FETCH_BYTES, fetchOnce, type FetchAsk, type Fetched } from './kafka-fetch.ts';
import { decodeBatches, type BatchTools } from './record-batch.ts';

/** A fetch that waits this long at first, then longer each time: another follower that comes need not wait for long. */
const WAIT_MS_MIN = 10;

/** Says why a partition answers with an error. */
export type ExplainFault = (ask: FetchAsk, code: number) => Promise<Error>;

export class KafkaFollows {
  readonly #cluster: KafkaCluster;
  readonly #tools: BatchTools;
  readonly #explain: ExplainFault;
  readonly #loops = new Map<number, FetchLoop>();

  constructor(cluster: KafkaCluster, tools: BatchTools, explain: ExplainFault) {
    this.#cluster = cluster;
    this.#tools = tools;
    this.#explain = explain;
  }

  follow(broker: number, from: FetchAsk, events: FollowEvents): Following {
    let loop = this.#loops.get(broker);
    if (loop === undefined) {
      loop = new FetchLoop(this.#cluster, broker, this.#tools, this.#explain);
      this.#loops.set(broker, loop);
    }
    const follower = new Follower(from, events, loop.wake);
    loop.add(follower);
    return follower;
  }

  /** Ends all of them. */
  end(error: Error): void {
    for (const loop of this.#loops.values()) loop.end(error);
  }
}

class Follower implements Following {
  readonly #events: FollowEvents;
  readonly #onRoom: () => void;
  #ask: FetchAsk;
  #queue: (readonly StoredRecord[])[] = [];
  #queuedBytes = 0;
  #busy = false;
  #isHalted = false;
  #ended = false;

  constructor(ask: FetchAsk, events: FollowEvents, onRoom: () => void) {
    this.#ask = ask;
    this.#events = events;
    this.#onRoom = onRoom;
  }

  get ask(): FetchAsk {
    return this.#ask;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get hasRoom(): boolean {
    return !this.#isHalted && this.#queuedBytes < FETCH_BYTES;
  }

  /** Fetches nothing more for it; why comes with `end`. */
  halt(): void {
    this.#isHalted = true;
  }

  /** Takes what was fetched for it, from where it stands; what it gives goes out with `give`. */
  keep(records: readonly StoredRecord[], bytes: number): void {
    const last = records.at(-1);
    if (this.#ended || last === undefined) return;
    this.#ask = { ...this.#ask, offset: last.number };
    this.#queue.push(records);
    this.#queuedBytes += bytes;
  }

  give(): void {
    if (!this.#busy) void this.#give();
  }

  stop(): Promise<void> {
    this.#ended = true;
    this.#queue = [];
    this.#onRoom();
    return Promise.resolve();
  }

  end(error: Error): void {
    if (this.#ended) return;
    void this.stop();
    this.#events.onEnd(error);
  }

  async #give(): Promise<void> {
    this.#busy = true;
    try {
      for (let records = this.#queue.shift(); records !== undefined && !this.#ended; records = this.#queue.shift()) {
        const wait = this.#events.onRecords(records);
        if (wait !== undefined) await wait;
        if (this.#queue.length === 0 && this.#queuedBytes > 0) {
          this.#queuedBytes = 0;
          this.#onRoom();
        }
      }
    } catch (error) {
      this.end(new TailError('unavailable', 'what follows the partition failed', { cause: error }));
    }
    this.#busy = false;
  }
}

class FetchLoop {
  readonly #cluster: KafkaCluster;
  readonly #broker: number;
  readonly #tools: BatchTools;
  readonly #explain: ExplainFault;
  readonly #followers = new Set<Follower>();
  #waitMs = WAIT_MS_MIN;
  #isRunning = false;
  #wake: (() => void) | undefined;

  constructor(cluster: KafkaCluster, broker: number, tools: BatchTools, explain: ExplainFault) {
    this.#cluster = cluster;
    this.#broker = broker;
    this.#tools = tools;
    this.#explain = explain;
  }

  readonly wake = (): void => this.#wake?.();

  add(follower: Follower): void {
    this.#followers.add(follower);
    this.#waitMs = WAIT_MS_MIN;
    if (this.#isRunning) return this.wake();
    this.#isRunning = true;
    // Others that start in the same tick go with the first fetch.
    setImmediate(() => void this.#run());
  }

  end(error: Error): void {
    for (const follower of this.#followers) follower.end(error);
    this.#followers.clear();
    this.wake();
  }

  async #run(): Promise<void> {
    try {
      let next = this.#fetch();
      while (next !== undefined) {
        const given = this.#sort(next.asked, await next.answer);
        next = this.#fetch();
        for (const follower of given) follower.give();
        next ??= await this.#room();
      }
      this.#isRunning = false;
    } catch (error) {
      this.#isRunning = false;
      // Learns first whether the whole cluster is gone, so that nobody tries again in vain.
      await this.#cluster.refresh().catch(() => undefined);
      const broker = `broker ${this.#broker} of ${this.#cluster.address.place}`;
      this.end(new TailError('unavailable', `${broker}: ${faultText(error)}`, { cause: error }));
    }
  }

  /** The next fetch, on its way; `undefined` where nobody wants anything now. */
  #fetch(): Fetch | undefined {
    if (this.#cluster.ended !== undefined) return undefined;
    const asked = new Map<string, Follower>();
    for (const follower of [...this.#followers]) {
      if (follower.ended) this.#followers.delete(follower);
      if (follower.ended || !follower.hasRoom) continue;
      const key = keyOf(follower.ask);
      // A partition stands in a request once. Whoever was asked for goes behind one that was not.
      const other = asked.get(key);
      if (other === undefined) asked.set(key, follower);
      else if (this.#followers.delete(other)) this.#followers.add(other);
    }
    if (asked.size === 0) return undefined;
    const asks = [...asked.values()].map(({ ask }) => ask);
    const answer = fetchOnce(this.#cluster, this.#broker, 'fetch', asks, this.#waitMs);
    this.#waitMs = Math.min(WAIT_MS_MAX, this.#waitMs * 2);
    // It is awaited after the records of the last one were handed over.
    answer.catch(() => undefined);
    return { asked, answer };
  }

  /** Waits until a follower has room again or another comes; `undefined` when none is left. */
  async #room(): Promise<Fetch | undefined> {
    for (;;) {
      const next = this.#fetch();
      if (next !== undefined || this.#followers.size === 0 || this.#cluster.ended !== undefined) return next;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }

  /** Hands to each follower what came for it; returns those that have something to give. */
  #sort(asked: ReadonlyMap<string, Follower>, answer: readonly Fetched[]): Follower[] {
    const given: Follower[] = [];
    for (const part of answer) {
      const follower = asked.get(keyOf(part));
      if (follower === undefined || follower.ended) continue;
      if (part.code !== 0) {
        follower.halt();
        void this.#explain(follower.ask, part.code).then((error) => follower.end(error));
      } else if (part.batches.length > 0 && this.#decode(follower, part)) {
        given.push(follower);
        // A large batch does not fit behind others: whoever got something now stands behind them next time.
        if (this.#followers.delete(follower)) this.#followers.add(follower);
      }
    }
    return given;
  }

  #decode(follower: Follower, part: Fetched): boolean {
    try {
      follower.keep(decodeBatches(part.batches, follower.ask.offset, this.#tools), part.batches.length);
      return true;
    } catch (error) {
      const where = `partition ${part.partition} of ${this.#cluster.address.place}`;
      follower.end(new TailError('damaged', `${where}: ${faultText(error)}`, { cause: error }));
      return false;
    }
  }
}

interface Fetch {
  readonly asked: ReadonlyMap<string, Follower>;
  readonly answer: Promise<Fetched[]>;
}

function keyOf({ topicId, partition }: { readonly topicId: string; readonly partition: number }): string {
  return `${topicId} ${partition}`;
}
