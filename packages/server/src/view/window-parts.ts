/**
 * The fold's window in the store: each write adds a small part; parts are joined as they gather and deleted once they
 * are older than the window, so that a start reads a few hundred values and no segment.
 */
import type { Position } from '../log/log.ts';
import { positionNumber } from './packed-place.ts';
import { decodeWindow, encodeWindow, windowKey, windowRange } from './store-keys.ts';
import type { StoreKey, StoreOp, StoreRange, StoreScan } from './store.ts';

/** Parts are joined when there are this many small ones, or when they hold this many entries (196 KiB). */
const SMALL_PARTS_MAX = 256;
const JOINED_WORDS = 8_192 * 6;
const LOAD_BYTES = 8 * 1024 * 1024;

interface Part {
  readonly key: StoreKey;
  /** Its newest record. */
  readonly at: number;
  /** When its first record was written. */
  readonly firstMs: number;
}

export class WindowParts {
  readonly #window: number;
  readonly #kept: number;
  /** Oldest first; the last `#small.length` of them are still to be joined. */
  #parts: Part[] = [];
  #small: Uint32Array[] = [];
  #smallWords = 0;

  /** @param kept how much longer than the window a part stays in the store, for who goes back so far */
  constructor(window: number, kept = 0) {
    this.#window = window;
    this.#kept = kept;
  }

  /** Reads the parts back that reach into the window behind `at`, oldest first. */
  async load(scan: (range: StoreRange) => Promise<StoreScan>, at: number): Promise<Uint32Array[]> {
    const journals: Uint32Array[] = [];
    let after = 'w';
    for (;;) {
      const { entries, end } = await scan(windowRange(after, LOAD_BYTES));
      for (const { key, value } of entries) {
        const { firstMs, journal } = decodeWindow(value);
        const part = { key, at: positionNumber(key.slice(1)), firstMs };
        if (at - part.at <= this.#window) journals.push(journal);
        this.#parts.push(part);
        // What was small before the stop is joined with what comes: the last parts are read as small ones.
        this.#small.push(journal);
        this.#smallWords += journal.length;
        if (journal.length >= JOINED_WORDS || this.#small.length >= SMALL_PARTS_MAX) this.#forgetSmall();
        after = key;
      }
      if (end) return journals;
    }
  }

  /** The ops that put a journal into the store beside `position`, and let go of what left the window. */
  add(position: Position, firstMs: number, journal: Uint32Array): StoreOp[] {
    const at = positionNumber(position);
    const ops: StoreOp[] = [];
    while (this.#parts.length > 0 && at - (this.#parts[0] as Part).at > this.#window + this.#kept) {
      ops.push({ type: 'del', key: (this.#parts.shift() as Part).key });
      if (this.#parts.length < this.#small.length) this.#smallWords -= (this.#small.shift() as Uint32Array).length;
    }
    if (journal.length === 0) return ops;
    this.#small.push(journal);
    this.#smallWords += journal.length;
    let part: Part = { key: windowKey(position), at, firstMs };
    let value = journal;
    if (this.#small.length > SMALL_PARTS_MAX || this.#smallWords >= JOINED_WORDS) {
      const joined = this.#parts.splice(this.#parts.length - (this.#small.length - 1));
      for (const { key } of joined) ops.push({ type: 'del', key });
      part = { ...part, firstMs: joined[0]?.firstMs ?? firstMs };
      value = concat(this.#small, this.#smallWords);
      this.#forgetSmall();
    }
    this.#parts.push(part);
    ops.push({ type: 'put', key: part.key, value: encodeWindow(part.firstMs, value) });
    return ops;
  }

  /** When the oldest record was written that the window surely reaches back to; `undefined` when there is none. */
  oldestMs(at: number): number | undefined {
    const first = this.#parts.findIndex((part) => at - part.at <= this.#window);
    // The first one may have begun before the window: what lies behind it is inside.
    return (this.#parts[first + 1] ?? this.#parts[first])?.firstMs;
  }

  #forgetSmall(): void {
    this.#small = [];
    this.#smallWords = 0;
  }
}

function concat(parts: readonly Uint32Array[], words: number): Uint32Array {
  const whole = new Uint32Array(words);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
