/**
 * What the hub counts, as plain fields: adding to a number is all the hot path pays. Read by metrics and vitals.
 */
import type { LimitName } from './measures.ts';

export class HubFigures {
  sessionsOpened = 0;
  framesReceived = 0;
  bytesReceived = 0;
  chunksSent = 0;
  bytesSent = 0;
  socketWrites = 0;
  recordsDelivered = 0;
  signalsDelivered = 0;
  signalsDropped = 0;
  outboxOverflows = 0;
  clientGaps = 0;
  clientDuplicates = 0;
  tokenRefreshes = 0;
  readonly appends: Record<string, number> = {};
  readonly limitHits: Partial<Record<LimitName, number>> = {};
  readonly errors: Record<string, number> = {};
  readonly closed: Record<string, number> = {};

  /** Somebody ran into a limit. */
  hit(limit: LimitName): void {
    this.limitHits[limit] = (this.limitHits[limit] ?? 0) + 1;
  }

  /** Adds one to a member of one of the records above. */
  static count(record: Record<string, number>, member: string): void {
    record[member] = (record[member] ?? 0) + 1;
  }
}
