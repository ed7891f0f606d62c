/**
 * What the view applied last: the place and tag of each physical record, so that the newest one it has in common with a
 * log that was rewound can be found.
 */
import { encodePositionNumber } from '@tideway/protocol';
import type { Position, Tag } from '../log/log.ts';
import { positionNumber, tagNumber, tagText } from './packed-place.ts';

/** A rewind of more is a view made anew. 12 bytes each. */
export const TRAIL_RECORDS = 16_384;

/** A physical record that was applied. */
export interface Place {
  readonly position: Position;
  readonly tag: Tag;
}

export class Trail {
  readonly #numbers = new Float64Array(TRAIL_RECORDS);
  readonly #tags = new Uint32Array(TRAIL_RECORDS);
  /** Where the next one goes, and how many there are. */
  #next = 0;
  #count = 0;

  get #newest(): number {
    return this.#count === 0 ? -1 : (this.#numbers[(this.#next || TRAIL_RECORDS) - 1] as number);
  }

  /** In order; what is there already is left out. */
  add(places: readonly Place[]): void {
    let newest = this.#newest;
    for (const { position, tag } of places) {
      const number = positionNumber(position);
      if (number <= newest) continue;
      newest = number;
      this.#numbers[this.#next] = number;
      this.#tags[this.#next] = tagNumber(tag);
      this.#next = (this.#next + 1) % TRAIL_RECORDS;
      this.#count = Math.min(TRAIL_RECORDS, this.#count + 1);
    }
  }

  /** Forgets what lies behind a place. */
  cutTo(position: Position): void {
    const number = positionNumber(position);
    while (this.#count > 0 && this.#newest > number) {
      this.#next = (this.#next || TRAIL_RECORDS) - 1;
      this.#count--;
    }
  }

  /** Oldest first. */
  places(): Place[] {
    return Array.from({ length: this.#count }, (_, i) => {
      const at = (this.#next - this.#count + i + TRAIL_RECORDS) % TRAIL_RECORDS;
      return {
        position: encodePositionNumber(this.#numbers[at] as number),
        tag: tagText(this.#tags[at] as number),
      };
    });
  }
}
