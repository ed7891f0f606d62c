/**
 * Pages of a channel, out of the store and the overlay as if they were one list. A page is cut by its records alone,
 * so it is the same whatever mixture of runs and overlay holds them; each record's `prev` proves that none is missing.
 */
import type { Position, Tag } from '../log/log.ts';
import { isUnknownTag } from '@tideway/protocol';
import type { Channel, Channels } from './channels.ts';
import { positionOf, tagOf } from './packed-place.ts';
import { splitRun } from './run.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { runKey, runsEnd, runsStart } from './store-keys.ts';
import { StoreError, type StoreEntry } from './store.ts';
import type { Page, PageRequest, VisibleRecord } from './view.ts';

/** A page that does not join, though nothing was rearranged or trimmed meanwhile, is read once more and then given up. */
const ATTEMPTS = 2;
/** Runs asked for at once: one hop to the store's thread for a page of young records. */
const RUNS_PER_SCAN = 128;

export class Pages {
  readonly #channels: Channels;
  readonly #keeper: StoreKeeper;

  constructor(channels: Channels, keeper: StoreKeeper) {
    this.#channels = channels;
    this.#keeper = keeper;
  }

  async read(name: string, request: PageRequest): Promise<Page> {
    const { after, before } = request;
    const asked = after ?? before;
    if (asked === undefined) throw new TypeError('a page needs "after" or "before"');
    for (let broken = 0; broken < ATTEMPTS;) {
      const channel = await this.#find(name);
      if (channel === undefined) return this.#emptyPage(name, asked);
      const { floor, arrangement } = channel;
      channel.pins++;
      try {
        const page =
          after === undefined
            ? await this.#backward(channel, positionOf(asked), request)
            : await this.#forward(channel, after, request);
        const undisturbed = channel.floor === floor && channel.arrangement === arrangement;
        if (page !== undefined && undisturbed) return page;
        if (undisturbed) broken++;
      } finally {
        channel.pins--;
      }
    }
    throw new StoreError('damaged', `records of ${name} are missing from the view's store`);
  }

  async tagAt(name: string, position: Position): Promise<Tag | undefined> {
    const channel = await this.#find(name);
    if (channel?.head === undefined) return undefined;
    if (position >= positionOf(channel.head)) return tagOf(channel.head);
    const floor = positionOf(channel.floor);
    if (position < floor) return undefined;
    if (position === floor) return known(tagOf(channel.floor));
    // The first record behind the position says in its `prev` what stood there.
    const { young } = channel;
    const firstYoung = young[0];
    if (firstYoung === undefined || position < positionOf(firstYoung.prev)) {
      for await (const run of this.#runsAfter(name, position)) {
        const next = run.find((record) => record.position > position);
        if (next !== undefined) return known(tagOf(next.prev));
      }
    }
    const next = young.find((record) => record.position > position);
    return next === undefined ? undefined : known(tagOf(next.prev));
  }

  /** Waits while the store is away and memory does not know the channel. */
  async #find(name: string): Promise<Channel | undefined> {
    for (;;) {
      if (!this.#keeper.away || this.#channels.has(name)) return this.#channels.find(name);
      await this.#keeper.present();
    }
  }

  /** `undefined` when what was read does not join: it must be read again. */
  async #forward(channel: Channel, after: string, request: PageRequest): Promise<Page | undefined> {
    const floor = positionOf(channel.floor);
    const asked = positionOf(after);
    const from = asked < floor ? floor : asked;
    const { young } = channel;
    const youngCount = young.length;
    const records: VisibleRecord[] = [];
    const cut = new PageCut(request);

    const firstYoung = young[0];
    const storeEnd = firstYoung === undefined ? channel.head : firstYoung.prev;
    if (storeEnd !== undefined && positionOf(storeEnd) > from) {
      for await (const run of this.#runsAfter(channel.name, from)) {
        for (const record of run) {
          if (record.position <= from) continue;
          if (firstYoung !== undefined && record.position >= firstYoung.position) break;
          if (!cut.takes(record)) break;
          records.push(record);
        }
        if (cut.full || (run.at(-1) as VisibleRecord).position >= positionOf(storeEnd)) break;
      }
      if (!cut.full && records.at(-1)?.cursor !== storeEnd) return undefined;
    }
    for (let i = 0; i < youngCount && !cut.full; i++) {
      const record = young[i] as VisibleRecord;
      if (record.position > from && cut.takes(record)) records.push(record);
    }
    const first = records[0];
    if (!isChained(records) || (first !== undefined && positionOf(first.prev) > from)) return undefined;
    const last = records.at(-1);
    const place = asked < from ? channel.floor : after;
    return {
      records,
      first: first?.cursor ?? place,
      next: last?.cursor ?? place,
      end: channel.head === undefined || positionOf(last?.cursor ?? place) >= positionOf(channel.head),
      trimmed: asked < from,
    };
  }

  async #backward(channel: Channel, before: Position, request: PageRequest): Promise<Page | undefined> {
    const floor = positionOf(channel.floor);
    const { young } = channel;
    const firstYoung = young[0];
    const storeEnd = firstYoung === undefined ? channel.head : firstYoung.prev;
    const cut = new PageCut(request);
    const records: VisibleRecord[] = [];
    const take = (record: VisibleRecord): void => {
      if (record.position < before && record.position > floor && cut.takes(record)) records.push(record);
    };
    for (let i = young.length - 1; i >= 0 && !cut.full; i--) take(young[i] as VisibleRecord);
    if (!cut.full && storeEnd !== undefined && positionOf(storeEnd) > floor) {
      const upTo = firstYoung !== undefined && firstYoung.position < before ? firstYoung.position : before;
      for await (const run of this.#runsBefore(channel, upTo)) {
        for (let i = run.length - 1; i >= 0 && !cut.full; i--) {
          const record = run[i] as VisibleRecord;
          if (record.position < upTo) take(record);
        }
        if (cut.full || (run[0] as VisibleRecord).position <= floor) break;
      }
    }
    records.reverse();
    const first = records[0];
    const end = first === undefined || positionOf(first.prev) <= floor;
    if (!isChained(records) || (!end && !cut.full)) return undefined;
    return {
      records,
      first: first?.cursor ?? channel.floor,
      next: records.at(-1)?.cursor ?? channel.floor,
      end,
      trimmed: false,
    };
  }

  async *#runsAfter(name: string, position: Position): AsyncGenerator<VisibleRecord[]> {
    let gt = runKey(name, position);
    const lt = runsEnd(name);
    for (;;) {
      const { entries, end } = await this.#keeper.scan({ gt, lt, limit: RUNS_PER_SCAN, bytes: SCAN_BYTES });
      for (const entry of entries) yield splitRun(name, entry.value);
      if (end) return;
      gt = (entries.at(-1) as StoreEntry).key;
    }
  }

  /** Runs with records before `position`, newest first. */
  async *#runsBefore({ name, head }: Channel, position: Position): AsyncGenerator<VisibleRecord[]> {
    const gte = runKey(name, position);
    if (head !== undefined && positionOf(head) >= position) {
      // A run lies under its last record: one that is not before the position may begin before it.
      const { entries } = await this.#keeper.scan({ gte, lt: runsEnd(name), limit: 1, bytes: SCAN_BYTES });
      for (const entry of entries) yield splitRun(name, entry.value);
    }
    let lt = gte;
    for (;;) {
      const range = { gt: runsStart(name), lt, reverse: true, limit: RUNS_PER_SCAN, bytes: SCAN_BYTES };
      const { entries, end } = await this.#keeper.scan(range);
      for (const entry of entries) yield splitRun(name, entry.value);
      if (end) return;
      lt = (entries.at(-1) as StoreEntry).key;
    }
  }

  #emptyPage(name: string, place: string): Page {
    const { floor } = this.#channels.state(name);
    const trimmed = positionOf(place) < positionOf(floor);
    const at = trimmed ? floor : place;
    return { records: [], first: at, next: at, end: true, trimmed };
  }
}

/** What one scan of the store brings, about: a page and what is cut off it. */
const SCAN_BYTES = 128 * 1024;

/** Says which records still fit a page: at least one, however large. */
class PageCut {
  full = false;
  readonly #limit: number;
  readonly #bytes: number;
  #count = 0;
  #size = 0;

  constructor(request: PageRequest) {
    this.#limit = request.limit;
    this.#bytes = request.bytes;
  }

  takes(record: VisibleRecord): boolean {
    const size = this.#size + record.frame.length;
    if (this.full || (this.#count > 0 && size > this.#bytes)) {
      this.full = true;
      return false;
    }
    this.#size = size;
    this.#count++;
    this.full = this.#count >= this.#limit;
    return true;
  }
}

function isChained(records: readonly VisibleRecord[]): boolean {
  for (let i = 1; i < records.length; i++) {
    if ((records[i] as VisibleRecord).prev !== (records[i - 1] as VisibleRecord).cursor) return false;
  }
  return true;
}

function known(tag: Tag): Tag | undefined {
  return isUnknownTag(tag) ? undefined : tag;
}
