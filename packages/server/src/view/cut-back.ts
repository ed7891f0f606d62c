/**
 * Cuts the store of a view back to an earlier place, so that it is what it was there: records behind the place go, heads
 * and floors are those of before, and so are the feed and the fold's window. What was trimmed meanwhile stays trimmed. Done in several
 * writes, and done again where it was interrupted: how far the store has come is written last.
 */
import { isUnknownTag, TAG_HIGHEST } from '@tideway/protocol';
import type { Position } from '../log/log.ts';
import { cutFeedPart } from './feed-index.ts';
import { entriesUpTo } from './id-table.ts';
import { positionNumber, positionOf, tagOf } from './packed-place.ts';
import { joinFrames, splitRun } from './run.ts';
import type { StoreKeeper } from './store-keeper.ts';
import {
  APPLIED_KEY,
  channelOfMetaKey,
  decodeMeta,
  decodeWindow,
  encodeApplied,
  encodeMeta,
  encodeWindow,
  FEED_END,
  feedKey,
  metaKey,
  metaRange,
  runKey,
  runsEnd,
  runsStart,
  windowKey,
  windowRange,
  type Applied,
  type ChannelMeta,
} from './store-keys.ts';
import { StoreError, type StoreEntry, type StoreKey, type StoreOp } from './store.ts';
import type { Place } from './trail.ts';
import type { VisibleRecord } from './view.ts';
import { markOf } from './write-marks.ts';

const METAS_PER_SCAN = 256;
const RUNS_PER_SCAN = 256;
const PARTS_PER_SCAN = 256;
const SCAN_BYTES = 4 * 1024 * 1024;
/** A write is begun when so much has gathered. */
const WRITE_OPS = 1_024;
const WRITE_BYTES = 1024 * 1024;

export interface CutBack {
  readonly keeper: StoreKeeper;
  /** What the store holds. */
  readonly applied: Applied;
  /** A record that was applied; the newest that stays. */
  readonly to: Place;
  /** Since when a channel is closed, as far as the fold remembers. */
  readonly closedSince: (channel: string) => number | undefined;
}

export async function cutBack(cut: CutBack): Promise<void> {
  const writes = new Writes(cut);
  await cutChannels(cut, writes);
  await writes.end([...(await cutWindow(cut)), ...(await cutFeed(cut))]);
}

async function cutChannels({ keeper, applied, to, closedSince }: CutBack, writes: Writes): Promise<void> {
  for (let after = ''; ;) {
    const { entries, end } = await keeper.scan(metaRange(after, METAS_PER_SCAN));
    for (const { key, value } of entries) {
      after = channelOfMetaKey(key);
      const meta = decodeMeta(applied.epoch, value);
      const since = meta.closed ? closedSince(after) : undefined;
      const isReopened = since !== undefined && since > positionNumber(to.position);
      if (isReopened) meta.closed = false;
      const ops: StoreOp[] = [];
      if (positionOf(meta.floor) > to.position) await emptyChannel(keeper, after, meta, to, ops);
      else if (meta.head !== undefined && positionOf(meta.head) > to.position) {
        await cutRuns(keeper, after, meta, { to: to.position, base: applied.base }, ops);
      } else if (!isReopened) continue;
      ops.push({ type: 'put', key: metaKey(after), value: encodeMeta(meta) });
      await writes.add(ops);
    }
    if (end) return;
  }
}

/** All that was held lies behind the place, and what lay before it was let go of. */
async function emptyChannel(
  keeper: StoreKeeper,
  channel: string,
  meta: ChannelMeta,
  to: Place,
  ops: StoreOp[],
): Promise<void> {
  const isHeadKept = meta.head !== undefined && positionOf(meta.head) <= to.position;
  const tag = isHeadKept ? tagOf(meta.head as string) : TAG_HIGHEST;
  meta.floor = `${meta.floor.slice(0, 7)}${to.position}.${tag}`;
  if (meta.head !== undefined && !isHeadKept) meta.head = meta.floor;
  Object.assign(meta, { records: 0, bytes: 0, oldestMs: 0, unswept: false });
  looseFrom(meta, 0);
  for await (const { key } of runsBehind(keeper, channel, runsStart(channel))) ops.push({ type: 'del', key });
}

async function cutRuns(
  keeper: StoreKeeper,
  channel: string,
  meta: ChannelMeta,
  { to, base }: { readonly to: Position; readonly base: Position },
  ops: StoreOp[],
): Promise<void> {
  let prev: string | undefined;
  let kept: readonly VisibleRecord[] = [];
  for await (const { key, value } of runsBehind(keeper, channel, runKey(channel, to))) {
    ops.push({ type: 'del', key });
    const run = splitRun(channel, value);
    if (prev === undefined) {
      // Only the first run can reach back to the place. What stood before what goes is its `prev`.
      kept = run.filter(({ position }) => position <= to);
      prev = kept.at(-1)?.cursor ?? run[0]?.prev;
    }
    for (const { position, frame } of run) {
      if (position <= to) continue;
      meta.records--;
      meta.bytes -= frame.length;
    }
  }
  if (prev === undefined) {
    throw new StoreError('damaged', `records of ${channel} up to its head are missing from the view's store`);
  }
  if (!isUnknownTag(tagOf(prev))) meta.head = prev;
  else meta.head = positionOf(prev) <= base ? undefined : prev.slice(0, -4) + TAG_HIGHEST;
  const last = kept.at(-1);
  if (last !== undefined) ops.push({ type: 'put', key: runKey(channel, last.position), value: joinFrames(kept) });
  if (meta.records === 0) meta.oldestMs = 0;
  looseFrom(meta, kept.length);
}

/** Runs are joined again from the floor on: which ones are full is not known any more. */
function looseFrom(meta: ChannelMeta, records: number): void {
  meta.looseAfter = positionOf(meta.floor);
  meta.looseRuns = records > 0 ? 1 : 0;
  meta.looseRecords = records;
}

async function* runsBehind(keeper: StoreKeeper, channel: string, key: StoreKey): AsyncGenerator<StoreEntry> {
  for (let gt = key; ;) {
    const { entries, end } = await keeper.scan({ gt, lt: runsEnd(channel), limit: RUNS_PER_SCAN, bytes: SCAN_BYTES });
    yield* entries;
    if (end) return;
    gt = (entries.at(-1) as StoreEntry).key;
  }
}

/** Of what was written behind the place, what was remembered of records up to it. */
async function cutWindow({ keeper, applied, to }: CutBack): Promise<StoreOp[]> {
  const ops: StoreOp[] = [];
  let rest: { readonly firstMs: number; readonly journal: Uint32Array } | undefined;
  for (let after = windowKey(to.position); ;) {
    const { entries, end } = await keeper.scan(windowRange(after, SCAN_BYTES));
    for (const { key, value } of entries) {
      after = key;
      ops.push({ type: 'del', key });
      // The parts follow each other: only the first can reach back to the place.
      if (rest !== undefined) continue;
      const { firstMs, journal } = decodeWindow(value);
      const numbers = { at: positionNumber(applied.position), upTo: positionNumber(to.position) };
      rest = { firstMs, journal: entriesUpTo(journal, numbers) };
    }
    if (end) break;
  }
  if (rest === undefined || rest.journal.length === 0) return ops;
  const key = windowKey(to.position);
  return [...ops, { type: 'put', key, value: encodeWindow(rest.firstMs, rest.journal) }];
}

/** What the feed lists behind the place. */
async function cutFeed({ keeper, to }: CutBack): Promise<StoreOp[]> {
  const ops: StoreOp[] = [];
  let kept: StoreOp | undefined;
  for (let gt = feedKey(to.position); ;) {
    const { entries, end } = await keeper.scan({ gt, lt: FEED_END, limit: PARTS_PER_SCAN, bytes: SCAN_BYTES });
    for (const { key, value } of entries) {
      gt = key;
      // The parts follow each other: only the first can reach back to the place.
      if (ops.length === 0) kept = cutFeedPart(value, to.position);
      ops.push({ type: 'del', key });
    }
    if (end) return kept === undefined ? ops : [...ops, kept];
  }
}

/** Writes what gathers; each write says that the store is where it was, the last one where it is then. */
class Writes {
  readonly #keeper: StoreKeeper;
  readonly #to: Place;
  #applied: Applied;
  #ops: StoreOp[] = [];
  #bytes = 0;

  constructor({ keeper, applied, to }: CutBack) {
    this.#keeper = keeper;
    this.#applied = applied;
    this.#to = to;
  }

  /** What belongs together is in one write. */
  async add(ops: readonly StoreOp[]): Promise<void> {
    for (const op of ops) {
      this.#ops.push(op);
      if (op.type === 'put') this.#bytes += op.value.length;
    }
    if (this.#ops.length >= WRITE_OPS || this.#bytes >= WRITE_BYTES) await this.#write(this.#applied);
  }

  async end(ops: readonly StoreOp[]): Promise<void> {
    this.#ops.push(...ops);
    const { feedBase } = this.#applied;
    const to = this.#to;
    const base = feedBase !== undefined && feedBase > to.position ? { feedBase: to.position } : {};
    await this.#write({ ...this.#applied, ...to, ...base });
  }

  async #write(applied: Applied): Promise<void> {
    this.#applied = { ...applied, serial: this.#applied.serial + 1 };
    const ops = this.#ops;
    this.#ops = [];
    this.#bytes = 0;
    const value = encodeApplied(this.#applied);
    await this.#keeper.write([...ops, { type: 'put', key: APPLIED_KEY, value }, markOf(this.#applied.serial)]);
  }
}
