/** One session following one channel: where it stands, and in which state (ARCHITECTURE.md, the ring). */
import type { GapReason } from '@tideway/protocol';
import type { LiveChannel } from './live-channel.ts';
import type { Session } from './session.ts';

export class Subscription {
  readonly session: Session;
  readonly channel: LiveChannel;
  /** Index in the channel's list of live subscriptions; −1 while joining or over. */
  liveIndex = -1;
  /** True once nothing more may be sent for it. */
  over = false;
  /** A discontinuity it has not been told of yet: goes out before the next record. */
  gap: GapReason | undefined;
  /** Since when it reads on, on the monotonic clock; 0 where it never had to. */
  behindSinceMs = 0;
  #place: string;

  constructor(session: Session, channel: LiveChannel, place: string) {
    this.session = session;
    this.channel = channel;
    this.#place = place;
  }

  get live(): boolean {
    return this.liveIndex >= 0;
  }

  /** Everything up to here was handed to the session's outbox. A live one stands where its channel stands. */
  get place(): string {
    return this.live ? this.channel.delivered : this.#place;
  }

  /** Queues the gap that it was not told of, if there is one; its place is where the gap ends. */
  tellGap(): void {
    const { gap: reason, place: cursor } = this;
    if (reason === undefined) return;
    this.gap = undefined;
    this.session.send({ op: 'gap', channel: this.channel.name, cursor, reason });
  }

  /** Moves the place of a subscription that is not live. */
  set place(place: string) {
    this.#place = place;
  }
}
