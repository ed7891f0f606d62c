/**
 * Which visible record stands where: what makes one order of all channels of a partition. Each write of the view adds
 * one part, which lists the records it carries with each channel's name once; a record costs about eight bytes. What
 * is not written yet is listed from the overlays.
 */
import { encodePositionNumber } from '@tideway/protocol';
import type { Position, Tag } from '../log/log.ts';
import type { Channel } from './channels.ts';
import { positionNumber, tagNumber, tagOf, tagText } from './packed-place.ts';
import { FEED_END, FEED_START, feedKey } from './store-keys.ts';
import { StoreError, type StoreOp, type StoreRange, type StoreScan } from './store.ts';

/** A visible record of the partition. */
export interface FeedEntry {
  readonly position: Position;
  readonly tag: Tag;
  readonly channel: string;
  /** The size of its frame. */
  readonly bytes: number;
}

/** Parts that one scan brings at most. */
const SCAN = { limit: 256, bytes: 256 * 1024 };
/** A number of 53 bits in digits of 7. */
const VARINT_BYTES_MAX = 8;
const TAG_BYTES = 3;

export class FeedIndex {
  /** Behind this position every visible record is listed. */
  base: Position;
  readonly #scan: (range: StoreRange) => Promise<StoreScan>;

  constructor(base: Position, scan: (range: StoreRange) => Promise<StoreScan>) {
    this.base = base;
    this.#scan = scan;
  }

  /** What the store lists behind a position, in order: a list for each scan, with the bytes that were read for it. */
  async *after(position: Position): AsyncGenerator<{ readonly entries: readonly FeedEntry[]; readonly bytes: number }> {
    for (let gt = feedKey(position); ;) {
      const { entries, end } = await this.#scan({ gt, lt: FEED_END, ...SCAN });
      const listed: FeedEntry[] = [];
      let bytes = 0;
      for (const { key, value } of entries) {
        for (const entry of decodeFeedPart(value)) if (entry.position > position) listed.push(entry);
        bytes += value.length;
        gt = key;
      }
      yield { entries: listed, bytes };
      if (end) return;
    }
  }

  /** The newest record in the store at or before a position. */
  async newestAt(position: Position): Promise<FeedEntry | undefined> {
    const around = await this.#scan({ gte: feedKey(position), lt: FEED_END, limit: 1, bytes: SCAN.bytes });
    const inside = newestOf(around, position);
    if (inside !== undefined) return inside;
    const before = { gt: FEED_START, lt: feedKey(position), reverse: true, limit: 1, bytes: SCAN.bytes };
    return newestOf(await this.#scan(before), position);
  }

  /**
   * Lets go of what the log no longer holds: from now on nothing at or below `oldest` is listed.
   *
   * @param write puts ops into the view's next write, and waits for it
   */
  async clear(oldest: Position, write: (ops: readonly StoreOp[]) => Promise<void>): Promise<void> {
    if (oldest > this.base) this.base = oldest;
    const lt = `${feedKey(this.base)}!`;
    for (let gt = FEED_START; ;) {
      const { entries, end } = await this.#scan({ gt, lt, ...SCAN });
      if (entries.length > 0) await write(entries.map(({ key }) => ({ type: 'del', key })));
      gt = entries.at(-1)?.key ?? gt;
      if (end) return;
    }
  }
}

function newestOf({ entries }: StoreScan, position: Position): FeedEntry | undefined {
  const value = entries[0]?.value;
  return value === undefined ? undefined : decodeFeedPart(value).findLast((entry) => entry.position <= position);
}

/** What channels hold in their overlays, in log order. */
export function listYoung(channels: Iterable<Channel>): FeedEntry[] {
  const entries: FeedEntry[] = [];
  for (const { name, young } of channels) {
    for (const { position, cursor, frame } of young)
      entries.push({ position, tag: tagOf(cursor), channel: name, bytes: frame.length });
  }
  return entries.sort(inOrder);
}

/** The op that lists what the overlays of these channels hold; `undefined` where that is nothing. */
export function encodeFeedPart(channels: readonly Channel[]): StoreOp | undefined {
  let bytesMax = 0;
  let last = '';
  for (const { name, young } of channels) {
    const newest = young.at(-1);
    if (newest === undefined) continue;
    bytesMax += 2 * VARINT_BYTES_MAX + name.length + young.length * (2 * VARINT_BYTES_MAX + TAG_BYTES);
    if (newest.position > last) last = newest.position;
  }
  if (bytesMax === 0) return undefined;
  const writer = new PartWriter(bytesMax);
  for (const { name, young } of channels) {
    if (young.length === 0) continue;
    writer.begin(name, young.length);
    for (const { position, cursor, frame } of young) writer.entry(position, frame.length, tagOf(cursor));
  }
  return { type: 'put', key: feedKey(last), value: writer.value() };
}

/** The op that lists what a part lists up to a position; `undefined` where that is nothing. */
export function cutFeedPart(value: Buffer, upTo: Position): StoreOp | undefined {
  const kept = decodeFeedPart(value).filter(({ position }) => position <= upTo);
  const last = kept.at(-1);
  if (last === undefined) return undefined;
  // A part grows by nothing when it loses records.
  const writer = new PartWriter(value.length + VARINT_BYTES_MAX);
  for (const [channel, entries] of Map.groupBy(kept, (entry) => entry.channel)) {
    writer.begin(channel, entries.length);
    for (const { position, bytes, tag } of entries) writer.entry(position, bytes, tag);
  }
  return { type: 'put', key: feedKey(last.position), value: writer.value() };
}

/** The records that a part lists, in log order. Throws a `StoreError` where it is none. */
export function decodeFeedPart(value: Buffer): FeedEntry[] {
  const entries: FeedEntry[] = [];
  const reader = new PartReader(value);
  while (!reader.isAtEnd) {
    const channel = reader.text();
    let position = 0;
    for (let count = reader.number(); count > 0; count--) {
      position += reader.number();
      const bytes = reader.number();
      entries.push({ position: encodePositionNumber(position), tag: tagText(reader.tag()), channel, bytes });
    }
  }
  return entries.sort(inOrder);
}

/** Positions compare as text (PROTOCOL.md CUR-3), and no two are equal. */
function inOrder(a: FeedEntry, b: FeedEntry): number {
  return a.position < b.position ? -1 : 1;
}

class PartWriter {
  readonly #bytes: Buffer;
  #at = 0;
  /** Where the channel's last record stands. */
  #before = 0;

  constructor(bytesMax: number) {
    this.#bytes = Buffer.allocUnsafe(bytesMax);
  }

  /** A channel's name, and how many of its records come next. */
  begin(name: string, records: number): void {
    this.#number(name.length);
    this.#at += this.#bytes.write(name, this.#at, 'latin1');
    this.#number(records);
    this.#before = 0;
  }

  /** How far behind the one before it a record stands, its size and its tag. */
  entry(position: Position, bytes: number, tag: Tag): void {
    const number = positionNumber(position);
    this.#number(number - this.#before);
    this.#number(bytes);
    this.#at = this.#bytes.writeUIntBE(tagNumber(tag), this.#at, TAG_BYTES);
    this.#before = number;
  }

  value(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#at));
  }

  /** Digits of 7 bits, least significant first; the highest bit says that another follows. */
  #number(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }
}

class PartReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  text(): string {
    const length = this.number();
    this.#at += length;
    return this.#bytes.toString('latin1', this.#at - length, this.#at);
  }

  number(): number {
    let value = 0;
    for (let unit = 1; ; unit *= 0x80) {
      const digit = this.#bytes[this.#at++];
      if (digit === undefined) throw new StoreError('damaged', "a part of the view's feed ends too soon");
      value += (digit % 0x80) * unit;
      if (digit < 0x80) return value;
    }
  }

  tag(): number {
    const at = this.#at;
    this.#at += TAG_BYTES;
    if (this.#at > this.#bytes.length) throw new StoreError('damaged', "a part of the view's feed ends too soon");
    return this.#bytes.readUIntBE(at, TAG_BYTES);
  }
}
