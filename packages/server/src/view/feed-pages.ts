/**
 * Pages of a partition's feed: what the index lists, out of the store and the overlays as if they were one list, and
 * for what is wanted of it the records, out of their channels. What a channel no longer keeps is said, never skipped.
 */
import { encodePositionNumber, formatCursor, TAG_HIGHEST, tagsMatch } from '@tideway/protocol';
import type { Position, Tag } from '../log/log.ts';
import type { Applier } from './applier.ts';
import { notHereError } from './refusals.ts';
import { listYoung, type FeedEntry, type FeedIndex } from './feed-index.ts';
import { positionNumber, positionOf, tagOf } from './packed-place.ts';
import type { Pages } from './pages.ts';
import type { FeedPage, FeedRequest, VisibleRecord } from './view.ts';
import type { Writer } from './writer.ts';

/** A page that finds nothing it wants ends after so much of the index: about half a million records. */
const INDEX_BYTES_MAX = 4 * 1024 * 1024;
/** Channels read at the same time. */
const CHANNELS_AT_ONCE = 16;

export class FeedPages {
  readonly epoch: string;
  readonly #index: FeedIndex;
  readonly #applier: Applier;
  readonly #writer: Writer;
  readonly #pages: Pages;

  constructor(parts: {
    readonly epoch: string;
    readonly index: FeedIndex;
    readonly applier: Applier;
    readonly writer: Writer;
    readonly pages: Pages;
  }) {
    this.epoch = parts.epoch;
    this.#index = parts.index;
    this.#applier = parts.applier;
    this.#writer = parts.writer;
    this.#pages = parts.pages;
  }

  async base(): Promise<string> {
    return await this.#placeAt(this.#index.base);
  }

  async newest(): Promise<string> {
    return await this.#placeAt(this.#applier.position);
  }

  async tagAt(position: Position): Promise<Tag | undefined> {
    const { base } = this.#index;
    if (position > this.#writer.applied.position) {
      const young = listYoung(this.#writer.unwritten()).findLast((entry) => entry.position <= position);
      if (young !== undefined) return young.position > base ? young.tag : undefined;
    }
    const entry = await this.#index.newestAt(position);
    // At the base itself may lie what is in no feed.
    return entry !== undefined && entry.position > base ? entry.tag : undefined;
  }

  lagBehind(position: Position): number {
    return Math.max(0, positionNumber(this.#applier.position) - positionNumber(position));
  }

  async read(request: FeedRequest): Promise<FeedPage> {
    const known = await this.tagAt(positionOf(request.after));
    // Another history has taken the place of the one that the place was found in.
    if (known !== undefined && !tagsMatch(known, tagOf(request.after))) throw notHereError();
    const list = await this.#list(request);
    // What the log let go of meanwhile may have been missing from what was read.
    if (positionOf(request.after) < this.#index.base) throw notHereError();
    const { records, trimmed } = await this.#recordsOf(list.wanted);
    return {
      records,
      next: formatCursor(this.epoch, list.position, list.tag),
      end: list.end,
      lag: this.lagBehind(list.position),
      trimmed,
    };
  }

  /** What a page holds, and the place behind it. */
  async #list(
    request: FeedRequest,
  ): Promise<{ wanted: readonly FeedEntry[]; position: Position; tag: Tag; end: boolean }> {
    const { limit, bytes, wants } = request;
    const after = positionOf(request.after);
    // Of this very moment: what is not in the store by now is in the overlays.
    const applied = this.#applier.position;
    const written = this.#writer.applied.position;
    const young = listYoung(this.#writer.unwritten());
    const wanted: FeedEntry[] = [];
    let size = 0;
    let last = { position: after, tag: tagOf(request.after) };
    /** False once the page is full, in front of the entry. */
    const takes = (entry: FeedEntry): boolean => {
      if (wants(entry.channel)) {
        if (wanted.length >= limit || (wanted.length > 0 && size + entry.bytes > bytes)) return false;
        wanted.push(entry);
        size += entry.bytes;
      }
      last = entry;
      return true;
    };
    if (written > after) {
      let read = 0;
      for await (const part of this.#index.after(after)) {
        for (const entry of part.entries) {
          if (entry.position > written) break;
          if (!takes(entry)) return { wanted, ...last, end: false };
        }
        read += part.bytes;
        if (read > INDEX_BYTES_MAX) return { wanted, ...last, end: false };
        if ((part.entries.at(-1)?.position ?? '') > written) break;
      }
    }
    for (const entry of young) {
      if (entry.position > after && !takes(entry)) return { wanted, ...last, end: false };
    }
    // Behind the last visible record may lie others that are hidden: they are passed, too.
    return { wanted, position: applied > after ? applied : after, tag: last.tag, end: true };
  }

  async #recordsOf(
    wanted: readonly FeedEntry[],
  ): Promise<{ readonly records: readonly VisibleRecord[]; readonly trimmed: FeedPage['trimmed'] }> {
    const byChannel = Map.groupBy(wanted, ({ channel }) => channel);
    const found = new Map<Position, VisibleRecord>();
    const trimmed: { channel: string; floor: string }[] = [];
    const names = [...byChannel.keys()];
    const readOne = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        const entries = byChannel.get(name) as readonly FeedEntry[];
        const before = encodePositionNumber(positionNumber((entries[0] as FeedEntry).position) - 1);
        const { records } = await this.#pages.read(name, {
          after: formatCursor(this.epoch, before, TAG_HIGHEST),
          limit: entries.length,
          bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0),
        });
        for (const record of records) found.set(record.position, record);
        if (entries.some(({ position }) => !found.has(position)))
          trimmed.push({ channel: name, floor: await this.#pages.floor(name) });
      }
    };
    await Promise.all(Array.from({ length: CHANNELS_AT_ONCE }, readOne));
    const records = wanted.flatMap(({ position }) => found.get(position) ?? []);
    return { records, trimmed };
  }

  async #placeAt(position: Position): Promise<string> {
    return formatCursor(this.epoch, position, (await this.tagAt(position)) ?? TAG_HIGHEST);
  }
}
