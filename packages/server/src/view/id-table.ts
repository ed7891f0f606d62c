/**
 * What the fold remembers of the last W positions: for each id, key and close the newest position it was seen at and
 * the answer of the first one. 24 bytes an entry and 8 to 16 in the index; `find` is exact within the window. Knows
 * hashes and numbers only.
 */
import { IdIndex } from './id-index.ts';
import { ENTRY_WORDS, IdRing, wordOf } from './id-ring.ts';

/** A position leaves two entries at most, and a copy of each after a restart: beyond it 22 bits could name two. */
const WINDOW_MAX = 1 << 20;

/** An entry as a number: valid until the next `put` or `advance`. */
export type EntryAt = number;

export const NOT_FOUND: EntryAt = -1;

export class IdTable {
  readonly window: number;
  readonly #ring = new IdRing();
  readonly #index = new IdIndex(this.#ring);
  #journal = new Uint32Array(64 * ENTRY_WORDS);
  #journalWords = 0;

  constructor(window: number) {
    if (!(window >= 1 && window <= WINDOW_MAX)) throw new RangeError(`window must be 1 … ${WINDOW_MAX}, got ${window}`);
    this.window = window;
  }

  get size(): number {
    return this.#ring.next - this.#ring.oldest;
  }

  /** The entry with this hash that was seen at most `window` positions before `at`, or `NOT_FOUND`. */
  find(low: number, high: number, at: number): EntryAt {
    const entry = this.#index.find(low, high);
    return entry !== NOT_FOUND && at - this.newest(entry, at) <= this.window ? entry : NOT_FOUND;
  }

  /** Remembers a hash first seen at `at`. An entry with this hash is replaced. */
  put(low: number, high: number, at: number, tag: number, mark: number): void {
    let entry = this.#index.find(low, high);
    const isNew = entry === NOT_FOUND;
    if (isNew) entry = this.#ring.add();
    const chunk = this.#ring.chunkOf(entry);
    const word = wordOf(entry);
    chunk[word] = low;
    chunk[word + 1] = high;
    chunk[word + 2] = at;
    chunk[word + 3] = at;
    chunk[word + 4] = at / 2 ** 32;
    chunk[word + 5] = (tag | (mark << 24)) >>> 0;
    this.#record(chunk, word);
    if (isNew) this.#index.add(low, high, entry);
  }

  /** The entry was seen again at `at`; its answer stays the first one's. */
  touch(entry: EntryAt, at: number): void {
    const chunk = this.#ring.chunkOf(entry);
    const word = wordOf(entry);
    chunk[word + 2] = at;
    this.#record(chunk, word);
  }

  /** Lets go of what left the window, two entries at most: call it for each position. */
  advance(at: number): void {
    for (let i = 0; i < 2 && this.size > 0; i++) {
      const entry = this.#ring.oldest;
      if (at - this.newest(entry, at) > this.window) this.#drop(entry);
      else if (at - this.first(entry) > this.window) this.#moveToEnd(entry);
      else return;
    }
  }

  first(entry: EntryAt): number {
    const chunk = this.#ring.chunkOf(entry);
    const word = wordOf(entry);
    return (chunk[word + 4] as number) * 2 ** 32 + (chunk[word + 3] as number);
  }

  /** Only the low 32 bits are kept: `advance` lets nothing grow older than that. */
  newest(entry: EntryAt, at: number): number {
    return newestOf(this.#ring.chunkOf(entry)[wordOf(entry) + 2] as number, at);
  }

  tag(entry: EntryAt): number {
    return (this.#ring.chunkOf(entry)[wordOf(entry) + 5] as number) & 0xffffff;
  }

  mark(entry: EntryAt): number {
    return (this.#ring.chunkOf(entry)[wordOf(entry) + 5] as number) >>> 24;
  }

  /** Everything put or touched since the last call, packed: what `load` takes. */
  takeJournal(): Uint32Array {
    const taken = this.#journal.slice(0, this.#journalWords);
    this.#journalWords = 0;
    return taken;
  }

  /**
   * Takes journals back, oldest first, into a table that is still empty; `at` is the newest position of any of them. An
   * entry that was journaled again stays in the ring twice until the older copy is let go of.
   */
  load(journals: readonly Uint32Array[], at: number): void {
    for (const journal of journals) {
      let from = 0;
      while (from < journal.length && at - newestOf(journal[from + 2] as number, at) > this.window) from += ENTRY_WORDS;
      this.#ring.addPacked(journal.subarray(from));
    }
    this.#index.addAll();
  }

  #record(chunk: Uint32Array, word: number): void {
    if (this.#journalWords + ENTRY_WORDS > this.#journal.length) {
      const larger = new Uint32Array(this.#journal.length * 2);
      larger.set(this.#journal);
      this.#journal = larger;
    }
    const journal = this.#journal;
    const at = this.#journalWords;
    for (let i = 0; i < ENTRY_WORDS; i++) journal[at + i] = chunk[word + i] as number;
    this.#journalWords = at + ENTRY_WORDS;
  }

  #drop(entry: EntryAt): void {
    const chunk = this.#ring.chunkOf(entry);
    const word = wordOf(entry);
    this.#index.remove(entry, chunk[word] as number, chunk[word + 1] as number);
    this.#ring.letGoOldest();
  }

  /** An old entry that was seen again lately. */
  #moveToEnd(entry: EntryAt): void {
    const chunk = this.#ring.chunkOf(entry);
    const word = wordOf(entry);
    const low = chunk[word] as number;
    const high = chunk[word + 1] as number;
    if (this.#index.remove(entry, low, high)) {
      const moved = this.#ring.add();
      this.#ring.chunkOf(moved).set(chunk.subarray(word, word + ENTRY_WORDS), wordOf(moved));
      this.#index.add(low, high, moved);
    }
    this.#ring.letGoOldest();
  }
}

/** Of a journal taken when `at` was the newest position, what was noted up to another position. */
export function entriesUpTo(
  journal: Uint32Array,
  { at, upTo }: { readonly at: number; readonly upTo: number },
): Uint32Array {
  const kept = new Uint32Array(journal.length);
  let end = 0;
  for (let from = 0; from < journal.length; from += ENTRY_WORDS) {
    if (newestOf(journal[from + 2] as number, at) > upTo) continue;
    kept.set(journal.subarray(from, from + ENTRY_WORDS), end);
    end += ENTRY_WORDS;
  }
  return kept.subarray(0, end);
}

function newestOf(low: number, at: number): number {
  return at - (((at >>> 0) - low) >>> 0);
}
