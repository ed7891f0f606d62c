/**
 * One reader of one channel as the checker follows it: its place, the ranges it has covered without a gap, and the hash
 * of what it was given. Holds state only; what is right or wrong is judged by the channel's history.
 */
import type { GapReason } from '@tideway/protocol';
import { OrderHash } from './order-hash.ts';
import type { ReaderFigures } from './verdict.ts';

/** Places after `start` up to `end` that the reader went through in one piece. */
interface Range {
  readonly start: string;
  end: string;
}

/** How many ranges are kept: each gap or new start makes one. */
const RANGES_MAX = 256;

export class ReaderHistory {
  readonly reader: string;
  readonly channel: string;
  place: string | undefined;
  /** True once the reader told of a `subscribed`: from then on every frame must belong to a live subscription. */
  onWire = false;
  live = false;
  session: string | undefined;
  asked: number | undefined;
  /** Where the last gap began, until a record shows what was missed. */
  gapFrom: { readonly place: string; readonly cursor: string } | undefined;
  records = 0;
  readonly gaps: Record<GapReason, number> = { trimmed: 0, diverged: 0, epoch: 0 };
  #order = new OrderHash();
  #orderFrom: string | undefined;
  #orderTo: string | undefined;
  #ranges: Range[] = [];

  constructor(reader: string, channel: string) {
    this.reader = reader;
    this.channel = channel;
  }

  /** A subscription begins. */
  begin({ session, asked }: { readonly session?: string | undefined; readonly asked?: number | undefined }): void {
    this.onWire = true;
    this.live = true;
    this.session = session;
    this.asked = asked;
  }

  /** Its connection is gone, or it left the channel. */
  end(): void {
    this.live = false;
    this.session = undefined;
  }

  /** Begins anew at a place: nothing before it is claimed to be covered by what follows. */
  restart(place: string): void {
    this.jump(place);
    this.#order = new OrderHash();
    this.#orderFrom = undefined;
    this.#orderTo = undefined;
  }

  /** Goes on elsewhere, over what was skipped in silence: the hash runs on, so that it differs from that of others. */
  jump(place: string): void {
    this.place = place;
    this.#ranges.push({ start: place, end: place });
    if (this.#ranges.length > RANGES_MAX) this.#ranges.shift();
  }

  /** Goes on to a place in the same piece. */
  advance(place: string): void {
    this.place = place;
    const range = this.#ranges.at(-1);
    if (range !== undefined) range.end = place;
  }

  /** Takes a record's cursor and data into the hash. */
  given(cursor: string, hash: string): void {
    this.records++;
    this.#order.update(cursor).update(hash);
    this.#orderFrom ??= cursor;
    this.#orderTo = cursor;
  }

  /** True when the reader passed this place in one piece: a record there must have been given to it. */
  covers(cursor: string): boolean {
    for (let i = this.#ranges.length - 1; i >= 0; i--) {
      const range = this.#ranges[i] as Range;
      if (cursor > range.start && cursor <= range.end) return true;
    }
    return false;
  }

  /** The log began another life: what was covered says nothing about it. */
  forgetRanges(): void {
    this.#ranges = [];
    this.gapFrom = undefined;
  }

  get figures(): ReaderFigures {
    return {
      reader: this.reader,
      channel: this.channel,
      place: this.place,
      records: this.records,
      gaps: { ...this.gaps },
      order: this.#order.digest,
      orderFrom: this.#orderFrom,
      orderTo: this.#orderTo,
    };
  }
}
