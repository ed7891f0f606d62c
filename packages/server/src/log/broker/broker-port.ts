/**
 * What a broker must be able to do so that `broker-log.ts` makes a log of it: one small driver per broker implements
 * this and nothing else. A port knows its client and its broker's words; queueing, order, repeats, re-attaching, tags
 * and answers are not its business.
 */
import type { AppendOutcome, LogDeclaration } from '../log.ts';
import type { NativeRecord } from './native-record.ts';

/** Why a port cannot connect, in words without credentials. Any other error of `connect` is one that may pass. */
export class BrokerError extends Error {
  /**
   * True where trying again changes nothing until somebody acts: wrong credentials, a certificate that is not trusted,
   * not allowed, constants or a topic that do not fit.
   */
  readonly isFinal: boolean;

  constructor(message: string, more: { readonly isFinal: boolean; readonly cause?: unknown }) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'BrokerError';
    this.isFinal = more.isFinal;
  }
}

/** Made once when the log is created and kept on the broker, beside the data; the first one written wins. */
export interface StoredConstants {
  readonly format: 1;
  /** W: how many physical records of a partition the fold may look back. */
  readonly window: number;
  /** One per partition, in order. */
  readonly partitions: readonly StoredPartition[];
}

export interface StoredPartition {
  readonly epoch: string;
  /**
   * The broker's own name for this life of the partition, where it has one (a topic's id, a stream's creation time): a
   * partition that was deleted and made again must not be taken for the old one.
   */
  readonly identity?: string;
}

/** A record as a partition of the broker holds it. */
export interface StoredRecord extends NativeRecord {
  /** From 1 upwards, ascending; where the broker counts from 0, one more than its number. */
  readonly number: number;
}

export interface PortBounds {
  /** The number of the last record trimmed; 0 when nothing was. */
  readonly oldest: number;
  /** The number of the newest record; `oldest` when there is none. */
  readonly newest: number;
}

/** What a follower is told. */
export interface FollowEvents {
  /**
   * The next records, contiguous with those before: the port has checked its witness of contiguity. While a returned
   * promise is pending nothing more is given, and what the client reads ahead is bounded.
   */
  onRecords(records: readonly StoredRecord[]): Promise<void> | undefined;
  /**
   * It ended, once: the connection broke, the leader changed, a hole was found (`TailError` `damaged`), records behind
   * `after` are gone (`trimmed`), the partition is another one (`epoch`: the log connects again). Every other reason,
   * and every doubt, may be any `Error`: the log compares the record at its place and follows again.
   */
  onEnd(error: Error): void;
}

export interface Following {
  /** No `onRecords` starts after it resolves. */
  stop(): Promise<void>;
}

/**
 * Where a broker's partitions lie on several members, one that is away is no loss of the connection: appends to its
 * partitions are not `stored`, what is asked about them is `unavailable`, their followers end, and whoever asks again has
 * them looked for. A port that cannot tell its partitions apart is down as a whole.
 */
export interface BrokerPort {
  readonly declares: LogDeclaration;
  /** Names the broker in messages, without credentials: `redis://127.0.0.1:6379/tideway`. */
  readonly place: string;
  /** True where a partition's numbers have no holes: the log then checks each number itself, too. */
  readonly countsDensely: boolean;
  /** True where a record that a follower was given is stored as `declares` promises: it may be answered then. */
  readonly seenIsStored: boolean;

  /**
   * Connects and returns the constants the broker keeps; where it keeps none, makes `wanted` the constants (first one
   * wins, also between nodes that start at once) with everything the log needs. Settles within 10 s. Rejects in words,
   * with a final `BrokerError` for wrong credentials, a wrong certificate, what is not allowed. Called again after
   * `onDown` and after a failure: until it resolves nothing else but `close` is called. `wanted` has fresh epochs each
   * time. A partition whose identity is not the stored one any more gets a new epoch, stored the same way.
   */
  connect(wanted: StoredConstants): Promise<StoredConstants>;

  /**
   * Appends to one partition, in order, and says what became of each: `stored` is what `declares` promises; after the
   * first that is not `stored` none may be stored, where the broker can promise that, else it is `unknown`. There is
   * at most one call at a time for a partition. Never rejects; answers within `deadlineMs`.
   */
  append(partition: number, records: readonly NativeRecord[], deadlineMs: number): Promise<readonly AppendOutcome[]>;

  /**
   * Up to `limit` records behind the number `after`, contiguous, from the leader; fewer only where the partition ends
   * or 1 MiB is full. Rejects with `TailError`: `trimmed` where some behind `after` are gone, `damaged` for a hole.
   */
  read(partition: number, after: number, limit: number): Promise<readonly StoredRecord[]>;

  /** The record with that number; `undefined` where there is none (trimmed, or not yet). */
  at(partition: number, number: number): Promise<StoredRecord | undefined>;

  /** By the leader, never a stale replica. */
  bounds(partition: number): Promise<PortBounds>;

  /** Gives everything behind `after` as it comes. */
  follow(partition: number, after: number, events: FollowEvents): Promise<Following>;

  /** Lets go of everything up to that number, oldest first, where the broker does not do so by itself. */
  trim?(partition: number, upTo: number): Promise<void>;

  /** Sends bytes to the nodes that listen to a subject, at most once; never rejects. */
  signal(subject: string, bytes: Buffer): void;

  /** Listens to a subject until the returned function is called; subscriptions outlive a reconnect. */
  onSignal(subject: string, listener: (bytes: Buffer) => void): Promise<() => void>;

  /** Called once per loss of the connection; set before `connect`. A broker that accepts and never answers counts. */
  onDown: ((error: Error) => void) | undefined;

  /** Closes the connections; calls under way end. */
  close(): Promise<void>;
}
