/**
 * How far each slot is done in each partition. A place is passed only when everything in front of it is handled, whatever
 * was handled behind it.
 */
import { SLOTS } from './group-state.ts';

/** A record that is not done yet. */
export interface Taken {
  readonly slot: number;
  readonly partition: number;
  readonly cursor: string;
  done: boolean;
}

interface Lane {
  /** Everything up to here is done. */
  settled: string;
  /** Everything up to here was taken. */
  reached: string;
  waiting: Taken[];
}

export class Progress {
  readonly #lanes = new Map<number, Lane[]>();

  /** The slot is worked on from these places on. */
  open(slot: number, places: readonly string[]): void {
    this.#lanes.set(
      slot,
      places.map((place) => ({ settled: place, reached: place, waiting: [] })),
    );
  }

  close(slot: number): void {
    this.#lanes.delete(slot);
  }

  /** Records are taken in log order. */
  take(slot: number, partition: number, cursor: string): Taken {
    const taken = { slot, partition, cursor, done: false };
    this.#lane(slot, partition).waiting.push(taken);
    return taken;
  }

  /** Nothing of the slot is left up to the place that was not taken. */
  reached(slot: number, partition: number, place: string): void {
    const lane = this.#lane(slot, partition);
    lane.reached = place;
    if (lane.waiting.length === 0) lane.settled = place;
  }

  /** What was taken is of a history that is over: it goes on at the place, which may lie in front. */
  restart(slot: number, partition: number, place: string): void {
    const lanes = this.#lanes.get(slot) as Lane[];
    lanes[partition] = { settled: place, reached: place, waiting: [] };
  }

  done(taken: Taken): void {
    taken.done = true;
    const lane = this.#lanes.get(taken.slot)?.[taken.partition];
    if (lane === undefined) return;
    let count = 0;
    while (lane.waiting[count]?.done === true) lane.settled = (lane.waiting[count++] as Taken).cursor;
    if (count > 0) lane.waiting = lane.waiting.slice(count);
    if (lane.waiting.length === 0) lane.settled = lane.reached;
  }

  places(slot: number): readonly string[] {
    return (this.#lanes.get(slot) ?? []).map(({ settled }) => settled);
  }

  #lane(slot: number, partition: number): Lane {
    const lane = this.#lanes.get(slot)?.[partition];
    if (lane === undefined) throw new RangeError(`slot ${slot} of ${SLOTS} is not open in partition ${partition}`);
    return lane;
  }
}
