/**
 * What the fold remembers of the last W positions: for each id, key and close the newest position it was seen at and
 * the answer of the first one. 24 bytes an entry in a ring of chunks, 4 to 8 more in an index; it grows and shrinks
 * with use, and `find` is exact within the window. Knows hashes and numbers only.
 */

/** Words of an entry: hash low, hash high, newest (low 32 bits), first (low 32), first (high 21), tag and mark. */
const ENTRY_WORDS = 6;
/** 16,384 entries a chunk: 384 KiB are the most that is allocated at once. */
const CHUNK_BITS = 14;
const CHUNK_ENTRIES = 1 << CHUNK_BITS;
/** 64 shards, each growing alone, so that no append ever waits for a million entries to be hashed again. */
const SHARD_BITS = 6;
const SHARD_SLOTS_MIN = 16;
/** An index slot is 22 bits of sequence number and 10 bits of the hash; zero is empty. */
const SEQUENCE_BITS = 22;
const SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1;
/** Beyond it the 22 bits could name two entries of the ring. */
const WINDOW_MAX = 1 << 20;

/** An entry as a number: valid until the next `put` or `advance`. */
export type EntryAt = number;

export const NOT_FOUND: EntryAt = -1;

export class IdTable {
  readonly window: number;
  readonly #chunks: Uint32Array[] = [];
  readonly #shards: Uint32Array[] = [];
  readonly #shardCounts = new Uint32Array(1 << SHARD_BITS);
  /** Sequence numbers of the oldest entry and of the next one; `#chunks[0]` holds the oldest. */
  #oldest = 0;
  #next = 0;
  /** The sequence number of the first entry of `#chunks[0]`. */
  #base = 0;
  #journal = new Uint32Array(64 * ENTRY_WORDS);
  #journalWords = 0;

  constructor(window: number) {
    if (!(window >= 1 && window <= WINDOW_MAX)) throw new RangeError(`window must be 1 … ${WINDOW_MAX}, got ${window}`);
    this.window = window;
    for (let i = 0; i < 1 << SHARD_BITS; i++) this.#shards.push(new Uint32Array(SHARD_SLOTS_MIN));
  }

  get size(): number {
    return this.#next - this.#oldest;
  }

  /** The entry with this hash that was seen at most `window` positions before `at`, or `NOT_FOUND`. */
  find(low: number, high: number, at: number): EntryAt {
    const slot = this.#slotOf(low, high);
    if (slot < 0) return NOT_FOUND;
    const shard = this.#shards[high >>> (32 - SHARD_BITS)] as Uint32Array;
    const sequence = this.#sequenceOf(shard[slot] as number);
    return at - this.newest(sequence, at) <= this.window ? sequence : NOT_FOUND;
  }

  /** Remembers a hash first seen at `at`. An entry with this hash that left the window is replaced. */
  put(low: number, high: number, at: number, tag: number, mark: number): void {
    const slot = this.#slotOf(low, high);
    if (slot >= 0) {
      const shard = this.#shards[high >>> (32 - SHARD_BITS)] as Uint32Array;
      this.#write(this.#sequenceOf(shard[slot] as number), low, high, at, at, tag, mark);
      return;
    }
    this.#append(low, high, at, at, tag, mark);
  }

  /** The entry was seen again at `at`; its answer stays the first one's. */
  touch(entry: EntryAt, at: number): void {
    const chunk = this.#chunkOf(entry);
    const word = (entry & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
    chunk[word + 2] = at;
    this.#record(chunk, word);
  }

  /** Lets go of what left the window, two entries at most: call it for each position. */
  advance(at: number): void {
    for (let i = 0; i < 2 && this.#oldest < this.#next; i++) {
      const entry = this.#oldest;
      if (at - this.newest(entry, at) > this.window) this.#drop(entry);
      else if (at - this.first(entry) > this.window) this.#moveToEnd(entry);
      else return;
    }
  }

  first(entry: EntryAt): number {
    const chunk = this.#chunkOf(entry);
    const word = (entry & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
    return (chunk[word + 4] as number) * 2 ** 32 + (chunk[word + 3] as number);
  }

  /** Only the low 32 bits are kept: `advance` lets nothing grow older than that. */
  newest(entry: EntryAt, at: number): number {
    return newestOf(this.#chunkOf(entry)[(entry & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS + 2] as number, at);
  }

  tag(entry: EntryAt): number {
    return (this.#chunkOf(entry)[(entry & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS + 5] as number) & 0xffffff;
  }

  mark(entry: EntryAt): number {
    return (this.#chunkOf(entry)[(entry & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS + 5] as number) >>> 24;
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
    for (const journal of journals) this.#takeIn(journal, at);
    this.#indexAll();
  }

  /** Copies what is in the window into the ring, as much at once as a chunk takes. */
  #takeIn(journal: Uint32Array, at: number): void {
    let from = 0;
    while (from < journal.length && at - newestOf(journal[from + 2] as number, at) > this.window) from += ENTRY_WORDS;
    while (from < journal.length) {
      const sequence = this.#nextSequence();
      const free = CHUNK_ENTRIES - (sequence & (CHUNK_ENTRIES - 1));
      const entries = Math.min(free, (journal.length - from) / ENTRY_WORDS);
      const to = (sequence & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
      this.#chunkOf(sequence).set(journal.subarray(from, from + entries * ENTRY_WORDS), to);
      this.#next += entries - 1;
      from += entries * ENTRY_WORDS;
    }
  }

  /** Shard by shard, each small enough for the processor's cache: several times faster than entry by entry. */
  #indexAll(): void {
    const shards = 1 << SHARD_BITS;
    const ends = new Uint32Array(shards + 1);
    this.#eachChunk((chunk, from, to) => countShards(chunk, from, to, ends));
    for (let shard = 0; shard < shards; shard++)
      ends[shard + 1] = (ends[shard + 1] as number) + (ends[shard] as number);
    const sorted = new Uint32Array(2 * this.size);
    const filled = ends.slice();
    this.#eachChunk((chunk, from, to, sequence) =>
      sortByShard(chunk, from, to, sequence - this.#oldest, filled, sorted),
    );
    for (let shard = 0; shard < shards; shard++) {
      const first = ends[shard] as number;
      const end = ends[shard + 1] as number;
      this.#shards[shard] = new Uint32Array(Math.max(SHARD_SLOTS_MIN, 2 ** Math.ceil(Math.log2(2 * (end - first)))));
      for (let i = first; i < end; i++) {
        this.#indexNewer(shard, this.#oldest + (sorted[2 * i] as number), sorted[2 * i + 1] as number);
      }
    }
  }

  /** Each chunk with its words from the first entry held to the last, and the number of that first entry. */
  #eachChunk(look: (chunk: Uint32Array, from: number, to: number, sequence: number) => void): void {
    for (let sequence = this.#oldest; sequence < this.#next;) {
      const entry = sequence & (CHUNK_ENTRIES - 1);
      const entries = Math.min(CHUNK_ENTRIES - entry, this.#next - sequence);
      look(this.#chunkOf(sequence), entry * ENTRY_WORDS, (entry + entries) * ENTRY_WORDS, sequence);
      sequence += entries;
    }
  }

  /** Puts an entry into the index in place of an older copy of it; looks into the ring only where there may be one. */
  #indexNewer(which: number, sequence: number, low: number): void {
    const shard = this.#shards[which] as Uint32Array;
    const mask = shard.length - 1;
    const value = slotValue(low, sequence);
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const there = shard[slot] as number;
      if (there === 0) {
        shard[slot] = value;
        this.#shardCounts[which] = (this.#shardCounts[which] as number) + 1;
        return;
      }
      if (there >>> SEQUENCE_BITS === value >>> SEQUENCE_BITS && this.#isCopy(this.#sequenceOf(there), sequence)) {
        shard[slot] = value;
        return;
      }
    }
  }

  #isCopy(older: number, newer: number): boolean {
    const a = this.#chunkOf(older);
    const b = this.#chunkOf(newer);
    const inA = (older & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
    const inB = (newer & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
    return a[inA] === b[inB] && a[inA + 1] === b[inB + 1];
  }

  #chunkOf(sequence: number): Uint32Array {
    return this.#chunks[(sequence - this.#base) >>> CHUNK_BITS] as Uint32Array;
  }

  #write(sequence: number, low: number, high: number, newest: number, first: number, tag: number, mark: number): void {
    const chunk = this.#chunkOf(sequence);
    const word = (sequence & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
    chunk[word] = low;
    chunk[word + 1] = high;
    chunk[word + 2] = newest;
    chunk[word + 3] = first;
    chunk[word + 4] = first / 2 ** 32;
    chunk[word + 5] = (tag | (mark << 24)) >>> 0;
    this.#record(chunk, word);
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

  /** Room for one more entry in the ring. */
  #nextSequence(): number {
    const sequence = this.#next++;
    if ((sequence & (CHUNK_ENTRIES - 1)) === 0) this.#chunks.push(new Uint32Array(CHUNK_ENTRIES * ENTRY_WORDS));
    return sequence;
  }

  #append(low: number, high: number, newest: number, first: number, tag: number, mark: number): void {
    const sequence = this.#nextSequence();
    this.#write(sequence, low, high, newest, first, tag, mark);
    this.#index(low, high, sequence);
  }

  #index(low: number, high: number, sequence: number): void {
    const which = high >>> (32 - SHARD_BITS);
    let shard = this.#shards[which] as Uint32Array;
    const count = ((this.#shardCounts[which] as number) += 1);
    if (count * 2 > shard.length) shard = this.#grow(which);
    place(shard, low, slotValue(low, sequence));
  }

  #grow(which: number): Uint32Array {
    const old = this.#shards[which] as Uint32Array;
    const larger = new Uint32Array(old.length * 2);
    for (const value of old) if (value !== 0) place(larger, this.#lowOf(this.#sequenceOf(value)), value);
    this.#shards[which] = larger;
    return larger;
  }

  #lowOf(sequence: number): number {
    return this.#chunkOf(sequence)[(sequence & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS] as number;
  }

  #sequenceOf(value: number): number {
    return this.#oldest + (((value & SEQUENCE_MASK) - this.#oldest) & SEQUENCE_MASK);
  }

  /** Where the index holds this hash, or −1. Other hashes are told apart without a look into the ring, save 1 in 1,024. */
  #slotOf(low: number, high: number): number {
    const shard = this.#shards[high >>> (32 - SHARD_BITS)] as Uint32Array;
    const mask = shard.length - 1;
    const fragment = fragmentOf(low);
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const value = shard[slot] as number;
      if (value === 0) return -1;
      if (value >>> SEQUENCE_BITS !== fragment) continue;
      const sequence = this.#sequenceOf(value);
      const chunk = this.#chunkOf(sequence);
      const word = (sequence & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
      if (chunk[word] === low && chunk[word + 1] === high) return slot;
    }
  }

  #drop(entry: EntryAt): void {
    const chunk = this.#chunkOf(entry);
    const word = (entry & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
    this.#unindex(entry, chunk[word] as number, chunk[word + 1] as number);
    this.#letGoOldest();
  }

  #moveToEnd(entry: EntryAt): void {
    const chunk = this.#chunkOf(entry);
    const word = (entry & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
    const low = chunk[word] as number;
    const high = chunk[word + 1] as number;
    if (this.#unindex(entry, low, high)) {
      const sequence = this.#nextSequence();
      const to = (sequence & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
      this.#chunkOf(sequence).set(chunk.subarray(word, word + ENTRY_WORDS), to);
      this.#index(low, high, sequence);
    }
    this.#letGoOldest();
  }

  #letGoOldest(): void {
    this.#oldest++;
    if (this.#oldest - this.#base < CHUNK_ENTRIES) return;
    this.#chunks.shift();
    this.#base += CHUNK_ENTRIES;
  }

  /** Takes an entry out of the index; false when a newer copy of it stands there. */
  #unindex(entry: EntryAt, low: number, high: number): boolean {
    const which = high >>> (32 - SHARD_BITS);
    const shard = this.#shards[which] as Uint32Array;
    const mask = shard.length - 1;
    let hole = this.#slotOf(low, high);
    if (hole < 0 || this.#sequenceOf(shard[hole] as number) !== entry) return false;
    this.#shardCounts[which] = (this.#shardCounts[which] as number) - 1;
    // Linear probing without tombstones: what stands behind the hole moves up unless it is already at or after its home.
    for (let slot = (hole + 1) & mask; ; slot = (slot + 1) & mask) {
      const value = shard[slot] as number;
      if (value === 0) break;
      const home = this.#lowOf(this.#sequenceOf(value)) & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      shard[hole] = value;
      hole = slot;
    }
    shard[hole] = 0;
    return true;
  }
}

function countShards(chunk: Uint32Array, from: number, to: number, ends: Uint32Array): void {
  for (let word = from; word < to; word += ENTRY_WORDS) {
    const next = ((chunk[word + 1] as number) >>> (32 - SHARD_BITS)) + 1;
    ends[next] = (ends[next] as number) + 1;
  }
}

function sortByShard(
  chunk: Uint32Array,
  from: number,
  to: number,
  first: number,
  filled: Uint32Array,
  sorted: Uint32Array,
): void {
  let entry = first;
  for (let word = from; word < to; word += ENTRY_WORDS) {
    const shard = (chunk[word + 1] as number) >>> (32 - SHARD_BITS);
    const at = filled[shard] as number;
    sorted[2 * at] = entry++;
    sorted[2 * at + 1] = chunk[word] as number;
    filled[shard] = at + 1;
  }
}

function newestOf(low: number, at: number): number {
  return at - (((at >>> 0) - low) >>> 0);
}

function fragmentOf(low: number): number {
  return low >>> SEQUENCE_BITS || 1;
}

function slotValue(low: number, sequence: number): number {
  return ((fragmentOf(low) << SEQUENCE_BITS) | (sequence & SEQUENCE_MASK)) >>> 0;
}

function place(shard: Uint32Array, low: number, value: number): void {
  const mask = shard.length - 1;
  let slot = low & mask;
  while (shard[slot] !== 0) slot = (slot + 1) & mask;
  shard[slot] = value;
}
