/**
 * Brings subscriptions that are not live to the ring (ARCHITECTURE.md, the ring): sessions in turn, in slices of ticks,
 * pages from the view 64 KiB at a time, at most two reads at once. A session over its budget waits until its connection
 * has drained.
 */
import type { Env } from '../env.ts';
import type { Page, View, VisibleRecord } from '../view/view.ts';
import type { LiveChannel } from './live-channel.ts';
import type { Ring } from './ring.ts';
import type { RingBudget } from './ring-budget.ts';
import type { Session } from './session.ts';
import type { Slices } from './slices.ts';
import type { Subscription } from './subscription.ts';

const READS_MAX = 2;
/** What is read for a reader at once. */
export const catchUpPage = { limit: 1_000, bytes: 64 * 1024 } as const;
/** What a ring is filled with at first: most who come back lack less than this, and share one read. */
const PREFILL_RECORDS = 256;
const PREFILL_BYTES = 256 * 1024;
/** Sorts behind every position: `B` announces eleven digits, `z` is the highest. */
const END_POSITION = 'Bzzzzzzzzzzz';

export class CatchUp {
  readonly #env: Pick<Env, 'monotonicMs'>;
  readonly #slices: Slices;
  readonly #viewOf: (channel: string) => View;
  readonly #rings: RingBudget;
  readonly #onLive: (subscription: Subscription) => void;
  readonly #onTrouble: (error: unknown) => void;
  readonly #turns: Session[] = [];
  #reads = 0;
  #scheduled = false;

  constructor(parts: {
    readonly env: Pick<Env, 'monotonicMs'>;
    readonly slices: Slices;
    readonly viewOf: (channel: string) => View;
    readonly rings: RingBudget;
    /** A subscription has reached the ring. */
    readonly onLive: (subscription: Subscription) => void;
    readonly onTrouble: (error: unknown) => void;
  }) {
    this.#env = parts.env;
    this.#slices = parts.slices;
    this.#viewOf = parts.viewOf;
    this.#rings = parts.rings;
    this.#onLive = parts.onLive;
    this.#onTrouble = parts.onTrouble;
  }

  /** Gives the session a turn, if it has subscriptions to bring on. */
  add(session: Session): void {
    if (session.queuedForCatchUp || session.ended || session.behind.size === 0) return;
    session.queuedForCatchUp = true;
    this.#turns.push(session);
    this.#schedule();
  }

  /** Hands over what was read behind a subscription's place before it began; what it lacks then comes in its turns. */
  take(subscription: Subscription, page: Page): void {
    if (!subscription.session.hasRoomToCatchUp()) return;
    try {
      this.#onPage(subscription, subscription.place, subscription.place, page);
    } catch (error) {
      this.#onFailed(subscription, error);
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#reads >= READS_MAX) return;
    this.#scheduled = true;
    this.#slices.addFirst(() => this.#next());
  }

  #next(): void {
    this.#scheduled = false;
    const session = this.#turns.shift();
    if (session === undefined) return;
    session.queuedForCatchUp = false;
    this.#turn(session);
    if (this.#turns.length > 0) this.#schedule();
  }

  #turn(session: Session): void {
    const subscription: Subscription | undefined = session.behind.values().next().value;
    if (subscription === undefined || session.ended) return;
    if (!session.hasRoomToCatchUp()) return; // its drain gives it the next turn
    // Those that come after it in the session have their turn before it has its next.
    session.behind.delete(subscription);
    if (subscription.over) return this.add(session);
    const { channel } = subscription;
    channel.flush();
    channel.usedMs = this.#env.monotonicMs();
    subscription.tellGap();
    if (channel.ring.covers(subscription.place)) {
      this.#handOver(subscription);
      if (session.behind.size > 0) return this.add(session);
      // The write is most of what its turn takes: it belongs to the slice.
      return session.flush();
    }
    session.behind.add(subscription);
    this.#read(subscription);
  }

  /** From its place to live, in one synchronous step. */
  #handOver(subscription: Subscription): void {
    const { channel, session } = subscription;
    const chunk = channel.ring.chunkAfter(subscription.place, session.codec);
    if (chunk !== undefined) session.pushCaughtUp(chunk);
    subscription.place = channel.delivered;
    channel.makeLive(subscription);
    this.#onLive(subscription);
  }

  #read(subscription: Subscription): void {
    const { channel } = subscription;
    const view = this.#viewOf(channel.name);
    const { place } = subscription;
    const { base } = channel.ring;
    this.#reads++;
    // Of a lone follower nobody knows whether others come: what it lacks stays in the ring only where there is much room.
    const filling = channel.subscribers > 1 ? this.fill(channel) : undefined;
    const reading =
      filling ??
      view
        .read(channel.name, { after: place, ...catchUpPage })
        .then((page) => this.#onPage(subscription, place, base, page));
    void reading
      .catch((error: unknown) => this.#onFailed(subscription, error))
      .then(() => {
        this.#reads--;
        this.add(subscription.session);
        if (this.#turns.length > 0) this.#schedule();
      });
  }

  /** Whatever goes wrong, also in taking the page, is this subscription's trouble alone. */
  #onFailed(subscription: Subscription, error: unknown): void {
    this.#onTrouble(error);
    subscription.session.fail(subscription);
  }

  /** Fills the ring of a followed channel from the view, once; `undefined` where that was done or has begun. */
  fill(channel: LiveChannel): Promise<void> | undefined {
    if (channel.prefilled) return undefined;
    channel.prefilled = true;
    const { name, ring } = channel;
    const request = { before: endOf(ring.base), limit: PREFILL_RECORDS, bytes: PREFILL_BYTES };
    return this.#viewOf(name)
      .read(name, request)
      .then(({ records }) => {
        // Where nobody follows it any more its ring is gone.
        if (channel.subscribers > 0) this.#putInFront(ring, records);
      });
  }

  #putInFront(ring: Ring, records: readonly VisibleRecord[]): void {
    const before = ring.bytes;
    ring.prefill(records);
    this.#rings.changed(ring.bytes - before);
  }

  #onPage(subscription: Subscription, askedAfter: string, baseThen: string, page: Page): void {
    const { session, channel } = subscription;
    if (subscription.over || session.ended || subscription.live || subscription.place !== askedAfter) return;
    if (page.trimmed) {
      subscription.gap = 'trimmed';
      // A page without records says where it stands: at the floor.
      subscription.place = page.records[0]?.prev ?? page.next;
      subscription.tellGap();
    }
    if (page.records.length === 0) {
      // Nothing lay between the place and the ring when the page was asked for.
      if (page.end && subscription.place < baseThen) subscription.place = baseThen;
      return;
    }
    const frames = page.records.map((record) => session.codec.record(record.frame));
    const chunk = Buffer.concat(frames);
    if (page.end && this.#rings.hasRoom(chunk.length)) {
      this.#putInFront(channel.ring, page.records);
      channel.prefilled = true;
    }
    session.pushCaughtUp(chunk);
    subscription.place = page.next;
  }
}

/** A cursor of the same epoch behind every record. */
function endOf(place: string): string {
  return `${place.slice(0, place.indexOf('.'))}.${END_POSITION}.zzzz`;
}
