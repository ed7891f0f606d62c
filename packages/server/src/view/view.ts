/**
 * The view contract: a node's indexed copy of the visible records, from which every read is served. It folds what the
 * log's tail gives and keeps the frames. It may be local or remote: the hub cannot tell.
 */
import type { GapReason } from '@tideway/protocol';
import type { Position, Tag } from '../log/log.ts';

/** A visible record as it is stored, kept in rings and sent: one WebSocket message, made once. */
export interface VisibleRecord {
  readonly position: Position;
  readonly cursor: string;
  readonly prev: string;
  /** A whole unmasked server-to-client WebSocket message (RFC 6455 §5.2): frame header, then header line, LF, payload. */
  readonly frame: Buffer;
}

/** How long a namespace keeps records; at least this much. Absent: no limit of that kind. */
export interface Retention {
  readonly records?: number | undefined;
  readonly ageMs?: number | undefined;
  readonly bytes?: number | undefined;
}

/** A channel as the view knows it now. */
export interface ChannelState {
  /** The epoch of the channel's partition. */
  readonly epoch: string;
  /** The newest place: the head, or the floor where there is no record. Its tag is `zzzz` where none is known. */
  readonly place: string;
  /** The cursor of the newest visible record, also where that was trimmed; `undefined` where there never was one. */
  readonly head: string | undefined;
  /** The place after which the view holds every visible record. */
  readonly floor: string;
  /** True when the floor is the retention's or the log's own: what lies below is `trimmed`; else this node is `behind`. */
  readonly floorIsFinal: boolean;
  readonly closed: boolean;
}

/** What the fold decided about one physical record. */
export type Verdict =
  | { readonly state: 'visible'; readonly cursor: string }
  /** Its id was seen before: the answer of the first one. */
  | { readonly state: 'duplicate'; readonly first: Exclude<Verdict, { state: 'duplicate' }> }
  | { readonly state: 'conflict' }
  | { readonly state: 'closed' }
  /** A `trim` or `close` that took effect; `cursor` is the new floor, or the place of the close. */
  | { readonly state: 'control'; readonly cursor: string }
  | { readonly state: 'unreadable' };

/** A page of frames, in log order. */
export interface Page {
  readonly records: readonly VisibleRecord[];
  /** The place to give as `before` for the page in front of this one. */
  readonly first: string;
  /** The place to give as `after` for the page behind this one. */
  readonly next: string;
  /** The page reaches the newest record (reading forward) or the final floor (reading backwards). */
  readonly end: boolean;
  /** The floor lies above `after`, and something visible lay between: the page starts at the floor instead. */
  readonly trimmed: boolean;
  /** More of what was asked for lies below the floor, which is not final. */
  readonly behind: boolean;
}

export interface PageRequest {
  /** Exclusive; exactly one of the two, a cursor of this channel and epoch. */
  readonly after?: string;
  readonly before?: string;
  readonly limit: number;
  /** At least one record is given, however large. */
  readonly bytes: number;
}

export interface FeedRequest {
  /** Exclusive; a place of this feed and epoch, not below `base`. */
  readonly after: string;
  readonly limit: number;
  /** At least one record is given, however large. */
  readonly bytes: number;
  /** Whether a channel's records are wanted. */
  readonly wants: (channel: string) => boolean;
}

/** A page of a feed: the records that are wanted, in log order. */
export interface FeedPage {
  readonly records: readonly VisibleRecord[];
  /** The place to give as `after` for the page behind this one. It moves on also where nothing was wanted. */
  readonly next: string;
  /** The page reaches what was applied last. */
  readonly end: boolean;
  /** Positions of the partition between `next` and the last one applied: of every channel, hidden records too. */
  readonly lag: number;
  /** Channels of which records between `after` and `next` are no longer kept, each with its floor. */
  readonly trimmed: readonly { readonly channel: string; readonly floor: string }[];
}

/**
 * All visible records of one partition, in log order: what a channel is to its followers, for back ends that work on
 * many channels. A place in it has the form of a cursor; its tag is that of the newest visible record of the partition
 * at or before the position, so that a record's cursor is a place of the feed as well.
 */
export interface Feed {
  readonly epoch: string;
  /** The place behind which it lists every visible record. What lies below is `trimmed`, if that is final. */
  base(): Promise<string>;
  /** False while this node lacks what lies below the base: it is `behind` there. */
  readonly baseIsFinal: boolean;
  /** The place behind everything that was applied. */
  newest(): Promise<string>;
  /** The position of the last physical record applied. */
  readonly applied: Position;
  /** The position of the log's own newest record; `undefined` while the log cannot be asked. */
  logNewest(): Promise<Position | undefined>;
  /** Resolves true once everything up to `position` is applied; false when the deadline (milliseconds from now) passes. */
  reach(position: Position, deadlineMs: number): Promise<boolean>;
  /** The tag of the newest visible record at or before the position; `undefined` where the feed does not know. */
  tagAt(position: Position): Promise<Tag | undefined>;
  /** Positions between a place and the last one applied. */
  lagBehind(position: Position): number;
  /** Throws a `TidewayError` `behind`, with `retryMs`, where the place is none of this feed any more. */
  read(request: FeedRequest): Promise<FeedPage>;
  /** Tells the channel of every batch of records that is applied, until the returned function is called. */
  follow(onRecords: (channel: string) => void): () => void;
}

/** Called synchronously while a batch is applied, in log order. */
export interface Follower {
  onRecords(records: readonly VisibleRecord[]): void;
  /** Records from before `floor` have left; nothing after the follower's own place is missing unless it lies below. */
  onFloor(floor: string): void;
  /** The floor is this one now, and final: everything that is kept behind it is held. */
  onFilled(floor: string): void;
  /** Nothing follows any more. */
  onClosed(): void;
  /** What follows does not continue what was given: the place is `cursor` now. */
  onGap(gap: { readonly cursor: string; readonly reason: GapReason }): void;
}

export interface View {
  /** One for each partition of the log. */
  readonly feeds: readonly Feed[];
  /**
   * Makes a channel ready for `state`, `applied` and `follow`, and keeps it so for a while. `undefined` where it is: a
   * view of this process always is, a remote one asks. Rejects with a `TidewayError` that carries `retryMs`.
   */
  ready(channel: string): Promise<void> | undefined;
  /**
   * Stands for what the view holds of the channel: another object once that may not continue what was held before. Whoever
   * does not follow the channel yet can rely on a place that was found only while this is the same.
   */
  life(channel: string): object | undefined;
  /**
   * The channel now, synchronously; every record already acknowledged is in it. Throws a `TidewayError` `behind` with
   * `retryMs` while the view's store is opened anew and memory does not know the channel.
   */
  state(channel: string): ChannelState;
  /** The tag of the newest visible record at or before the position; `undefined` where the view does not know. */
  tagAt(channel: string, position: Position): Promise<Tag | undefined>;
  read(channel: string, request: PageRequest): Promise<Page>;
  /** Delivers from this synchronous moment on, until the returned function is called. */
  follow(channel: string, follower: Follower): () => void;
  /** How far back a repeated id is recognized now, in milliseconds. */
  ridWindowMs(): number;
  /** How many positions of the log have still to be read before every floor is final; 0 where they are. */
  readonly toFill: number;
  /** Resolves true once everything up to `position` is applied; false when the deadline (milliseconds from now) passes. */
  reach(channel: string, position: Position, deadlineMs: number): Promise<boolean>;
  /** The position of the last physical record applied of the channel's partition. */
  applied(channel: string): Position;
  /** The position of the log's own newest record of the channel's partition; `undefined` while the log cannot be asked. */
  logNewest(channel: string): Promise<Position | undefined>;
}

/** A view that this process keeps, in front of a log. */
export interface LogView extends View {
  /** The answer an earlier record with this id got, as far as the window reaches. */
  findRid(channel: string, user: string | undefined, rid: string): Verdict | undefined;
  /**
   * True while nothing more is taken from the log, and not just for a moment: the store cannot be written, or the view is
   * being made anew. What is appended meanwhile would be stored and not answered, so it is to be refused.
   */
  readonly isStalled: boolean;
  /** Resolves when everything applied until now is in the store; false when the store takes no writes now. */
  flush(): Promise<boolean>;
  /** Lets go of what the retention allows to; happens by itself every minute. */
  tidy(): Promise<void>;
  /** Stops following the log, writes what is not written, closes the store. */
  close(): Promise<void>;
}
