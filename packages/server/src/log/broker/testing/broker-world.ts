/** Nodes on a fake broker in a held world: what they append, what they are answered, what their tails gave them. */
import type { AppendOutcome, PhysicalRecord, Tail, TailError, TailRecord, TailStart } from '../../log.ts';
import { BrokerLog, type BrokerLogEvent, type BrokerLogOptions } from '../broker-log.ts';
import { FakeBroker } from './fake-broker.ts';
import type { FakePort } from './fake-port.ts';
import { HeldWorld } from './held-world.ts';

export class BrokerWorld extends HeldWorld {
  readonly broker: FakeBroker;

  /** @param delayMs each step of the broker takes up to so long */
  constructor(seed: number, more: { readonly isSparse?: boolean; readonly delayMs?: number } = {}) {
    super(seed);
    const { delayMs = 5, isSparse = false } = more;
    this.broker = new FakeBroker({
      isSparse,
      delay: () => this.pause(this.random() * delayMs),
      setTimer: (ms, callback) => this.after(ms, callback),
    });
  }

  node(options: Partial<BrokerLogOptions> = {}): Node {
    return new Node(this, options);
  }

  /** An open node on one partition, the usual case. */
  async openNode(options: Partial<BrokerLogOptions> = {}): Promise<Node> {
    const node = this.node({ partitions: 1, window: 64, ...options });
    await this.of(node.log.open());
    return node;
  }

  /** From now on it accepts and says nothing; the nodes' watchdogs find it. */
  hang(): void {
    this.broker.isHung = true;
    this.after(5_000, () => {
      if (this.broker.isHung) this.broker.cut(new Error('nothing was heard for 5000 ms'));
    });
  }

  /** The same until so long has passed; then it says what it kept back. */
  hangFor(ms: number): void {
    this.hang();
    this.after(ms, () => {
      this.broker.isHung = false;
      this.broker.wake();
    });
  }

  /** Every connection is cut, and no new one taken until so long has passed. */
  awayFor(ms: number): void {
    this.broker.isReachable = false;
    this.broker.cut();
    this.after(ms, () => (this.broker.isReachable = true));
  }
}

export class Node {
  readonly log: BrokerLog;
  readonly port: FakePort;
  readonly events: BrokerLogEvent[] = [];
  readonly #world: BrokerWorld;
  #count = 0;

  constructor(world: BrokerWorld, options: Partial<BrokerLogOptions>) {
    this.#world = world;
    this.port = world.broker.port();
    this.log = new BrokerLog({
      port: this.port,
      env: world.env,
      report: (event) => this.events.push(event),
      ...options,
    });
  }

  records(count: number, more: Partial<PhysicalRecord> = {}): PhysicalRecord[] {
    return Array.from({ length: count }, () => {
      const rid = `r${++this.#count}`;
      return { channel: 'a:b', kind: 'data', encoding: 'json', payload: Buffer.from(`"${rid}"`), rid, ...more };
    });
  }

  append(count: number, more: Partial<PhysicalRecord> = {}): Promise<readonly AppendOutcome[]> {
    return this.#world.of(this.log.append(this.records(count, more)));
  }

  async read(after: TailStart = 'oldest', partition = 0): Promise<Reader> {
    const reader = new Reader();
    reader.tail = await this.#world.of(
      this.log.tail(
        partition,
        after,
        (batch) => reader.take(batch),
        (error) => (reader.error = error),
      ),
    );
    return reader;
  }
}

/** What one tail gave. */
export class Reader {
  tail: Tail | undefined;
  error: TailError | undefined;
  readonly records: TailRecord[] = [];

  take(batch: readonly TailRecord[]): undefined {
    this.records.push(...batch);
  }

  get rids(): readonly (string | undefined)[] {
    return this.records.map(({ record }) => record.rid);
  }
}
