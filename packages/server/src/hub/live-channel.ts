/**
 * A channel somebody follows: its ring, its subscriptions, and what it hands out in a tick. The frames of a tick are
 * joined once per channel and codec, not once per subscriber.
 */
import type { GapReason } from '@tideway/protocol';
import type { Follower, VisibleRecord } from '../view/view.ts';
import type { Codec } from './connection.ts';
import { Ring } from './ring.ts';
import type { RingBudget } from './ring-budget.ts';
import type { Subscription } from './subscription.ts';

/** What a live channel needs of the hub around it. */
export interface LiveChannelHost {
  /** The channel has something to hand out at the end of this tick. */
  markChannel(channel: LiveChannel): void;
  /** The subscription needs records that it was not handed. */
  fallBehind(subscription: Subscription): void;
  readonly rings: Pick<RingBudget, 'changed'>;
  /** The newest place of a channel in the view. */
  newestPlace(channel: string): string;
  /** Called once per tick in which the channel handed out. */
  countDelivered(records: number, channel: string): void;
}

export class LiveChannel implements Follower {
  readonly name: string;
  readonly ring: Ring;
  /** Everything up to here was handed to the live subscriptions. */
  delivered: string;
  /** Subscriptions that are not live: on their way to the ring. */
  readonly joining = new Set<Subscription>();
  closed: boolean;
  /** The ring was filled backwards from the view once, or needs no filling. */
  prefilled = false;
  /** Monotonic milliseconds of the last use; the least recently used rings shrink first. */
  usedMs = 0;
  dirty = false;
  readonly #host: LiveChannelHost;
  readonly #live: Subscription[] = [];
  /** Records applied in this tick and not handed out yet. */
  #tick: VisibleRecord[] = [];

  constructor(name: string, host: LiveChannelHost, start: { readonly place: string; readonly closed: boolean }) {
    this.name = name;
    this.#host = host;
    this.ring = new Ring(start.place);
    this.delivered = start.place;
    this.closed = start.closed;
  }

  get subscribers(): number {
    return this.#live.length + this.joining.size;
  }

  get liveSubscriptions(): readonly Subscription[] {
    return this.#live;
  }

  /** The live ones and those on their way. */
  *subscriptions(): Iterable<Subscription> {
    yield* this.#live;
    yield* this.joining;
  }

  onRecords(records: readonly VisibleRecord[]): void {
    const before = this.ring.bytes;
    this.ring.push(records, this.joining.size > 0);
    this.#host.rings.changed(this.ring.bytes - before);
    if (this.#live.length > 0) {
      if (this.#tick.length === 0) this.#tick = records.length === 1 ? [...records] : records.slice();
      else this.#tick.push(...records);
    }
    this.#host.markChannel(this);
  }

  onFloor(): void {
    // A subscription whose place is now below the floor learns of it when it reads on; a live one misses nothing.
  }

  onFilled(): void {
    // What the ring holds begins with a `prev` that is not the real one: what is handed out from now on is read from the view.
    this.#emptyRing();
  }

  onClosed(): void {
    this.closed = true;
    this.#host.markChannel(this);
  }

  onGap(gap: { readonly cursor: string; readonly reason: GapReason }): void {
    // What lies between the gap's place and the newest one is read from the view, by everybody.
    this.#emptyRing();
    const live = this.#live.slice();
    for (const subscription of live) {
      this.#removeLive(subscription);
      this.joining.add(subscription);
    }
    for (const subscription of this.joining) {
      subscription.place = gap.cursor;
      subscription.gap = gap.reason;
    }
    for (const subscription of live) subscription.session.addBehind(subscription);
  }

  /** Hands out what this tick has, and lets go of all that the ring holds: it begins anew at the newest place. */
  #emptyRing(): void {
    this.flush();
    const before = this.ring.bytes;
    this.ring.reset(this.#host.newestPlace(this.name));
    this.prefilled = false;
    this.#host.rings.changed(-before);
    this.delivered = this.ring.place;
  }

  /** Hands this tick's records to the live subscriptions. */
  flush(): void {
    this.dirty = false;
    const records = this.#tick;
    if (records.length > 0) {
      this.#tick = [];
      this.#handOut(records);
    }
    this.delivered = this.ring.place;
  }

  #handOut(records: readonly VisibleRecord[]): void {
    const chunks = new Map<string, Buffer>();
    let lastCodec: Codec | undefined;
    let chunk: Buffer | undefined;
    let delivered = 0;
    const live = this.#live;
    for (let i = 0; i < live.length; i++) {
      const subscription = live[i] as Subscription;
      const session = subscription.session;
      const codec = session.codec;
      if (codec !== lastCodec) {
        lastCodec = codec;
        chunk = chunks.get(codec.name);
        if (chunk === undefined) {
          chunk = joinRecords(records, codec);
          chunks.set(codec.name, chunk);
        }
      }
      if (session.pushRecords(chunk as Buffer)) delivered += records.length;
      else {
        // Its place stays before this tick; the last one in the list takes its index, so look at this index again.
        this.#fallBehind(subscription);
        i--;
      }
    }
    this.#host.countDelivered(delivered, this.name);
  }

  #fallBehind(subscription: Subscription): void {
    this.#removeLive(subscription);
    subscription.place = this.delivered;
    this.joining.add(subscription);
    this.#host.fallBehind(subscription);
  }

  /** Takes a subscription in; it is not live yet. */
  addJoining(subscription: Subscription): void {
    this.joining.add(subscription);
  }

  /** A joining subscription has been handed everything up to `delivered`: from now on it gets what comes. */
  makeLive(subscription: Subscription): void {
    this.joining.delete(subscription);
    subscription.liveIndex = this.#live.length;
    this.#live.push(subscription);
  }

  /** Ends a subscription. */
  remove(subscription: Subscription): void {
    if (subscription.over) return;
    subscription.over = true;
    if (subscription.live) this.#removeLive(subscription);
    else this.joining.delete(subscription);
  }

  #removeLive(subscription: Subscription): void {
    const last = this.#live.pop() as Subscription;
    if (last !== subscription) {
      this.#live[subscription.liveIndex] = last;
      last.liveIndex = subscription.liveIndex;
    }
    subscription.liveIndex = -1;
  }
}

function joinRecords(records: readonly VisibleRecord[], codec: Codec): Buffer {
  if (records.length === 1) return codec.record((records[0] as VisibleRecord).frame);
  return Buffer.concat(records.map((record) => codec.record(record.frame)));
}
