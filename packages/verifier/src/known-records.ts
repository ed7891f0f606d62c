/** The records of one channel that are known to exist, in cursor order, inside a window. */
import { epochOf, lowerBound } from './cursor-order.ts';

/** A record known to exist. */
export interface Entry {
  readonly cursor: string;
  /** The record before it, as the first reader that was told so knew it. */
  prev: string | undefined;
  id: string | undefined;
  hash: string | undefined;
  acknowledged: boolean;
}

export class KnownRecords {
  /** Records up to here have left the window. */
  below = '';
  readonly #windowRecords: number;
  #entries: Entry[] = [];

  constructor(windowRecords: number) {
    this.#windowRecords = windowRecords;
  }

  get first(): Entry | undefined {
    return this.#entries[0];
  }

  get(cursor: string): Entry | undefined {
    const entry = this.#entries[lowerBound(this.#entries, cursor)];
    return entry?.cursor === cursor ? entry : undefined;
  }

  has(cursor: string): boolean {
    return this.get(cursor) !== undefined;
  }

  /** Those on both sides of a place; the second one may stand at it. */
  around(cursor: string): readonly Entry[] {
    const at = lowerBound(this.#entries, cursor);
    return this.#entries.slice(Math.max(0, at - 1), at + 1);
  }

  /** Takes one that was not known. */
  add(cursor: string): Entry {
    const entry: Entry = { cursor, prev: undefined, id: undefined, hash: undefined, acknowledged: false };
    const at = lowerBound(this.#entries, cursor);
    if (at === this.#entries.length) this.#entries.push(entry);
    else this.#entries.splice(at, 0, entry);
    return entry;
  }

  /** The known records strictly between two places. */
  between(after: string, before: string): readonly Entry[] {
    const end = lowerBound(this.#entries, before);
    let start = end;
    while (start > 0 && (this.#entries[start - 1] as Entry).cursor > after) start--;
    return start === end ? [] : this.#entries.slice(start, end);
  }

  /** The known records behind a place, as far as the window reaches. */
  after(place: string): readonly Entry[] {
    const at = lowerBound(this.#entries, place);
    return this.#entries
      .slice(this.#entries[at]?.cursor === place ? at + 1 : at)
      .filter(({ cursor }) => place === '' || epochOf(cursor) === epochOf(place));
  }

  /** Lets go of the oldest where there are too many; returns those. */
  retire(): readonly Entry[] {
    if (this.#entries.length <= 1.25 * this.#windowRecords) return [];
    const gone = this.#entries.splice(0, this.#entries.length - this.#windowRecords);
    this.below = (gone.at(-1) as Entry).cursor;
    return gone;
  }

  /** Forgets all of them; returns those. */
  clear(): readonly Entry[] {
    this.below = '';
    return this.#entries.splice(0);
  }
}
