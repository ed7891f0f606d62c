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
  /** The page reaches the newest record (reading forward) or the floor (reading backwards). */
  readonly end: boolean;
  /** The floor moved above `after` before it could be read: the page starts at the floor instead. */
  readonly trimmed: boolean;
}

export interface PageRequest {
  /** Exclusive; exactly one of the two, a cursor of this channel and epoch. */
  readonly after?: string;
  readonly before?: string;
  readonly limit: number;
  /** At least one record is given, however large. */
  readonly bytes: number;
}

/** Called synchronously while a batch is applied, in log order. */
export interface Follower {
  onRecords(records: readonly VisibleRecord[]): void;
  /** Records from before `floor` have left; nothing after the follower's own place is missing unless it lies below. */
  onFloor(floor: string): void;
  /** Nothing follows any more. */
  onClosed(): void;
  /** What follows does not continue what was given: the place is `cursor` now. */
  onGap(gap: { readonly cursor: string; readonly reason: GapReason }): void;
}

export interface View {
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
  /** The answer an earlier record with this id got, as far as the window reaches. */
  findRid(channel: string, user: string | undefined, rid: string): Verdict | undefined;
  /** How far back `findRid` reaches now, in milliseconds. */
  ridWindowMs(): number;
  /** Resolves true once everything up to `position` is applied; false when the deadline (milliseconds from now) passes. */
  reach(channel: string, position: Position, deadlineMs: number): Promise<boolean>;
  /** The position of the last physical record applied of the channel's partition. */
  applied(channel: string): Position;
  /** The position of the log's own newest record of the channel's partition. */
  logNewest(channel: string): Promise<Position>;
}
