/**
 * The log contract: what orders records durably. One driver per backbone; each passes the one suite of
 * `@tideway/verifier`. A log knows bytes and positions; it never knows a session, never judges what is visible.
 */
import type { Code, PayloadKind } from '@tideway/protocol';

/** A record's number in its partition, in the wire form of PROTOCOL.md CUR-3: comparing text compares positions. */
export type Position = string;

/** A cursor's check of what stands at a position (PROTOCOL.md CUR-4). */
export type Tag = string;

/** What is written, as it is: every appended record, whether or not the fold will show it. */
export interface PhysicalRecord {
  readonly channel: string;
  /** `data`, or a control of the channel: `trim` (everything before it leaves), `close` (nothing follows). */
  readonly kind: 'data' | 'trim' | 'close';
  readonly encoding: PayloadKind;
  /** Payload bytes as they are; a control has none (length 0). The log may keep the buffer; the caller must not change it. */
  readonly payload: Buffer;
  /** Milliseconds since 1970 by the appending node; absent where a foreign producer gave none. */
  readonly time?: number | undefined;
  readonly user?: string | undefined;
  readonly rid?: string | undefined;
  readonly key?: string | undefined;
  /** A cursor: no visible record of this key may lie between it and this record. */
  readonly expect?: string | undefined;
  /** W3C traceparent. */
  readonly trace?: string | undefined;
  /** By which the appending node knows its own record on the tail; need not survive a restart. */
  readonly ticket?: string | undefined;
}

/** A physical record as the tail gives it. */
export interface TailRecord {
  readonly position: Position;
  readonly tag: Tag;
  readonly record: PhysicalRecord;
}

/** Made once when a log is created and kept beside the data; changing one makes a new log. */
export interface LogConstants {
  /** One epoch per partition (PROTOCOL.md CUR-2); its length is the number of partitions. */
  readonly epochs: readonly string[];
  /** How many physical records of a partition the fold may look back. */
  readonly window: number;
  /** The partition of a channel, 0-based. */
  partitionOf(channel: string): number;
}

/** Which partitions of a log take no records now. */
export interface LogHealth {
  /** How many it has; 1 as long as nobody knows. */
  readonly partitions: number;
  /** Those that take none, 0-based, ascending. */
  readonly down: readonly number[];
}

/** What became of one record of an `append`. */
export type AppendOutcome =
  /** Durable by the standard that `declares` names. */
  | { readonly state: 'stored' }
  /** Not stored, and never will be. */
  | { readonly state: 'refused'; readonly code: Code; readonly message: string }
  /** May be stored, may still appear on the tail. */
  | { readonly state: 'unknown'; readonly message: string };

/** Where a tail starts: behind everything trimmed, or behind a record already applied, which is compared by its tag. */
export type TailStart = 'oldest' | { readonly position: Position; readonly tag: Tag };

export interface Bounds {
  /** The place before the oldest record still held: the position of the last record trimmed, or zero. */
  readonly oldest: Position;
  /** The position of the newest record, or zero. */
  readonly newest: Position;
  /** True when nothing was ever trimmed. */
  readonly fromGenesis: boolean;
}

/** Why a tail cannot start or go on. */
export class TailError extends Error {
  readonly reason: 'trimmed' | 'diverged' | 'epoch' | 'damaged' | 'unavailable';
  /** With `trimmed`: what `bounds().oldest` is now. */
  readonly oldest: Position | undefined;
  /** With `epoch`: the partition's new one. */
  readonly epoch: string | undefined;
  /** With `unavailable`: true where that does not pass until somebody acts (wrong credentials, other constants). */
  readonly isFinal: boolean;

  constructor(
    reason: TailError['reason'],
    message: string,
    more: { oldest?: Position; epoch?: string; isFinal?: boolean; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'TailError';
    this.reason = reason;
    this.oldest = more.oldest;
    this.epoch = more.epoch;
    this.isFinal = more.isFinal ?? false;
  }
}

export interface Tail {
  /** No `onBatch` starts after it resolves. */
  stop(): Promise<void>;
}

/** One write of a log that is durable, for whoever measures it. */
export interface Commit {
  readonly records: number;
  /** From handing the batch to the disk until it was durable. */
  readonly durationMs: number;
}

/** What a driver promises. Declared, never probed. */
export interface LogDeclaration {
  /** In words: what `stored` survives. */
  readonly storedSurvives: string;
  /** False for logs that live in this process only. */
  readonly durable: boolean;
  /** True where a tail of acknowledged records may vanish (a failover to a stale replica). */
  readonly mayRewind: boolean;
  readonly recordBytesMax: number;
  /** In words: by what a tail knows that nothing is missing between two records. */
  readonly contiguity: string;
  /** Within how long a lost connection is found, also one that just says nothing; 0 where there is none. */
  readonly detectMs: number;
}

/** Bytes from node to node through the log's backbone: at most once, never stored, in no order with the records. */
export interface NodeSignals {
  /** Never rejects; while the backbone cannot be reached it is dropped. A node's id: 1–64 of `A–Z a–z 0–9 _ -`. */
  signal(to: 'all' | { readonly node: string }, bytes: Buffer): void;
  /** What is sent to all, by this node too, and to the node of that id, until the returned function is called. */
  onSignal(node: string, listener: (bytes: Buffer) => void): Promise<() => void>;
}

export interface Log {
  readonly declares: LogDeclaration;
  /**
   * True where a record that a tail was given is stored as `declares` says, so that its append may be answered before
   * the others of its call are.
   */
  readonly seenIsStored?: boolean;
  /** Absent where there is nobody to talk to: a log of one process. */
  readonly signals?: NodeSignals;

  /** Opens or creates the log. Throws a `TidewayError` or `Error` in words when it cannot: damaged, in use, constants differ. */
  open(): Promise<LogConstants>;

  /**
   * Appends records, each answered in its own slot. Safe to call concurrently; the order within a channel is the order
   * of calls, and a record is never stored after a later one of the same channel from this node. Drivers do not
   * deduplicate. The queue is bounded; beyond it records are `refused` with `overloaded`. Never rejects.
   */
  append(records: readonly PhysicalRecord[]): Promise<readonly AppendOutcome[]>;

  /**
   * Every physical record of a partition after `after`, in order, each exactly once; `onBatch` is awaited before the
   * next batch (a returned `undefined` needs no wait). An append is answered `stored` only after the batch with it was
   * handed to every tail that stands at the log's end. Rejects with `TailError` when it cannot start.
   *
   * @param onError called at most once, when a running tail cannot go on; it is stopped then
   */
  tail(
    partition: number,
    after: TailStart,
    onBatch: (batch: readonly TailRecord[]) => Promise<void> | undefined,
    onError: (error: TailError) => void,
  ): Promise<Tail>;

  /** What the partition holds, by its leader, never a stale replica. Rejects with `TailError` `unavailable` while it cannot be asked. */
  bounds(partition: number): Promise<Bounds>;

  /**
   * Told by the view: its store, read through a freshly opened handle, holds everything up to `position`. The log may
   * delete what lies before it (and more than the window back, and beyond its budget), oldest first.
   */
  settled(partition: number, position: Position): Promise<void>;

  /** True when the log would delete something if only it were told `settled`. */
  readonly wantsSettled: boolean;

  /** Flushes, closes; nothing is accepted afterwards. */
  close(): Promise<void>;
}
