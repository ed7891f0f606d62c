/**
 * The entries of an id table in the order they came: a ring of chunks, 24 bytes an entry, that grows and shrinks by a
 * chunk at a time. An entry is named by its sequence number; knows nothing of how entries are found.
 */

/** Words of an entry: hash low, hash high, newest (low 32 bits), first (low 32), first (high 21), tag and mark. */
export const ENTRY_WORDS = 6;
/** 16,384 entries a chunk: 384 KiB are the most that is allocated at once. */
const CHUNK_BITS = 14;
const CHUNK_ENTRIES = 1 << CHUNK_BITS;

export class IdRing {
  readonly #chunks: Uint32Array[] = [];
  /** The oldest entry, and the next one to come. */
  oldest = 0;
  next = 0;
  /** The sequence number of the first entry of `#chunks[0]`. */
  #base = 0;

  /** The chunk that an entry lies in, at the word `wordOf` gives. */
  chunkOf(sequence: number): Uint32Array {
    return this.#chunks[(sequence - this.#base) >>> CHUNK_BITS] as Uint32Array;
  }

  /** Room for one more entry. */
  add(): number {
    const sequence = this.next++;
    if (wordOf(sequence) === 0) this.#chunks.push(new Uint32Array(CHUNK_ENTRIES * ENTRY_WORDS));
    return sequence;
  }

  /** Copies packed entries in, as much at once as a chunk takes. */
  addPacked(entries: Uint32Array): void {
    for (let from = 0; from < entries.length;) {
      const sequence = this.add();
      const to = wordOf(sequence);
      const words = Math.min(CHUNK_ENTRIES * ENTRY_WORDS - to, entries.length - from);
      this.chunkOf(sequence).set(entries.subarray(from, from + words), to);
      this.next += words / ENTRY_WORDS - 1;
      from += words;
    }
  }

  letGoOldest(): void {
    this.oldest++;
    if (this.oldest - this.#base < CHUNK_ENTRIES) return;
    this.#chunks.shift();
    this.#base += CHUNK_ENTRIES;
  }

  /** Each chunk with its words from the first entry held to behind the last, and the number of that first entry. */
  eachChunk(look: (chunk: Uint32Array, from: number, to: number, sequence: number) => void): void {
    for (let sequence = this.oldest; sequence < this.next;) {
      const from = wordOf(sequence);
      const entries = Math.min(CHUNK_ENTRIES - from / ENTRY_WORDS, this.next - sequence);
      look(this.chunkOf(sequence), from, from + entries * ENTRY_WORDS, sequence);
      sequence += entries;
    }
  }

  /** True when both entries have the same hash. */
  areCopies(one: number, other: number): boolean {
    const a = this.chunkOf(one);
    const b = this.chunkOf(other);
    return a[wordOf(one)] === b[wordOf(other)] && a[wordOf(one) + 1] === b[wordOf(other) + 1];
  }
}

/** Where an entry begins in its chunk. */
export function wordOf(sequence: number): number {
  return (sequence & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
}
