/**
 * The store contract: a small ordered map that a view keeps its records, heads and window in. It need not survive a
 * power cut (the log does), but a batch is there whole or not at all, and what is read back is what was written.
 */

/** Printable ASCII, compared by byte: one word, or two with a space between them. */
export type StoreKey = string;

export interface StoreEntry {
  readonly key: StoreKey;
  /** Belongs to the reader; the store does not touch it again. */
  readonly value: Buffer;
}

export type StoreOp =
  | {
      readonly type: 'put';
      readonly key: StoreKey;
      /** Not changed by anybody after the call. */ readonly value: Buffer;
    }
  | { readonly type: 'del'; readonly key: StoreKey };

/** Stays among keys with the same first word, or among one-word keys with the same first letter. */
export interface StoreRange {
  readonly gt?: StoreKey;
  readonly gte?: StoreKey;
  readonly lt: StoreKey;
  readonly reverse?: boolean;
  readonly limit: number;
  /** Stops once the values read come to more than this; at least one entry is given. */
  readonly bytes: number;
}

export interface StoreScan {
  readonly entries: readonly StoreEntry[];
  /** Nothing of the range lies behind what was given. */
  readonly end: boolean;
}

/** Why a store cannot be used. */
export class StoreError extends Error {
  /**
   * `damaged`: what is there cannot be read as what was written; `newer`: a newer version of the server wrote it;
   * `in_use`: another process holds it; `failed`: the disk refused (full, read-only, gone).
   */
  readonly reason: 'damaged' | 'newer' | 'in_use' | 'failed';

  constructor(reason: StoreError['reason'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.reason = reason;
  }
}

/** What is there cannot be read as what was written. */
export function isDamage(error: unknown): error is StoreError {
  return error instanceof StoreError && error.reason === 'damaged';
}

export interface Store {
  /** Opens or creates it. Throws a `StoreError` in words. */
  open(): Promise<void>;
  /** Synchronously, between `open` and `close`. Throws a `StoreError`. */
  getSync(key: StoreKey): Buffer | undefined;
  /** A consistent moment of the map, in byte order of the keys. Rejects with a `StoreError`. */
  scan(range: StoreRange): Promise<StoreScan>;
  /**
   * All or nothing; one call at a time. Rejects with a `StoreError`: then it may or may not be there, and the store
   * must be closed and opened again before the next write.
   */
  write(ops: readonly StoreOp[]): Promise<void>;
  /** True when it is likely that the store could be opened and written to now. Never rejects. */
  hasRoom(): Promise<boolean>;
  /** Moves what is there out of the way, closed; the next `open` finds nothing. Returns where it went, in words. */
  setAside(): Promise<string>;
  close(): Promise<void>;
  /** Closes it, and removes everything of it for good. */
  remove(): Promise<void>;
}
