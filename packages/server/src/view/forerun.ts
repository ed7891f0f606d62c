/** What lives are told that are a forerunner's, and what they say when they cannot go on. */
import type { GapReason } from '@tideway/protocol';
import type { Position } from '../log/log.ts';

/** Why a forerunner ends before it is needed no more. Without a reason the history goes on, but its own store does not. */
export interface Break {
  readonly reason?: GapReason;
  readonly epoch?: string | undefined;
}

/** Makes lives those of a forerunner: the one life begins here, and when it ends none comes after it. */
export interface Forerun {
  readonly from: Position;
  readonly onBreak: (why: Break) => void;
}
