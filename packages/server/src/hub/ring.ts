/**
 * The newest records of a followed channel, already encoded: the only hand-over there is (ARCHITECTURE.md, the ring).
 * A place inside it is caught up and live in one synchronous step. Bounded by records and by bytes.
 */
import type { VisibleRecord } from '../view/view.ts';

/** Records kept while nobody is joining. */
const RECORDS_MAX = 256;
/** Bytes kept, joining or not. */
const BYTES_MAX = 1024 * 1024;

export class Ring {
  /** Everything after this place, up to the newest, is in the ring. */
  base: string;
  bytes = 0;
  #records: VisibleRecord[] = [];
  /** Index of the oldest record kept; the array is compacted now and then instead of shifted each time. */
  #start = 0;
  #joined: { from: number; to: number; codec: string; chunk: Buffer } | undefined;

  /** @param base the channel's newest place at the moment its following began */
  constructor(base: string) {
    this.base = base;
  }

  get length(): number {
    return this.#records.length - this.#start;
  }

  /** The newest place. */
  get place(): string {
    return this.#records.at(-1)?.cursor ?? this.base;
  }

  /** Adds the newest records; while somebody joins (`pinned`) only the byte limit drops old ones. */
  push(records: readonly VisibleRecord[], pinned: boolean): void {
    for (const record of records) {
      this.#records.push(record);
      this.bytes += record.frame.length;
    }
    this.shrink(BYTES_MAX, pinned ? Number.POSITIVE_INFINITY : RECORDS_MAX);
  }

  /** Puts older records in front, up to the limits; they must end where the ring begins. */
  prefill(records: readonly VisibleRecord[]): void {
    const taken: VisibleRecord[] = [];
    let bytes = this.bytes;
    for (let i = records.length - 1; i >= 0; i--) {
      const record = records[i] as VisibleRecord;
      if (record.cursor > this.base) continue;
      if (taken.length + this.length >= RECORDS_MAX || bytes + record.frame.length > BYTES_MAX) break;
      taken.push(record);
      bytes += record.frame.length;
    }
    const oldest = taken.at(-1);
    // They may have been read before the ring let go of more: then something lies between them and it.
    if (oldest === undefined || taken[0]?.cursor !== this.base) return;
    this.#records = [...taken.reverse(), ...this.#records.slice(this.#start)];
    this.#start = 0;
    this.#joined = undefined;
    this.bytes = bytes;
    this.base = oldest.prev;
  }

  /** Drops the oldest until the limits hold; the newest record may stay alone even when it is over the byte limit. */
  shrink(bytesMax: number, recordsMax: number): void {
    while (this.length > recordsMax || (this.bytes > bytesMax && this.length > 1)) this.#dropOldest();
    if (this.#start > 1024 && this.#start * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#start);
      this.#start = 0;
      this.#joined = undefined;
    }
  }

  #dropOldest(): void {
    const record = this.#records[this.#start] as VisibleRecord;
    this.base = record.cursor;
    this.bytes -= record.frame.length;
    this.#start++;
  }

  /** Forgets everything: what follows begins at `place`. */
  reset(place: string): void {
    this.#records = [];
    this.#start = 0;
    this.#joined = undefined;
    this.bytes = 0;
    this.base = place;
  }

  /** True when everything after the place is here. */
  covers(place: string): boolean {
    return place >= this.base;
  }

  /** The newest record at or before the position; `undefined` when it lies before the ring. */
  atOrBefore(position: string): VisibleRecord | undefined {
    const index = this.#firstAfter((record) => record.position > position) - 1;
    return index < this.#start ? undefined : this.#records[index];
  }

  /** The N-th newest record, 1 being the newest; `undefined` when it lies before the ring. */
  nthNewest(n: number): VisibleRecord | undefined {
    return n > this.length ? undefined : this.#records[this.#records.length - n];
  }

  /** The records after a place that the ring covers. */
  after(place: string): readonly VisibleRecord[] {
    return this.#records.slice(this.#firstAfter((record) => record.cursor > place));
  }

  /**
   * The records after a place, as one chunk in a codec's form; `undefined` when there are none. The last chunk made is
   * kept: a crowd that comes back from the same place shares it.
   */
  chunkAfter(place: string, codec: { readonly name: string; record(frame: Buffer): Buffer }): Buffer | undefined {
    const from = this.#firstAfter((record) => record.cursor > place);
    const to = this.#records.length;
    if (from >= to) return undefined;
    const last = this.#joined;
    if (last !== undefined && last.from === from && last.to === to && last.codec === codec.name) return last.chunk;
    const frames: Buffer[] = [];
    for (let i = from; i < to; i++) frames.push(codec.record((this.#records[i] as VisibleRecord).frame));
    const chunk = frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames);
    this.#joined = { from, to, codec: codec.name, chunk };
    return chunk;
  }

  /** Index of the first record for which `isAfter` holds; records are in order. */
  #firstAfter(isAfter: (record: VisibleRecord) => boolean): number {
    let low = this.#start;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isAfter(this.#records[middle] as VisibleRecord)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
