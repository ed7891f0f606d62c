/**
 * What a process of a server says on its link to the one that has the log (PROTOCOL.md §15): the frames besides those of
 * clients. Both ends are the same program, started by one another, so what is read is believed.
 */
import type { Code, GapReason, PayloadKind } from '@tideway/protocol';
import type { PhysicalRecord, Position } from '../../log/log.ts';
import type { ChannelState, PageRequest } from '../view.ts';

/** A channel as the process with the log knows it (LNK-3). */
export interface LinkState extends Omit<ChannelState, 'head'> {
  readonly head?: string;
  readonly applied: Position;
}

/** What the process with the log is asked; each is answered by one `ok` or `error`. */
export type LinkRequest =
  | { readonly op: 'follow'; readonly channel: string; readonly from?: string }
  | ({ readonly op: 'page'; readonly channel: string } & Partial<PageRequest>)
  | { readonly op: 'tag' | 'newest'; readonly channel: string; readonly position?: Position }
  | { readonly op: 'reach'; readonly channel: string; readonly position: Position; readonly withinMs: number }
  | ({ readonly op: 'store'; readonly restart?: true } & Omit<PhysicalRecord, 'payload' | 'encoding' | 'ticket'>)
  | { readonly op: 'recall'; readonly channel: string; readonly user?: string | undefined; readonly rid: string }
  | { readonly op: 'metrics' }
  /** A request for a feed as it came in, and whose it is. */
  | { readonly op: 'feed'; readonly url: string; readonly identity: object };

/** What needs no answer. */
export type LinkNotice =
  | { readonly op: 'unfollow'; readonly channel: string }
  /** What was refused of the channel is answered: the next append is a new beginning. */
  | { readonly op: 'restart'; readonly channel: string }
  /** Bytes from process to process, in the payload. */
  | { readonly op: 'say'; readonly to?: string }
  /** It takes connections. */
  | { readonly op: 'listening'; readonly url: string }
  /** Its metrics, in the payload; and what it does, once a second. */
  | { readonly op: 'measured' }
  | { readonly op: 'figures'; readonly [figure: string]: unknown };

/** An answer to a request. */
export interface LinkAnswer {
  readonly op: 'ok';
  readonly id: number;
  readonly [member: string]: unknown;
}

/** A frame as it was read: which members it has, its `op` says. */
export interface LinkFrame {
  readonly op: string;
  readonly id?: number;
  readonly channel?: string;
  readonly cursor?: string;
  readonly prev?: string;
  readonly reason?: GapReason;
  readonly code?: Code;
  readonly message?: string;
  readonly retryMs?: number;
  readonly [member: string]: unknown;
}

/** One message that came over the link. */
export interface LinkMessage {
  readonly frame: LinkFrame;
  readonly encoding: PayloadKind;
  readonly payload: Buffer | undefined;
  /** The whole message, as it stands in the bytes that were read. */
  readonly bytes: Buffer;
}
