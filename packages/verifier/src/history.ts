/**
 * What writers and readers tell the checker: one stream of events, in the order they became known to whoever watches.
 * Events say what crossed the wire (or reached the application), never what somebody concluded from it.
 */
import type { GapReason } from '@tideway/protocol';

/** How an append ended for its writer; a retry in between is no outcome. */
export type Outcome =
  | { readonly state: 'stored'; readonly cursor: string; readonly duplicate?: boolean }
  /** Refused for good: not stored, never will be. */
  | { readonly state: 'refused'; readonly code: string }
  /** Given up: it may be stored. */
  | { readonly state: 'unconfirmed' };

/** An append is about to be sent; told again, with its new session, when it is sent again. */
export interface AppendEvent {
  readonly kind: 'append';
  readonly channel: string;
  readonly rid: string;
  readonly user?: string | undefined;
  /** Whose order counts: records of one writer must be stored by ascending `sequence`. */
  readonly writer?: string | undefined;
  readonly sequence?: number | undefined;
  /** `hashData` of the payload. */
  readonly hash?: string | undefined;
  /** The session it goes out on; its `ok` must reach that session before the record does (APP-5). */
  readonly session?: string | undefined;
}

export interface OutcomeEvent {
  readonly kind: 'outcome';
  readonly channel: string;
  readonly rid: string;
  readonly user?: string | undefined;
  readonly outcome: Outcome;
}

/**
 * A reader's subscription was answered. A reader that never tells this is taken for the application behind an SDK. A
 * reader asks from where it stands; who wants to look elsewhere does so under another name.
 */
export interface SubscribedEvent {
  readonly kind: 'subscribed';
  readonly reader: string;
  readonly channel: string;
  readonly cursor: string;
  readonly head: string;
  /** The cursor that was asked for; absent after `now`, `oldest`, `last:N`. */
  readonly from?: string | undefined;
  readonly resumed?: boolean | undefined;
  readonly reason?: GapReason | undefined;
  readonly session?: string | undefined;
  /** `checker.tick` when the request went out: what was acknowledged before it must be known to its answer. */
  readonly asked?: number | undefined;
}

export interface RecordEvent {
  readonly kind: 'record';
  readonly reader: string;
  readonly channel: string;
  readonly cursor: string;
  readonly prev: string;
  readonly rid?: string | undefined;
  readonly user?: string | undefined;
  /** `hashData` of the payload. */
  readonly hash: string;
}

export interface MarkEvent {
  readonly kind: 'mark';
  readonly reader: string;
  readonly channel: string;
  readonly prev: string;
  readonly cursor: string;
}

export interface GapEvent {
  readonly kind: 'gap';
  readonly reader: string;
  readonly channel: string;
  readonly cursor: string;
  readonly reason: GapReason;
}

/** The reader's connection is gone, or it left one channel; its place stays. */
export interface DisconnectEvent {
  readonly kind: 'disconnect';
  readonly reader: string;
  readonly channel?: string | undefined;
}

/** Somebody trimmed the channel on purpose, up to this cursor. */
export interface TrimEvent {
  readonly kind: 'trim';
  readonly channel: string;
  readonly cursor: string;
}

export type ReaderEvent = SubscribedEvent | RecordEvent | MarkEvent | GapEvent;
export type HistoryEvent = AppendEvent | OutcomeEvent | ReaderEvent | DisconnectEvent | TrimEvent;
