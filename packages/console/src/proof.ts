/**
 * The proof: everything written and everything each reader was given goes through the history checker, the same that
 * stands behind `tideway verify` and the torture run. What it says is what the bar shows.
 */
import type { ChannelRecord } from '@tideway/client';
import { HistoryChecker, hashData, type Violation } from '@tideway/verifier/checker';

export interface Sums {
  readonly written: number;
  readonly stored: number;
  readonly seen: readonly number[];
  readonly gaps: number;
  readonly duplicates: number;
  /** Appends that arrived more than once and were stored once. */
  readonly repeated: number;
  /** One order hash per reader. */
  readonly orders: readonly string[];
  readonly violation: Violation | undefined;
}

export class Proof {
  readonly #channel: string;
  readonly #readers: readonly string[];
  readonly #checker = new HistoryChecker({ closedWorld: true });
  #sequence = 0;

  constructor(channel: string, readers: readonly string[]) {
    this.#channel = channel;
    this.#readers = readers;
  }

  /** An append is about to be sent. */
  written(rid: string, data: unknown): void {
    this.#checker.accept({
      kind: 'append',
      channel: this.#channel,
      rid,
      writer: 'page',
      sequence: this.#sequence++,
      hash: hashData(JSON.stringify(data)),
    });
  }

  stored(rid: string, cursor: string, duplicate: boolean): void {
    this.#checker.accept({
      kind: 'outcome',
      channel: this.#channel,
      rid,
      outcome: { state: 'stored', cursor, duplicate },
    });
  }

  failed(rid: string, code: string): void {
    const outcome =
      code === 'unconfirmed' ? ({ state: 'unconfirmed' } as const) : ({ state: 'refused', code } as const);
    this.#checker.accept({ kind: 'outcome', channel: this.#channel, rid, outcome });
  }

  seen(reader: string, { cursor, prev, rid, data }: ChannelRecord): void {
    const hash = hashData(JSON.stringify(data));
    this.#checker.accept({ kind: 'record', reader, channel: this.#channel, cursor, prev, rid, hash });
  }

  gap(reader: string, cursor: string, reason: string): void {
    const known = reason === 'trimmed' || reason === 'epoch' ? reason : 'diverged';
    this.#checker.accept({ kind: 'gap', reader, channel: this.#channel, cursor, reason: known });
  }

  sums(): Sums {
    const verdict = this.#checker.verdict();
    const readers = this.#readers.map((name) => verdict.readers.find(({ reader }) => reader === name));
    return {
      written: verdict.appends.sent,
      stored: verdict.appends.stored,
      seen: readers.map((reader) => reader?.records ?? 0),
      gaps: verdict.gaps.trimmed + verdict.gaps.diverged + verdict.gaps.epoch,
      duplicates: verdict.violations.filter(({ kind }) => kind === 'duplicated').length,
      repeated: verdict.appends.duplicates,
      orders: readers.map((reader) => reader?.order.slice(0, 8) ?? '–'),
      violation: verdict.violations[0],
    };
  }
}
