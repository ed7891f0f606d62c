/**
 * Brings subscriptions that are not live to the ring (ARCHITECTURE.md, the ring): sessions in turn, pages from the view
 * 64 KiB at a time, at most two reads at once, and only a slice of each tick. A session over its budget waits until its
 * connection has drained.
 */
import type { Env } from '../env.ts';
import type { Page, View } from '../view/view.ts';
import type { Session } from './session.ts';
import type { Subscription } from './subscription.ts';

const READS_MAX = 2;
const PAGE_BYTES = 64 * 1024;
const PAGE_RECORDS = 1_000;
/** What a ring is filled with at first: most who come back lack less than this, and share one read. */
const PREFILL_RECORDS = 256;
const PREFILL_BYTES = 256 * 1024;
/** Of a tick: the rest belongs to live work. */
const SLICE_MS = 4;
/** Sorts behind every position: `B` announces eleven digits, `z` is the highest. */
const END_POSITION = 'Bzzzzzzzzzzz';

export class CatchUp {
  readonly #env: Env;
  readonly #viewOf: (channel: string) => View;
  readonly #ringBytesChanged: (byBytes: number) => void;
  readonly #onLive: (subscription: Subscription) => void;
  readonly #onTrouble: (error: unknown) => void;
  readonly #turns: Session[] = [];
  #reads = 0;
  #scheduled = false;

  constructor(parts: {
    readonly env: Env;
    readonly viewOf: (channel: string) => View;
    readonly ringBytesChanged: (byBytes: number) => void;
    /** A subscription has reached the ring. */
    readonly onLive: (subscription: Subscription) => void;
    readonly onTrouble: (error: unknown) => void;
  }) {
    this.#env = parts.env;
    this.#viewOf = parts.viewOf;
    this.#ringBytesChanged = parts.ringBytesChanged;
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

  #schedule(): void {
    if (this.#scheduled || this.#reads >= READS_MAX) return;
    this.#scheduled = true;
    this.#env.endOfTick(() => this.#slice());
  }

  #slice(): void {
    this.#scheduled = false;
    const until = this.#env.monotonicMs() + SLICE_MS;
    while (this.#turns.length > 0 && this.#reads < READS_MAX) {
      const session = this.#turns.shift() as Session;
      session.queuedForCatchUp = false;
      this.#turn(session);
      if (this.#env.monotonicMs() >= until) break;
    }
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
    tellGap(subscription);
    if (channel.ring.covers(subscription.place)) {
      this.#handOver(subscription);
      return this.add(session);
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
    const prefill = !channel.prefilled;
    channel.prefilled = true;
    this.#reads++;
    const request = prefill
      ? { before: endOf(place), limit: PREFILL_RECORDS, bytes: PREFILL_BYTES }
      : { after: place, limit: PAGE_RECORDS, bytes: PAGE_BYTES };
    view.read(channel.name, request).then(
      (page) => {
        this.#reads--;
        if (prefill) this.#onPrefill(subscription, page);
        else this.#onPage(subscription, place, base, page);
        this.add(subscription.session);
        if (this.#turns.length > 0) this.#schedule();
      },
      (error: unknown) => {
        this.#reads--;
        this.#onTrouble(error);
        subscription.session.fail(subscription);
        this.add(subscription.session);
        if (this.#turns.length > 0) this.#schedule();
      },
    );
  }

  #onPrefill(subscription: Subscription, page: Page): void {
    const { ring } = subscription.channel;
    const before = ring.bytes;
    ring.prefill(page.records);
    this.#ringBytesChanged(ring.bytes - before);
  }

  #onPage(subscription: Subscription, askedAfter: string, baseThen: string, page: Page): void {
    const { session, channel } = subscription;
    if (subscription.over || session.ended || subscription.live || subscription.place !== askedAfter) return;
    if (page.trimmed) {
      subscription.gap = 'trimmed';
      subscription.place = page.records[0]?.prev ?? this.#viewOf(channel.name).state(channel.name).floor;
      tellGap(subscription);
    }
    if (page.records.length === 0) {
      // Nothing lay between the place and the ring when the page was asked for.
      if (page.end && subscription.place < baseThen) subscription.place = baseThen;
      return;
    }
    const frames = page.records.map((record) => session.codec.record(record.frame));
    session.pushCaughtUp(Buffer.concat(frames));
    subscription.place = page.next;
  }
}

function tellGap(subscription: Subscription): void {
  if (subscription.gap === undefined) return;
  const { gap: reason, place: cursor } = subscription;
  subscription.gap = undefined;
  subscription.session.send({ op: 'gap', channel: subscription.channel.name, cursor, reason });
}

/** A cursor of the same epoch behind every record. */
function endOf(place: string): string {
  return `${place.slice(0, place.indexOf('.'))}.${END_POSITION}.zzzz`;
}
