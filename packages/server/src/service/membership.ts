/**
 * A member's part in its group: says that it lives, takes its share of the slots, gives up what is too much, writes down
 * how far it came, and takes out who is gone. All of it is one write at a time, each made from the newest state.
 */
import { backoffMs, CALLS } from './backoff.ts';
import { pause, type ServiceEnv } from './env.ts';
import type { GroupChannel } from './group-channel.ts';
import {
  lackOf,
  slotsOf,
  surplusOf,
  withMember,
  withoutMembers,
  withSlots,
  type GroupState,
  type Slot,
} from './group-state.ts';
import { Leases } from './leases.ts';

/** How long progress may wait for company. */
const COMMIT_MS = 1_000;

/** What a member does with its slots. */
export interface Work {
  /** By partition: up to where the slot is done. */
  places(slot: number): readonly string[];
  /** Nothing of the slot is in hand. */
  isIdle(slot: number): boolean;
  /** Nothing more of these slots is begun, and of no others. */
  giveUp(slots: ReadonlySet<number>): void;
  /** These slots are the member's from now on, from these places. */
  opened(slots: ReadonlyMap<number, readonly string[]>): void;
  /** They are no longer: what is in hand of them counts no more. */
  closed(slots: readonly number[]): void;
  /** Positions of the log in front of it. */
  readonly lag: number;
}

export class Membership {
  readonly #env: ServiceEnv;
  readonly #id: string;
  readonly #channel: GroupChannel;
  readonly #globs: readonly string[];
  readonly #leaseMs: number;
  readonly #work: Work;
  readonly #first: () => Promise<GroupState>;
  readonly #onWritten: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #leases: Leases;
  readonly #held = new Set<number>();
  /** Ends every call; nothing is written any more. */
  readonly #end = new AbortController();
  /** When the last write that succeeded began. */
  #writtenMs = Number.NEGATIVE_INFINITY;
  #leaving = false;
  #wake: () => void = () => {};
  #isWoken = false;
  #cancelCommit: (() => void) | undefined;

  constructor(parts: {
    readonly env: ServiceEnv;
    readonly id: string;
    readonly channel: GroupChannel;
    /** What the group reads from now on. */
    readonly globs: readonly string[];
    readonly leaseMs: number;
    readonly work: Work;
    /** What the group begins with, where it has no state. */
    readonly first: () => Promise<GroupState>;
    /** It is surely a member for another lease. */
    readonly onWritten: () => void;
    readonly onError: (error: unknown) => void;
  }) {
    this.#env = parts.env;
    this.#id = parts.id;
    this.#channel = parts.channel;
    this.#globs = parts.globs;
    this.#leaseMs = parts.leaseMs;
    this.#work = parts.work;
    this.#first = parts.first;
    this.#onWritten = parts.onWritten;
    this.#onError = parts.onError;
    this.#leases = new Leases(parts.leaseMs);
  }

  /** The slots that are this member's. */
  get slots(): readonly number[] {
    return [...this.#held].sort((a, b) => a - b);
  }

  /** True while nobody else can have taken its slots. */
  get isSure(): boolean {
    return this.#env.monotonicMs() - this.#writtenMs < this.#leaseMs;
  }

  /** Becomes a member. Rejects where the server refuses for good. */
  async join(): Promise<void> {
    const { signal } = this.#end;
    await this.#channel.read(signal);
    while (!(await this.#turn()) && !signal.aborted);
    void this.#channel.follow(signal);
    void this.#live();
  }

  /** Something that is to be written down soon. */
  progressed(): void {
    if (this.#end.signal.aborted) return;
    this.#cancelCommit ??= this.#env.setTimer(COMMIT_MS, () => {
      this.#cancelCommit = undefined;
      this.hurry();
    });
  }

  /** The next write is due now. */
  hurry(): void {
    this.#isWoken = true;
    this.#wake();
  }

  /** Another state is known. */
  onState(): void {
    const { state } = this.#channel;
    if (state === undefined) return this.hurry();
    this.#leases.see(state.members, this.#env.monotonicMs());
    const owned = new Set(slotsOf(state, this.#id));
    const lost = [...this.#held].filter((slot) => !owned.has(slot));
    for (const slot of lost) this.#held.delete(slot);
    if (lost.length > 0) this.#work.closed(lost);
    const gained = new Map<number, readonly string[]>();
    for (const slot of owned) if (!this.#held.has(slot)) gained.set(slot, (state.slots[slot] as Slot).places);
    for (const slot of gained.keys()) this.#held.add(slot);
    if (gained.size > 0) this.#work.opened(gained);
    const isMember = state.members.some(({ id }) => id === this.#id);
    if (!isMember || surplusOf(state, this.#id).length > 0 || lackOf(state, this.#id).length > 0) this.hurry();
  }

  /** Hands everything over, once nothing is in hand; given up where nothing could be written for a lease. */
  async leave(): Promise<void> {
    const { signal } = this.#end;
    this.#leaving = true;
    this.hurry();
    while (!signal.aborted) {
      await pause(this.#env, this.#leaseMs, signal);
      if (!this.isSure) this.abandon();
    }
  }

  /** Ends at once: nothing is handed over. */
  abandon(): void {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    this.#cancelCommit?.();
    this.#wake();
    const held = [...this.#held];
    this.#held.clear();
    if (held.length > 0) this.#work.closed(held);
  }

  async #live(): Promise<void> {
    const { signal } = this.#end;
    for (let failures = 0; !signal.aborted;) {
      await this.#nextTurn();
      if (signal.aborted) return;
      try {
        const written = await this.#turn();
        failures = 0;
        if (written && this.#leaving && this.#held.size === 0) return this.abandon();
        if (!written) this.#isWoken = true;
      } catch (error) {
        if (signal.aborted) return;
        this.#onError(error);
        this.#isWoken = true;
        await pause(this.#env, backoffMs(this.#env, CALLS, ++failures), signal);
      }
    }
  }

  /** Resolves when something is to be written: at least every third of a lease. */
  async #nextTurn(): Promise<void> {
    if (!this.#isWoken) {
      await new Promise<void>((resolve) => {
        const cancel = this.#env.setTimer(this.#leaseMs / 3, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
      this.#wake = () => {};
    }
    this.#isWoken = false;
  }

  /** One write. False where another member was faster. */
  async #turn(): Promise<boolean> {
    const { signal } = this.#end;
    const startedMs = this.#env.monotonicMs();
    if (!this.isSure) this.#leases.restart(startedMs);
    if (this.#leases.gone(startedMs).length > 0) await this.#channel.read(signal);
    const state = this.#channel.state ?? (await this.#first());
    const gone = this.#leases.gone(startedMs).filter((id) => id !== this.#id);
    let next: GroupState = {
      ...withMember(withoutMembers(state, gone), this.#id, this.#work.lag),
      channels: this.#globs,
    };
    const surplus = new Set(this.#leaving ? this.#held : surplusOf(next, this.#id));
    this.#work.giveUp(surplus);
    const changed = new Map<number, Partial<Slot>>();
    for (const slot of this.#held) {
      const owner = surplus.has(slot) && this.#work.isIdle(slot) ? undefined : this.#id;
      if (state.slots[slot]?.owner === this.#id) changed.set(slot, { owner, places: this.#work.places(slot) });
    }
    next = withSlots(next, changed);
    if (!this.#leaving)
      next = withSlots(next, new Map(lackOf(next, this.#id).map((slot) => [slot, { owner: this.#id }])));
    else if (slotsOf(next, this.#id).length === 0) next = withoutMembers(next, [this.#id]);
    const written = await this.#channel.write(next, signal);
    if (!written) return false;
    this.#writtenMs = startedMs;
    this.#onWritten();
    return true;
  }
}
