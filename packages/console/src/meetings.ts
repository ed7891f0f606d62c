/**
 * When the counters of the proof have met: all that had been written by some moment is stored and was seen by every
 * reader. While records flow the counters are hardly ever equal at one moment, the less so on a busy machine; so each is
 * looked at when it comes to the same number.
 */
import type { Sums } from './proof.ts';

export interface Meeting {
  /** When all that is counted here had been written. */
  readonly writtenMs: number;
  /** The sums up to there. */
  readonly sums: Sums;
}

export class Meetings {
  last: Meeting | undefined;
  #awaited: { readonly writtenMs: number; readonly count: number; readonly orders: Map<number, string> } | undefined;

  /** Must be told of every step of a counter, or a reader's order at the number that is waited for is missed. */
  look(nowMs: number, sums: Sums): void {
    if (this.#awaited === undefined) this.#await(nowMs, sums);
    const awaited = this.#awaited;
    if (awaited === undefined) return;
    const { writtenMs, count, orders } = awaited;
    sums.seen.forEach((seen, reader) => {
      if (seen === count) orders.set(reader, sums.orders[reader] ?? '');
    });
    if (sums.stored < count || orders.size < sums.seen.length) return;
    const met = { written: count, stored: count, seen: sums.seen.map(() => count) };
    this.last = { writtenMs, sums: { ...sums, ...met, orders: sums.orders.map((_, n) => orders.get(n) ?? '') } };
    this.#await(nowMs, sums);
  }

  #await(nowMs: number, { written }: Sums): void {
    if (written === 0) return;
    this.#awaited = { writtenMs: nowMs, count: written, orders: new Map() };
  }
}
