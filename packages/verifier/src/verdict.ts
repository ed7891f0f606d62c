/** What the checker says: which promises were broken, where, and the figures that a proof shows. */
import type { GapReason } from '@tideway/protocol';

export type ViolationKind =
  /** A record that exists was not given to a reader that passed its place without being told of a gap. */
  | 'lost'
  /** Two visible records of one rid, or one record given to a reader twice. */
  | 'duplicated'
  /** A writer's records are not stored in the order sent, or a reader is given an older record after a newer one. */
  | 'reordered'
  /** Readers differ in what stands at a cursor, or in the hash of the same range. */
  | 'disagreement'
  /** A step with `prev` beyond the reader's place: something in between was skipped in silence. */
  | 'undeclared-gap'
  /** A gap was declared although nothing was missed, or although the log could still serve it. */
  | 'false-gap'
  /** A record's `prev` is not the record before it. */
  | 'broken-chain'
  /** It was acknowledged and is no longer in the log. */
  | 'gone'
  /** It was refused for good and is visible all the same. */
  | 'refused-but-visible'
  /** A session got its own record before the `ok` of its append. */
  | 'record-before-ok'
  /** A frame of a subscription that was not answered yet, or had ended. */
  | 'uninvited'
  /** The payload is not the one that was appended. */
  | 'altered'
  /** Nobody appended it. */
  | 'phantom';

/** What a violation is about. */
export interface Where {
  readonly cursor?: string | undefined;
  readonly reader?: string | undefined;
  readonly rid?: string | undefined;
}

/** Takes a violation, told in one sentence. */
export type Report = (kind: ViolationKind, text: string, where: Where) => void;

export interface Violation {
  readonly kind: ViolationKind;
  readonly channel: string;
  readonly cursor?: string | undefined;
  readonly reader?: string | undefined;
  readonly rid?: string | undefined;
  /** The whole story in one sentence. */
  readonly text: string;
}

export interface ReaderFigures {
  readonly reader: string;
  readonly channel: string;
  readonly place: string | undefined;
  readonly records: number;
  readonly gaps: Readonly<Record<GapReason, number>>;
  /** Running hash over cursor and data since the first record, or since the last gap. */
  readonly order: string;
  /** The records the hash runs over: first and last cursor. */
  readonly orderFrom: string | undefined;
  readonly orderTo: string | undefined;
}

export interface Verdict {
  readonly ok: boolean;
  readonly violationCount: number;
  /** The first hundred. */
  readonly violations: readonly Violation[];
  readonly appends: {
    readonly sent: number;
    readonly stored: number;
    readonly duplicates: number;
    readonly refused: number;
    readonly unconfirmed: number;
    /** Sent, and not answered for good yet. */
    readonly pending: number;
  };
  /** Different records known to exist. */
  readonly records: number;
  /** Records given, over all readers. */
  readonly delivered: number;
  readonly gaps: Readonly<Record<GapReason, number>>;
  /** Records given to a reader so late that the window could no longer compare them with what others saw. */
  readonly beyondWindow: number;
  /**
   * Acknowledgements that came while some reader was not told yet that the log was rewound, and whose records nobody has
   * seen since: they are of the history that is gone, or lost, and nothing says which. No violation, so look at them.
   */
  readonly unjudged: number;
  readonly readers: readonly ReaderFigures[];
}

/** @throws Error that begins with `violation: ` and tells the first one: a test that fails by it is given no second run */
export function assertKept({ violations: [first], violationCount }: Verdict): void {
  if (first === undefined) return;
  throw new Error(`violation: ${first.kind} in ${first.channel}: ${first.text} (${violationCount} in all)`);
}
