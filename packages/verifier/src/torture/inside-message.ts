/** What the torture run says to the module it has loaded into the server. */

/**
 * Where in the next write of a batch the server dies: `before` anything was written, `torn` after a part, `during` the
 * write itself, `after` all of it reached the disk and before anybody was told.
 */
export type KillMode = 'before' | 'torn' | 'during' | 'after';

export interface InsideMessage {
  readonly kill?: KillMode;
  /** How much of the batch is written: by a torn write, and before a disk says it is full. */
  readonly fraction?: number;
  readonly writeDelayMs?: number;
  readonly diskFull?: boolean;
  /** How far the wall clock is off. */
  readonly clockMs?: number;
}

/** One line of evidence that a server left when it died inside a write. */
export interface KillEvidence {
  readonly mode: KillMode;
  readonly bytes: number;
  readonly written: number;
}
