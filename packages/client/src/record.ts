/**
 * What a reader gets: records, gaps and the other items of a channel's stream. Types only; the server's channels in
 * process give the same.
 */
import type { GapReason, SchemaIssue } from '@tideway/protocol';

/** One durable entry of a channel. */
export interface ChannelRecord<Data = unknown> {
  readonly channel: string;
  /** Its own place: give it as `from` to read on behind it. Opaque text, ≤ 64 characters. */
  readonly cursor: string;
  /** The place of the record before it. */
  readonly prev: string;
  /** Milliseconds since 1970 by the clock of the node that took it; says nothing about order. */
  readonly time?: number;
  /** The id its writer gave it: `Receipt.rid` of the same append. */
  readonly rid?: string;
  readonly user?: string;
  readonly key?: string;
  /** W3C traceparent, as its writer gave it. */
  readonly trace?: string;
  /** The JSON value, or a `Uint8Array` where the record was appended as bytes. */
  readonly data: Data;
}

/** A short-lived message: never stored, without a place, and it may be dropped. */
export interface ChannelSignal<Data = unknown> {
  readonly channel: string;
  readonly user?: string;
  readonly key?: string;
  readonly data: Data;
}

/** Something between the reader's place and `cursor` is missing, or what it holds is not part of this history. */
export interface Gap {
  readonly channel: string;
  /** Where reading goes on. */
  readonly cursor: string;
  /**
   * `trimmed`: older records are gone, what is held may be kept. `diverged`, `epoch`: this is another history, what is
   * held must not be built upon. `hole`: the server left something out and did so again each time it was asked.
   */
  readonly reason: GapReason | 'hole';
}

/** Records and marks of state in one ordered stream. */
export type ChannelItem<Data = unknown> =
  | { readonly type: 'record'; readonly record: ChannelRecord<Data> }
  /** All that was there is read; what follows happens now. Comes again after each reconnect. */
  | { readonly type: 'live' }
  | { readonly type: 'gap'; readonly gap: Gap }
  /** A record that does not fit the run-time contract, or is no JSON. */
  | { readonly type: 'invalid'; readonly record: ChannelRecord; readonly issues: readonly SchemaIssue[] };

/** What to do about a gap: end with a `GapError`, read on, or be told and then read on. */
export type OnGap = 'throw' | 'continue' | ((gap: Gap) => void | Promise<void>);

export interface ReadOptions {
  /** A cursor, `now` (default), `oldest` or `last:N` with N ≤ 1,000. */
  readonly from?: string | undefined;
  readonly onGap: OnGap;
  /** Ends the reading. */
  readonly signal?: AbortSignal | undefined;
}

/** Reads a channel; begins with the first `next`, has one consumer, ends with `break`, `stop` or the AbortSignal. */
export interface ChannelReader<Data = unknown> extends AsyncIterableIterator<ChannelRecord<Data>, undefined> {
  /** The same reading with marks of state between the records; gaps are items here and `onGap` is not asked. */
  items(): AsyncIterableIterator<ChannelItem<Data>, undefined>;
  stop(): void;
}

/** A page of a channel's history; `first` and `next` are the places to give as `before` and `after`. */
export interface HistoryPage<Data = unknown> {
  readonly records: readonly ChannelRecord<Data>[];
  readonly first: string;
  readonly next: string;
  /** The page reaches the newest record; backwards: the oldest there is. */
  readonly end: boolean;
  readonly gap?: Gap;
}

export interface HistoryOptions {
  /** Records before this place; without `before` and `after` the newest. */
  readonly before?: string;
  /** Records after this place; `oldest` begins with the oldest there is. */
  readonly after?: string;
  /** At most so many, 1 to 1,000; 100 where absent. */
  readonly limit?: number;
}

/** Thrown by a reader whose `onGap` is `throw`; to read on, begin at `gap.cursor`. */
export class GapError extends Error {
  readonly gap: Gap;

  constructor(gap: Gap) {
    super(`gap in ${gap.channel}: ${gap.reason}; reading can go on from ${gap.cursor}`);
    this.name = 'GapError';
    this.gap = gap;
  }
}
