/**
 * One channel followed by one session, and the readers that share it. The server knows one subscription with one place;
 * each reader has its own, at or above it. Applies the client's rule to what comes (CUR-7, CUR-8, SUB-7 to SUB-9).
 */
import {
  codes,
  type GapReason,
  type ItemError,
  judge,
  type RecordHeader,
  type ServerFrame,
  type Subscribed,
} from '@tideway/protocol';
import { errorOf, type Payload } from './link.ts';
import type { Gap } from './record.ts';
import type { Unread } from './unread.ts';

/** So many times a hole is asked for again; after that it is a gap (CUR-8). */
const HOLES_MAX = 3;

export type SignalListener = (signal: Extract<ServerFrame, { op: 'signal' }>, payload: Payload | undefined) => void;

/** What a subscription wants from those who own it. */
export interface SubscriptionOwner {
  /** Somebody wants to be asked for: now, or after so many failures in a row. */
  onWanting(subscription: Subscription, failures?: number, atLeastMs?: number): void;
  /** Nobody takes records any more, for a moment (`full`) or for good. */
  onIdle(subscription: Subscription, isFull: boolean): void;
  /** The token is no longer good. */
  onTokenRefused(): void;
  /** This server has been behind for too long. */
  onBehind(): void;
  /** A subscription became live, or is no longer. */
  onChange(): void;
  /** There is something to report (CLS-4). */
  onAnomaly(): void;
  /** Nobody else can be told. */
  onError(error: unknown): void;
}

export class Subscription {
  readonly channel: string;
  readonly readers = new Set<Unread>();
  /** Who hears signals; while there is one the channel stays followed. */
  readonly listeners = new Set<SignalListener>();
  gaps = 0;
  duplicates = 0;
  /** The `time` of the newest record that came. */
  lastTime: number | undefined;
  readonly #owner: SubscriptionOwner;
  /** The server's place for this subscription; `undefined` while what comes is not to be used. */
  #place: string | undefined;
  /** The newest record when the subscription began. */
  #head = '';
  #asked: { readonly readers: readonly Unread[]; readonly from: string } | undefined;
  #holes = 0;
  #failures = 0;

  constructor(channel: string, owner: SubscriptionOwner) {
    this.channel = channel;
    this.#owner = owner;
  }

  /** True while the server has, or is asked for, this subscription. */
  get isFollowed(): boolean {
    return this.#place !== undefined || this.#asked !== undefined;
  }

  get isUsed(): boolean {
    return this.listeners.size > 0 || this.readers.size > 0;
  }

  get isLive(): boolean {
    for (const reader of this.readers) if (!reader.isLive) return false;
    return this.#place !== undefined || !this.isUsed;
  }

  add(reader: Unread): void {
    this.readers.add(reader);
    const place = this.#place;
    if (this.#asked !== undefined) {
      if (this.#asked.from !== reader.from) return;
      reader.state = 'asked';
      this.#asked = { from: reader.from, readers: [...this.#asked.readers, reader] };
    } else if (place !== undefined && (reader.from === place || (reader.from === 'now' && place >= this.#head))) {
      this.#attach(reader, place, this.#head);
    } else this.#owner.onWanting(this);
  }

  listen(listener: SignalListener): void {
    this.listeners.add(listener);
    if (!this.isFollowed) this.#owner.onWanting(this);
  }

  remove(reader: Unread): void {
    this.readers.delete(reader);
    this.#owner.onChange();
    this.#checkIdle();
  }

  unlisten(listener: SignalListener): void {
    this.listeners.delete(listener);
    this.#checkIdle();
  }

  /** What to ask the server for next; `undefined` when there is nothing or the last answer is still awaited. */
  ask(): string | undefined {
    if (this.#asked !== undefined) return undefined;
    let from: string | undefined;
    const wanting = [...this.readers].filter((reader) => reader.state === 'wanting');
    // Wishes first, then the highest place: the last to be asked for, the lowest, serves all.
    for (const reader of wanting) {
      if (!reader.hasPlace) {
        from = reader.from;
        break;
      }
      if (from === undefined || reader.from > from) from = reader.from;
    }
    if (from === undefined) {
      if (this.listeners.size === 0 || this.#place !== undefined) return undefined;
      from = 'now';
    }
    const readers = wanting.filter((reader) => reader.from === from);
    for (const reader of readers) reader.state = 'asked';
    this.#asked = { from, readers };
    return from;
  }

  onAnswer(answer: Subscribed | ItemError): void {
    const readers = (this.#asked?.readers ?? []).filter((reader) => reader.state === 'asked');
    this.#asked = undefined;
    if ('code' in answer) this.#onRefused(answer, readers);
    else this.#onSubscribed(answer, readers);
  }

  /** The session ended: all that was agreed with the server is void. */
  onLost(): void {
    this.#place = undefined;
    this.#asked = undefined;
    this.#holes = 0;
    for (const reader of this.readers) {
      if (reader.state !== 'full') reader.state = 'wanting';
      reader.isLive = false;
    }
  }

  /** The server was told that nobody follows. */
  onLeft(): void {
    this.#place = undefined;
  }

  onRecord(header: RecordHeader, payload: Payload): void {
    this.lastTime = header.time ?? this.lastTime;
    if (!this.#step(header)) return;
    let isFull = false;
    for (const reader of this.readers) {
      if (reader.state !== 'attached' || header.cursor <= reader.from) continue;
      reader.from = header.cursor;
      isFull = reader.push({ type: 'record', header, payload }) || isFull;
      this.#checkLive(reader);
    }
    if (!isFull) return;
    this.#checkIdle();
    this.#owner.onChange();
  }

  onMark(mark: Extract<ServerFrame, { op: 'mark' }>): void {
    if (!this.#step(mark)) return;
    for (const reader of this.#attached()) {
      if (mark.cursor > reader.from) reader.from = mark.cursor;
      this.#checkLive(reader);
    }
  }

  onGap(frame: Extract<ServerFrame, { op: 'gap' }>): void {
    if (this.#place === undefined) return;
    this.#place = frame.cursor;
    for (const reader of this.#attached()) {
      // A reader that is further on has what was trimmed; any other history concerns them all.
      if (frame.reason !== 'trimmed' || frame.cursor > reader.from) this.#tellGap(reader, frame.cursor, frame.reason);
    }
  }

  /** The server ended the subscription. */
  onEnded(): void {
    this.#place = undefined;
    for (const reader of this.readers) {
      reader.end();
      this.readers.delete(reader);
    }
    this.#owner.onChange();
  }

  /** The server let go of the subscription; whether to ask again says the code. */
  onUnsubscribed(error: ItemError): void {
    if (this.#place === undefined) return;
    this.#place = undefined;
    const readers = this.#attached();
    for (const reader of readers) reader.state = 'asked';
    this.#onRefused(error, readers);
  }

  /** The client's rule for the subscription's own place; true when it moved. */
  #step(step: { readonly prev: string; readonly cursor: string }): boolean {
    if (this.#place === undefined) return false;
    const verdict = judge(this.#place, step);
    switch (verdict) {
      case 'duplicate':
        this.duplicates++;
        this.#owner.onAnomaly();
        return false;
      case 'apply':
        this.#holes = 0;
        this.#place = step.cursor;
        return true;
      case 'hole':
        if (this.#holes++ < HOLES_MAX) {
          this.#place = undefined;
          for (const reader of this.#attached()) reader.state = 'wanting';
          this.#owner.onWanting(this, this.#holes);
          return false;
        }
        this.#holes = 0;
        for (const reader of this.#attached()) if (step.prev > reader.from) this.#tellGap(reader, step.prev, 'hole');
        this.#place = step.cursor;
        return true;
      default:
        return verdict satisfies never;
    }
  }

  #onSubscribed(answer: Subscribed, readers: readonly Unread[]): void {
    this.#failures = 0;
    this.#place = answer.cursor;
    this.#head = answer.head;
    for (const reader of this.#attached()) {
      // The new subscription begins above this reader's place: it has to be asked for as well.
      if (reader.from < answer.cursor) reader.state = 'wanting';
    }
    for (const reader of readers) {
      if (answer.resumed === false) this.#tellGap(reader, answer.cursor, answer.reason ?? 'epoch');
      this.#attach(reader, answer.cursor, answer.head);
    }
    this.#owner.onWanting(this);
    this.#checkIdle();
    this.#owner.onChange();
  }

  #onRefused(error: ItemError, readers: readonly Unread[]): void {
    const failure = errorOf(error);
    const action = codes[error.code]?.action ?? 'never';
    if (error.retryMs === undefined && (action === 'never' || (action === 'refresh' && this.#failures >= HOLES_MAX))) {
      for (const reader of readers) {
        this.readers.delete(reader);
        reader.end(failure);
      }
      if (readers.length === 0) this.#owner.onError(failure);
      this.#owner.onChange();
      this.#checkIdle();
      return;
    }
    for (const reader of readers) reader.state = 'wanting';
    this.#failures++;
    if (action === 'refresh') this.#owner.onTokenRefused();
    if (error.code === 'behind' && this.#failures > HOLES_MAX) this.#owner.onBehind();
    else this.#owner.onWanting(this, this.#failures, error.retryMs);
  }

  #attach(reader: Unread, place: string, head: string): void {
    reader.state = 'attached';
    reader.from = place;
    reader.hasPlace = true;
    reader.head = head;
    reader.isLive = false;
    this.#checkLive(reader);
  }

  #attached(): Unread[] {
    return [...this.readers].filter((reader) => reader.state === 'attached');
  }

  #checkLive(reader: Unread): void {
    if (reader.isLive || reader.state !== 'attached' || reader.from < reader.head) return;
    reader.isLive = true;
    reader.push({ type: 'live' });
    this.#owner.onChange();
  }

  #tellGap(reader: Unread, cursor: string, reason: GapReason | 'hole'): void {
    this.gaps++;
    this.#owner.onAnomaly();
    reader.from = cursor;
    const gap: Gap = { channel: this.channel, cursor, reason };
    reader.push({ type: 'gap', gap });
  }

  #checkIdle(): void {
    if (this.#asked !== undefined || this.listeners.size > 0) return;
    for (const reader of this.readers) if (reader.state !== 'full') return;
    this.#owner.onIdle(this, this.readers.size > 0);
  }
}
