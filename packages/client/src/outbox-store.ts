/**
 * Where appends without answer are kept while they wait, so that a reload loses none. Memory needs no store: then the
 * outbox itself is all there is.
 */
import type { Payload } from './link.ts';

/** An append that has no answer yet. */
export interface OutboxEntry {
  readonly rid: string;
  readonly channel: string;
  /** JSON as text, or bytes. */
  readonly payload: Payload;
  readonly key?: string;
  readonly expect?: string;
  readonly trace?: string;
  /** Whose append it is: a user's name, `null` for nobody, absent while that is not known. */
  readonly user?: string | null;
  /** Wall clock of the first time it was sent; absent while it never was. */
  readonly sentMs?: number;
}

/** Calls come one at a time and in order; each promise resolves when its change is durable. */
export interface OutboxStore {
  /**
   * The entries left by an earlier life, oldest first. `onFound` brings those of another owner that died later.
   * Rejects when the store cannot be used.
   */
  open(onFound: (entries: readonly OutboxEntry[]) => void): Promise<readonly OutboxEntry[]>;
  /** Adds entries behind all others; one that is there already is replaced at its place. */
  put(entries: readonly OutboxEntry[]): Promise<void>;
  remove(rids: readonly string[]): Promise<void>;
  /** Lets go of the entries: another owner may have them. */
  close(): void | Promise<void>;
}
