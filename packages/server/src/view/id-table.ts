/**
 * What the fold remembers of the last W positions: for each id, key and close the newest position it was seen at and
 * the answer of the first one. 24 bytes an entry and 8 to 16 in the index; `find` is exact within the window. Knows
 * hashes and numbers only.
 */
import { ENTRY_WORDS, IdRing, wordOf } from './id-ring.ts';

/** 64 shards, each growing alone, so that no append ever waits for a million entries to be indexed again. */
const SHARD_BITS = 6;
const SHARDS = 1 << SHARD_BITS;
const SHARD_SLOTS_MIN = 16;
/** An index slot is 22 bits of sequence number and 10 bits of the hash; zero is empty. */
const SEQUENCE_BITS = 22;
const SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1;
/** A position leaves two entries at most, and a copy of each after a restart: beyond it 22 bits could name two. */
const WINDOW_MAX = 1 << 20;

/** An entry as a number: valid until the next `put` or `advance`. */
export type EntryAt = number;

export const NOT_FOUND: EntryAt = -1;

export class IdTable {
  readonly window: number;
  readonly #ring = new IdRing();
  readonly #shards: Uint32Array[] = [];
  readonly #shardCounts = new Uint32Array(SHARDS);
  #journal = new Uint32Array(64 * ENTRY_WORDS);
  #journalWords = 0;

  constructor(window: number) {
    if (!(window >= 1 && window <= WINDOW_MAX)) throw new RangeError(`window must be 1 … ${WINDOW_MAX}, got ${window}`);
    this.window = window;
    for (let i = 0; i < SHARDS; i++) this.#shards.push(new Uint32Array(SHARD_SLOTS_MIN));
  }

  get size(): number {
    return this.#ring.next - this.#ring.oldest;
  }

  /** The entry with this hash that was seen at most `window` positions before `at`, or `NOT_FOUND`. */
  find(low: number, high: number, at: number): EntryAt {
    const entry = this.#entryOf(low, high);
    return entry !== NOT_FOUND && at - this.newest(entry, at) <= this.window ? entry : NOT_FOUND;
  }

  /** Remembers a hash first seen at `at`. An entry with this hash is replaced. */
  put(low: number, high: number, at: number, tag: number, mark: number): void {
    let entry = this.#entryOf(low, high);
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
    if (isNew) this.#index(low, high, entry);
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
    this.#indexAll();
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
    this.#unindex(entry, chunk[word] as number, chunk[word + 1] as number);
    this.#ring.letGoOldest();
  }

  /** An old entry that was seen again lately. */
  #moveToEnd(entry: EntryAt): void {
    const chunk = this.#ring.chunkOf(entry);
    const word = wordOf(entry);
    const low = chunk[word] as number;
    const high = chunk[word + 1] as number;
    if (this.#unindex(entry, low, high)) {
      const moved = this.#ring.add();
      this.#ring.chunkOf(moved).set(chunk.subarray(word, word + ENTRY_WORDS), wordOf(moved));
      this.#index(low, high, moved);
    }
    this.#ring.letGoOldest();
  }

  #sequenceOf(value: number): number {
    const { oldest } = this.#ring;
    return oldest + (((value & SEQUENCE_MASK) - oldest) & SEQUENCE_MASK);
  }

  #entryOf(low: number, high: number): EntryAt {
    const slot = this.#slotOf(low, high);
    return slot < 0 ? NOT_FOUND : this.#sequenceOf((this.#shards[shardOf(high)] as Uint32Array)[slot] as number);
  }

  /** Where the index holds this hash, or −1. Other hashes are told apart without a look into the ring, save 1 in 1,024. */
  #slotOf(low: number, high: number): number {
    const shard = this.#shards[shardOf(high)] as Uint32Array;
    const mask = shard.length - 1;
    const fragment = fragmentOf(low);
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const value = shard[slot] as number;
      if (value === 0) return -1;
      if (value >>> SEQUENCE_BITS !== fragment) continue;
      const sequence = this.#sequenceOf(value);
      const chunk = this.#ring.chunkOf(sequence);
      const word = wordOf(sequence);
      if (chunk[word] === low && chunk[word + 1] === high) return slot;
    }
  }

  #index(low: number, high: number, sequence: number): void {
    const which = shardOf(high);
    let shard = this.#shards[which] as Uint32Array;
    const count = (this.#shardCounts[which] as number) + 1;
    this.#shardCounts[which] = count;
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
    return this.#ring.chunkOf(sequence)[wordOf(sequence)] as number;
  }

  /** Takes an entry out of the index; false when a newer copy of it stands there. */
  #unindex(entry: EntryAt, low: number, high: number): boolean {
    const which = shardOf(high);
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

  /** Shard by shard, each small enough for the processor's cache: several times faster than entry by entry. */
  #indexAll(): void {
    const ends = new Uint32Array(SHARDS + 1);
    this.#ring.eachChunk((chunk, from, to) => countShards(chunk, from, to, ends));
    for (let shard = 0; shard < SHARDS; shard++)
      ends[shard + 1] = (ends[shard + 1] as number) + (ends[shard] as number);
    const sorted = new Uint32Array(2 * this.size);
    const filled = ends.slice();
    const { oldest } = this.#ring;
    this.#ring.eachChunk((chunk, from, to, first) => sortByShard(chunk, from, to, first - oldest, filled, sorted));
    for (let shard = 0; shard < SHARDS; shard++) {
      const first = ends[shard] as number;
      const end = ends[shard + 1] as number;
      this.#shards[shard] = new Uint32Array(Math.max(SHARD_SLOTS_MIN, 2 ** Math.ceil(Math.log2(2 * (end - first)))));
      for (let i = first; i < end; i++) {
        this.#indexNewer(shard, oldest + (sorted[2 * i] as number), sorted[2 * i + 1] as number);
      }
    }
  }

  /** Puts an entry into the index in place of an older copy of it; looks into the ring only where there may be one. */
  #indexNewer(which: number, sequence: number, low: number): void {
    const shard = this.#shards[which] as Uint32Array;
    const mask = shard.length - 1;
    const value = slotValue(low, sequence);
    const fragment = fragmentOf(low);
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const there = shard[slot] as number;
      if (there === 0) {
        shard[slot] = value;
        this.#shardCounts[which] = (this.#shardCounts[which] as number) + 1;
        return;
      }
      if (there >>> SEQUENCE_BITS === fragment && this.#ring.areCopies(this.#sequenceOf(there), sequence)) {
        shard[slot] = value;
        return;
      }
    }
  }
}

function shardOf(high: number): number {
  return high >>> (32 - SHARD_BITS);
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

function countShards(chunk: Uint32Array, from: number, to: number, ends: Uint32Array): void {
  for (let word = from; word < to; word += ENTRY_WORDS) {
    const next = shardOf(chunk[word + 1] as number) + 1;
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
    const shard = shardOf(chunk[word + 1] as number);
    const at = filled[shard] as number;
    sorted[2 * at] = entry++;
    sorted[2 * at + 1] = chunk[word] as number;
    filled[shard] = at + 1;
  }
}
