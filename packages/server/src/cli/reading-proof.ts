/**
 * The proof behind `tail --verify` and `verify`: what was read goes through the history checker; its verdict in one line
 * for people, or as JSON.
 */
import type { GapReason } from '@tideway/protocol';
import { hashData, HistoryChecker, type Violation } from '@tideway/verifier/checker';
import { type Io, paint } from './io.ts';

const READER = 'this reader';

/** The members of a record that are proven. */
export interface ProvenRecord {
  readonly channel: string;
  readonly cursor: string;
  readonly prev: string;
  readonly rid?: string;
  readonly user?: string;
  readonly data: unknown;
}

export interface ChannelProof {
  readonly channel: string;
  readonly ok: boolean;
  readonly records: number;
  readonly gaps: number;
  /** The hash over cursor and data of the records between these two, both included; since the last gap. */
  readonly order: string;
  readonly orderFrom: string | undefined;
  readonly orderTo: string | undefined;
  readonly violations: readonly Violation[];
}

/** The hash of a record's data, the same for every reader that gets it as the SDK gives it. */
export function hashOf(data: unknown): string {
  return hashData(data instanceof Uint8Array ? data : JSON.stringify(data));
}

export class ReadingProof {
  readonly #checker = new HistoryChecker({ windowRecords: 1_000 });
  readonly #channels: readonly string[];

  constructor(channels: readonly string[]) {
    this.#channels = channels;
  }

  /** Reading begins behind this place. */
  begin(channel: string, place: string): void {
    this.#checker.accept({ kind: 'mark', reader: READER, channel, prev: place, cursor: place });
  }

  record({ channel, cursor, prev, rid, user, data }: ProvenRecord): void {
    this.#checker.accept({ kind: 'record', reader: READER, channel, cursor, prev, rid, user, hash: hashOf(data) });
  }

  /** A hole is no word of the server's: the next record shows it to the checker as what it is. */
  gap(channel: string, gap: { readonly cursor: string; readonly reason: GapReason | 'hole' }): void {
    const { cursor, reason } = gap;
    if (reason !== 'hole') this.#checker.accept({ kind: 'gap', reader: READER, channel, cursor, reason });
  }

  verdicts(): ChannelProof[] {
    const { readers, violations } = this.#checker.verdict();
    return this.#channels.map((channel) => {
      const figures = readers.find((reader) => reader.channel === channel);
      const broken = violations.filter((violation) => violation.channel === channel);
      return {
        channel,
        ok: broken.length === 0,
        records: figures?.records ?? 0,
        gaps: figures === undefined ? 0 : Object.values(figures.gaps).reduce((sum, count) => sum + count, 0),
        order: figures?.order ?? '',
        orderFrom: figures?.orderFrom,
        orderTo: figures?.orderTo,
        violations: broken,
      };
    });
  }
}

/** `✓ chat:42: 1,204 records, chain unbroken, 0 gaps, order 9f3a… from … to …` */
export function describeProof(io: Io, proof: ChannelProof, where: 'stdout' | 'stderr'): string {
  const { channel, records, gaps, order, orderFrom, orderTo, violations } = proof;
  const count = `${records.toLocaleString('en-US')} ${records === 1 ? 'record' : 'records'}`;
  const gapCount = `${gaps} ${gaps === 1 ? 'gap' : 'gaps'}`;
  if (proof.ok) {
    const range = orderFrom === undefined ? '' : `, order ${order} from ${orderFrom} to ${orderTo}`;
    return `${paint(io, where, 'green', '✓')} ${channel}: ${count}, chain unbroken, ${gapCount}${range}`;
  }
  const first = violations[0] as Violation;
  const more = violations.length > 1 ? `\n  and ${violations.length - 1} more` : '';
  return `${paint(io, where, 'red', '✗')} ${channel}: ${count}, ${gapCount}; the first break (${first.kind}): ${first.text}${more}`;
}
