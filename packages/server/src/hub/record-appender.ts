/**
 * The contract of whatever appends records for sessions: to a log of this process (`appender.ts`), or through a link to the
 * process that has it (`link/link-appender.ts`).
 */
import type { PhysicalRecord } from '../log/log.ts';
import type { Refusal } from './refusal.ts';

/** What became of an append. */
export type Appended =
  | { readonly state: 'ok'; readonly cursor: string; readonly duplicate: boolean }
  | ({ readonly state: 'error' } & Refusal);

export type OnAppended = (result: Appended) => void;

/** What names a record for its writer (APP-2); without `rid` it has no id. */
export interface RecordId {
  readonly channel: string;
  readonly user: string | undefined;
  readonly rid: string | undefined;
}

/** A record as it is handed to an appender. */
export type NewRecord = Omit<PhysicalRecord, 'ticket'>;

/** Told of each append that was answered. */
export type OnAnswered = (record: NewRecord, result: Appended, durationMs: number) => void;

/** Appends records to a log, here or in the process that has it. The order of calls is the order within a channel. */
export interface RecordAppender {
  /** Appends that have no answer yet. */
  readonly inFlight: number;
  /**
   * Answers a repeat as the first one was answered (APP-2); else asks `admit` for the record and appends it, or answers
   * with its refusal. The callback is called once.
   */
  submit(id: RecordId, admit: () => NewRecord | Refusal, callback: OnAppended): void;
  /** Appends one record whose id is not known; the callback is called once. */
  append(record: NewRecord, callback: OnAppended): void;
  /** Resolves when nothing is in flight. */
  drained(): Promise<void>;
}
