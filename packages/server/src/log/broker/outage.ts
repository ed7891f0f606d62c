/**
 * Which partitions take no records, once that has lasted: their appends are refused at once, and it is reported, for
 * all of a tick together.
 */
import { OncePerTick, type Env } from '../../env.ts';
import type { LogHealth } from '../log.ts';
import type { BrokerLogEvent } from './broker-log-options.ts';
import { LastingTrouble } from './lasting-trouble.ts';

export interface OutageEvents {
  /** From now on the partition's appends are refused. */
  onLasting(partition: number): void;
  report(event: BrokerLogEvent): void;
}

interface Partition {
  readonly trouble: LastingTrouble;
  /** Why it takes no records, once that has lasted. */
  reason: Error | undefined;
  /** The reason that was reported last; `undefined` for none. */
  reported: Error | undefined;
}

export class Outage {
  readonly #env: Env;
  readonly #events: OutageEvents;
  #partitions: readonly Partition[] = [];
  /** It was reported before anybody knew of which partitions. */
  #isUnopened = false;
  /** Looks at what there is to report. */
  readonly #looking: OncePerTick;
  #isOver = false;

  constructor(env: Env, events: OutageEvents) {
    this.#env = env;
    this.#looking = new OncePerTick(env, () => this.#look());
    this.#events = events;
  }

  /** It is known now how many partitions there are. */
  open(count: number): void {
    this.#partitions = Array.from({ length: count }, (_, n) => this.#partition(n));
    if (!this.#isUnopened) return;
    this.#isUnopened = false;
    this.#events.report({ event: 'up', health: this.health });
  }

  get health(): LogHealth {
    const down = [...this.#partitions.keys()].filter((n) => this.#partitions[n]?.reason !== undefined);
    return { partitions: this.#partitions.length, down };
  }

  /** Why the partition's appends are refused; `undefined` while they are not. */
  reason(partition: number): Error | undefined {
    return this.#partitions[partition]?.reason;
  }

  /** What is wrong with the partition now; `undefined` for nothing. */
  set(partition: number, error: Error | undefined): void {
    this.#partitions[partition]?.trouble.set(error);
  }

  /** What will not pass by itself, and is wrong with all of them. */
  setLasting(error: Error): void {
    for (const { trouble } of this.#partitions) trouble.setLasting(error);
    if (this.#partitions.length > 0) return;
    this.#isUnopened = true;
    this.#events.report({ event: 'down', health: { partitions: 1, down: [0] }, error });
  }

  /** Nothing is reported any more. */
  stop(): void {
    this.#isOver = true;
    for (const { trouble } of this.#partitions) trouble.stop();
  }

  #partition(n: number): Partition {
    const trouble = new LastingTrouble(this.#env, {
      onLasting: (error) => {
        partition.reason = error;
        this.#looking.schedule();
        this.#events.onLasting(n);
      },
      onOver: () => {
        partition.reason = undefined;
        this.#looking.schedule();
      },
    });
    const partition: Partition = { trouble, reason: undefined, reported: undefined };
    return partition;
  }

  #look(): void {
    if (this.#isOver) return;
    const { health } = this;
    const changed = this.#partitions.filter(({ reason, reported }) => reason !== reported);
    for (const partition of changed) partition.reported = partition.reason;
    const error = changed.find(({ reason }) => reason !== undefined)?.reason;
    if (changed.some(({ reason }) => reason === undefined)) this.#events.report({ event: 'up', health });
    if (error !== undefined) this.#events.report({ event: 'down', health, error });
  }
}
