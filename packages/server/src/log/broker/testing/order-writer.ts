/**
 * A writer as a client is one (PROTOCOL.md APP-3, APP-4): several appends on their way, and after one that is not stored
 * all that have no answer again, in order. It may move to another node, and then does not hear what the first one says.
 */
import type { AppendOutcome, PhysicalRecord } from '../../log.ts';
import type { BrokerWorld, Node } from './broker-world.ts';

const SENT_MAX = 8;
const RETRY_MS = 300;

interface Gathered {
  readonly record: PhysicalRecord;
  /** False once one before it is to be sent again: the session refuses it. */
  readonly isDue: () => boolean;
  readonly onOutcome: (outcome: AppendOutcome) => void;
}

/** The appends of one node that come in one tick: one call of its log, whatever their partitions. */
export class Gathering {
  readonly node: Node;
  readonly #world: BrokerWorld;
  #batch: Gathered[] = [];

  constructor(world: BrokerWorld, node: Node) {
    this.#world = world;
    this.node = node;
  }

  append(gathered: Gathered): void {
    this.#batch.push(gathered);
    if (this.#batch.length > 1) return;
    this.#world.env.endOfTick(() => {
      const batch = this.#batch.filter(({ isDue }) => isDue());
      this.#batch = [];
      void this.node.log.append(batch.map(({ record: one }) => one)).then((outcomes) => {
        for (const [n, one] of batch.entries()) one.onOutcome(outcomes[n] as AppendOutcome);
      });
    });
  }
}

export class OrderWriter {
  readonly name: string;
  readonly channel: string;
  readonly #world: BrokerWorld;
  #at: Gathering;
  #held: string[] = [];
  #sent = 0;
  #count = 0;
  /** Counts sendings: what becomes of an earlier one counts only where it is stored. */
  #sending = 0;
  #isWaiting = false;

  constructor(world: BrokerWorld, at: Gathering, name: string, channel: string) {
    this.#world = world;
    this.#at = at;
    this.name = name;
    this.channel = channel;
  }

  /** Appends without outcome. */
  get pending(): number {
    return this.#held.length;
  }

  append(): void {
    this.#held.push(`${this.name}-${this.#count++}`);
    this.#pump();
  }

  /** Goes on at another node, as after a lost connection: what the first one still says is not heard. */
  move(to: Gathering): void {
    this.#at = to;
    this.#goBack();
    this.#pump();
  }

  #pump(): void {
    while (!this.#isWaiting && this.#sent < Math.min(this.#held.length, SENT_MAX)) {
      this.#send(this.#held[this.#sent++] as string);
    }
  }

  #send(rid: string): void {
    const [at, sending] = [this.#at, this.#sending];
    const { channel } = this;
    const payload = Buffer.from('1');
    const record = { channel, kind: 'data', encoding: 'json', payload, rid } as const;
    const isDue = (): boolean => sending === this.#sending;
    const onOutcome = ({ state }: AppendOutcome): void => {
      if (at !== this.#at || !this.#held.includes(rid)) return;
      if (state === 'stored') {
        if (this.#held.indexOf(rid) < this.#sent) this.#sent--;
        this.#held = this.#held.filter((other) => other !== rid);
        this.#pump();
      } else if (isDue()) {
        this.#goBack();
        this.#isWaiting = true;
        this.#world.after(RETRY_MS * (1 + this.#world.random()), () => {
          this.#isWaiting = false;
          this.#pump();
        });
      }
    };
    at.append({ record, isDue, onOutcome });
  }

  #goBack(): void {
    this.#sent = 0;
    this.#sending++;
  }
}
