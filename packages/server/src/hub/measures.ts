/**
 * What the hub measures as it happens, by channel: whoever makes metrics of it sums up by namespace. Each is told once
 * per start, page, or channel and tick; nothing is told per delivery.
 */
export interface Measures {
  /** A channel's records of a tick were handed to the sockets of its followers, so long after they were applied. */
  onDelivered(channel: string, durationMs: number): void;
  /** A place was taken up again: `resumed`, or the reason why it could not be. */
  onResumed(channel: string, result: string): void;
  /** A subscription that had to read on is live, so long after it began to. */
  onCaughtUp(channel: string, durationMs: number): void;
  /** A page of history was read for a client. */
  onPageRead(channel: string, durationMs: number): void;
}

/** Limits that clients and disks run into, by their name in the configuration or in PROTOCOL.md §13. */
export const limitNames = [
  'appendsPerSecond',
  'signalsPerSecond',
  'callsPerSecond',
  'subscriptions',
  'sessions',
  'sessionsPerUser',
  'commandsInFlight',
  'outboxBytes',
  'outboxBytesTotal',
  'recordBytes',
  'signalBytes',
  'callBytes',
  'bodyBytes',
  'messageBytes',
  'logQueue',
] as const;

export type LimitName = (typeof limitNames)[number];
