/**
 * Where the view keeps what in its store, and in which form. One letter a kind: `a` what was applied, `f` parts of the
 * feed, `m` a channel's meta, `r` a channel's runs, `s` a mark of each of the last writes, `w` the fold's window.
 */
import type { HashKey } from './keyed-hash.ts';
import { StoreError, type StoreKey, type StoreRange } from './store.ts';
import type { Position, Tag } from '../log/log.ts';

export const APPLIED_KEY: StoreKey = 'a';

/** How far the store has come: part of every write. */
export interface Applied {
  readonly epoch: string;
  /** The last physical record folded. */
  readonly position: Position;
  readonly tag: Tag;
  /** Counts the writes, so that a lost one is noticed. */
  readonly serial: number;
  /** Below it no channel's records are known: the place where the log began, or what was forgotten. */
  readonly base: Position;
  /** Behind this place the feed lists every visible record; absent in a store of before there was one. */
  readonly feedBase?: Position;
  /** What the fold's start is unsure about ends here; undefined where the log was read from its beginning. */
  readonly start: { readonly position: Position; readonly span: number } | undefined;
  /** Keeps the hashes in the window meaningful. */
  readonly hashKey: HashKey;
  /** The wall clock at this write. */
  readonly nowMs: number;
}

/** No write is smaller, so that few of them are outside of the store's tables at once (write-marks.ts). */
export const WRITE_BYTES_MIN = 2_048;

export function encodeApplied(applied: Applied): Buffer {
  return Buffer.from(JSON.stringify(applied).padEnd(WRITE_BYTES_MIN));
}

export function decodeApplied(value: Buffer): Applied {
  return parse(value) as Applied;
}

/** What outlives a channel's records: so that who was there before resumes without a false alarm. */
export interface ChannelMeta {
  /** The cursor of the newest visible record, also where that was trimmed. */
  head: string | undefined;
  /** The place after which every visible record is held. */
  floor: string;
  closed: boolean;
  /** What is held above the floor. */
  records: number;
  bytes: number;
  /** Runs behind this position may not be full: about how many, with about how many records. */
  looseAfter: Position;
  looseRuns: number;
  looseRecords: number;
  /** No record held is older than this; 0 where none is held. */
  oldestMs: number;
  /** When it last changed, by this node's clock. */
  changedMs: number;
  /** Runs at or below the floor may still be in the store. */
  unswept: boolean;
}

export function metaKey(channel: string): StoreKey {
  return `m${channel}`;
}

export function metaRange(afterChannel: string, limit: number): StoreRange {
  return { gt: metaKey(afterChannel), lt: 'n', limit, bytes: Number.POSITIVE_INFINITY };
}

export function channelOfMetaKey(key: StoreKey): string {
  return key.slice(1);
}

/** Cursors lie there without their epoch, which is the store's. */
export function encodeMeta(meta: ChannelMeta): Buffer {
  return Buffer.from(
    JSON.stringify([
      meta.head === undefined ? '' : meta.head.slice(EPOCH_LENGTH),
      meta.floor.slice(EPOCH_LENGTH),
      (meta.closed ? 1 : 0) + (meta.unswept ? 2 : 0),
      meta.records,
      meta.bytes,
      meta.looseAfter,
      meta.looseRuns,
      meta.looseRecords,
      meta.oldestMs,
      meta.changedMs,
    ]),
  );
}

const EPOCH_LENGTH = 6;

export function decodeMeta(epoch: string, value: Buffer): ChannelMeta {
  const [head, floor, flags, records, bytes, looseAfter, looseRuns, looseRecords, oldestMs, changedMs] = parse(
    value,
  ) as [string, string, number, number, number, string, number, number, number, number];
  return {
    head: head === '' ? undefined : epoch + head,
    floor: epoch + floor,
    closed: (flags & 1) !== 0,
    unswept: (flags & 2) !== 0,
    records,
    bytes,
    looseAfter,
    looseRuns,
    looseRecords,
    oldestMs,
    changedMs,
  };
}

/** The key of the run whose last record stands at `position`. */
export function runKey(channel: string, position: Position): StoreKey {
  return `r${channel} ${position}`;
}

/** Before every run of the channel. */
export function runsStart(channel: string): StoreKey {
  return `r${channel} `;
}

/** Behind every run of the channel. */
export function runsEnd(channel: string): StoreKey {
  return `r${channel}!`;
}

/** The key of the part of the feed whose last record stands at `position`. */
export function feedKey(position: Position): StoreKey {
  return `f${position}`;
}

/** Before and behind every part of the feed. */
export const FEED_START: StoreKey = 'f';
export const FEED_END: StoreKey = 'g';

/** The key of the part of the window that was written when `position` was applied. */
export function windowKey(position: Position): StoreKey {
  return `w${position}`;
}

export function windowRange(afterKey: StoreKey, bytes: number): StoreRange {
  return { gt: afterKey, lt: 'x', limit: 4_096, bytes };
}

/** The key of a mark in its ring. */
export function markKey(slot: number): StoreKey {
  return `s${String(slot).padStart(5, '0')}`;
}

export function marksRange(afterKey: StoreKey): StoreRange {
  return { gt: afterKey, lt: 't', limit: 4_096, bytes: Number.POSITIVE_INFINITY };
}

/** A part of the window: when its first record was written, then the packed entries. */
export function encodeWindow(firstMs: number, journal: Uint32Array): Buffer {
  const value = Buffer.allocUnsafe(8 + journal.byteLength);
  value.writeDoubleLE(firstMs, 0);
  value.set(new Uint8Array(journal.buffer, journal.byteOffset, journal.byteLength), 8);
  return value;
}

export function decodeWindow(value: Buffer): { readonly firstMs: number; readonly journal: Uint32Array } {
  const journal = new Uint32Array((value.length - 8) / 4);
  new Uint8Array(journal.buffer).set(value.subarray(8));
  return { firstMs: value.readDoubleLE(0), journal };
}

/** The checksum held, so this cannot fail unless something else wrote it. */
function parse(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString('utf8'));
  } catch (error) {
    throw new StoreError('damaged', "the view's store holds a value of unknown form", error);
  }
}
