/**
 * The frames of PROTOCOL.md §4 as discriminated unions: what a client may send, what a server may send.
 * Types only; `client-header.ts` and `server-header.ts` read and write them.
 */
import type { Code } from './codes.ts';

/** How a record's payload is to be read; it belongs to the record for ever (FRM-4). */
export type PayloadKind = 'json' | 'bytes';

/** Where a subscription starts (SUB-2). */
export type From = string;

export interface Deliver {
  readonly mode: 'all' | 'latest';
  readonly maxHz?: number;
  readonly maxBytesPerSecond?: number;
}

export interface SubscribeItem {
  readonly channel: string;
  readonly from?: From;
  readonly presence?: boolean;
  readonly deliver?: Deliver;
}

export type ClientFrame =
  | {
      readonly op: 'hello';
      readonly id: number;
      readonly token?: string;
      readonly instance: string;
      readonly client?: string;
    }
  | {
      readonly op: 'subscribe';
      readonly id: number;
      /** True when the frame had `channel`: the answer then has its members in `ok` itself. */
      readonly single: boolean;
      /** Defaults already filled in from the outer fields; names are not checked yet: a wrong one is that item's error. */
      readonly channels: readonly SubscribeItem[];
    }
  | { readonly op: 'unsubscribe'; readonly id: number; readonly channel: string }
  | {
      readonly op: 'append';
      readonly id: number;
      readonly channel: string;
      readonly rid: string;
      readonly key?: string;
      readonly expect?: string;
      readonly trace?: string;
      readonly restart?: boolean;
    }
  | { readonly op: 'signal'; readonly channel: string; readonly key?: string; readonly to?: string }
  | { readonly op: 'call'; readonly id: number; readonly method: string }
  | { readonly op: 'token'; readonly id: number; readonly token: string }
  | {
      readonly op: 'report';
      readonly channel: string;
      readonly gaps?: number;
      readonly duplicates?: number;
      readonly lagMs?: number;
    }
  | { readonly op: 'pong' }
  /** Reserved ops (FRM-9): understood, answered `unsupported`. */
  | { readonly op: 'enter' | 'leave'; readonly id: number };

/** Why a place was not resumed, or what follows does not continue it (SUB-6, SUB-9). */
export type GapReason = 'trimmed' | 'diverged' | 'epoch';

/** The answer to one channel of a `subscribe`. */
export interface Subscribed {
  readonly channel: string;
  /** The place: the client always takes it, also where it is lower than its own. */
  readonly cursor: string;
  /** The newest visible record behind `cursor`; equal to it where there is none. The subscription is live once place ≥ head. */
  readonly head: string;
  /** Present iff `from` was a cursor. */
  readonly resumed?: boolean;
  /** Present iff `resumed` is false. */
  readonly reason?: GapReason;
}

export interface ItemError {
  readonly channel?: string;
  readonly code: Code;
  readonly message: string;
  readonly ref?: string;
  readonly retryMs?: number;
}

/** What a server tells about itself in the `ok` of `hello` (HEL-2). */
export interface AnnouncedLimits {
  readonly recordBytes: number;
  readonly channelsPerFrame: number;
  readonly subscriptions: number;
  readonly pageRecords: number;
  readonly batchItems: number;
  /** How far back a repeated rid is recognized; older unanswered appends must not be sent again. */
  readonly ridWindowMs: number;
}

export interface HelloOk {
  readonly session: string;
  readonly user?: string;
  readonly pingMs: number;
  readonly expiresInMs?: number;
  readonly server: string;
  readonly limits: AnnouncedLimits;
}

/** The header of a record, as every subscriber gets it (REC-1). */
export interface RecordHeader {
  readonly channel: string;
  readonly cursor: string;
  readonly prev: string;
  /** Milliseconds since 1970 by the appending node; never used for order; absent only where the log gave none. */
  readonly time?: number;
  readonly rid?: string;
  readonly user?: string;
  readonly key?: string;
  readonly trace?: string;
}

export type ServerFrame =
  | ({ readonly op: 'ok'; readonly id: number } & Partial<HelloOk> &
      Partial<Subscribed> & {
        readonly channels?: readonly (Subscribed | ItemError)[];
        readonly duplicate?: boolean;
      })
  | {
      readonly op: 'error';
      readonly id?: number;
      readonly code: Code;
      readonly message: string;
      readonly ref: string;
      readonly retryMs?: number;
    }
  | ({ readonly op: 'record' } & RecordHeader)
  | { readonly op: 'gap'; readonly channel: string; readonly cursor: string; readonly reason: GapReason }
  | {
      readonly op: 'mark';
      readonly channel: string;
      readonly prev: string;
      readonly cursor: string;
      readonly conflated?: number;
    }
  | { readonly op: 'signal'; readonly channel: string; readonly user?: string; readonly key?: string }
  | { readonly op: 'closed'; readonly channel: string }
  | { readonly op: 'unsubscribed'; readonly channel: string; readonly code: Code }
  | { readonly op: 'log'; readonly state: 'down' | 'up' }
  | { readonly op: 'drain'; readonly withinMs: number }
  | { readonly op: 'ping' };

/** A record as SSE and HTTP carry it: the header without `op`, then the payload as `data` (SSE-2). */
export interface RecordLine extends RecordHeader {
  /** Present for payloads of kind `bytes`: `data` is then base64. */
  readonly encoding?: 'base64';
  readonly data: unknown;
}
