/**
 * Pages of a channel, out of the store and the overlay as if they were one list. A page is cut by its records alone,
 * so it is the same whatever mixture of runs and overlay holds them; each record's `prev` proves that none is missing.
 */
import type { Position, Tag } from '../log/log.ts';
import { isUnknownTag, TAG_LOWEST } from '@tideway/protocol';
import type { Channel, Channels } from './channels.ts';
import { positionOf, tagOf } from './packed-place.ts';
import { splitRun } from './run.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { runKey, runsEnd, runsStart } from './store-keys.ts';
import { StoreError, type StoreEntry, type StoreKey } from './store.ts';
import type { Page, PageRequest, VisibleRecord } from './view.ts';

/** What does not join, though nothing was rearranged or trimmed meanwhile, is read once more and then given up. */
const ATTEMPTS = 2;
/** A place without a tag. */
const NOWHERE = TAG_LOWEST;
/** Runs are joined again and again, but not that often while one page is read. */
const DISTURBANCES_MAX = 100;
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
    const page = await this.#joined(name, (channel) =>
      after === undefined
        ? this.#backward(channel, positionOf(asked), request)
        : this.#forward(channel, after, request),
    );
    return page ?? this.#emptyPage(name, asked, after !== undefined);
  }

  async tagAt(name: string, position: Position): Promise<Tag | undefined> {
    const place = await this.#joined(name, async (channel) => {
      const { head, floor, young } = channel;
      if (head === undefined || position < positionOf(floor)) return NOWHERE;
      if (position >= positionOf(head)) return head;
      if (position === positionOf(floor)) return floor;
      // The first record behind the position says in its `prev` what stood there.
      const storeEnd = young[0]?.prev ?? head;
      const behind =
        position < positionOf(storeEnd) ? await this.#firstRun(name, { gt: runKey(name, position) }) : young;
      const prev = behind.find((record) => record.position > position)?.prev;
      return prev === undefined || positionOf(prev) > position ? undefined : prev;
    });
    return place === undefined || isUnknownTag(tagOf(place)) ? undefined : tagOf(place);
  }

  /** The channel's floor now. */
  async floor(name: string): Promise<string> {
    return (await this.#find(name))?.floor ?? this.#channels.state(name).floor;
  }

  /**
   * What `read` makes of a channel; `undefined` where nothing is known of it. It gives `undefined` where what it read does
   * not join: that is read again, since it may have been rearranged meanwhile, and then called damage.
   */
  async #joined<T>(name: string, read: (channel: Channel) => Promise<T | undefined>): Promise<T | undefined> {
    let disturbances = 0;
    for (let broken = 0; broken < ATTEMPTS && disturbances < DISTURBANCES_MAX;) {
      const channel = await this.#find(name);
      if (channel === undefined) return undefined;
      const { floor, arrangement } = channel;
      channel.pins++;
      try {
        const found = await read(channel);
        if (found !== undefined && channel.floor === floor) return found;
        const isDisturbed = channel.floor !== floor || channel.arrangement !== arrangement || channel.isArranging;
        if (isDisturbed) disturbances++;
        else broken++;
      } finally {
        channel.pins--;
      }
    }
    throw new StoreError('damaged', `records of ${name} are missing from the view's store`);
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
      for await (const run of this.#runsAfter(channel.name, from, Math.min(SCAN_BYTES, 2 * request.bytes))) {
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
    // What lay between the place and the floor was visible, unless what comes next says that nothing did.
    const newestBelow = first === undefined ? channel.head : first.prev;
    const isWhole = newestBelow !== undefined && !isUnknownTag(tagOf(newestBelow)) && positionOf(newestBelow) <= asked;
    const trimmed = asked < from && !isWhole;
    const behind = trimmed && !this.#channels.floorIsFinal;
    const place = trimmed ? channel.floor : after;
    return {
      records,
      first: first?.cursor ?? place,
      next: last?.cursor ?? place,
      end: channel.head === undefined || positionOf(last?.cursor ?? place) >= positionOf(channel.head),
      trimmed,
      behind,
    };
  }

  /** The other way. That nothing is missing at the page's newest end is proven by the head, or the record behind it. */
  async #backward(channel: Channel, before: Position, request: PageRequest): Promise<Page | undefined> {
    const { name, head, young } = channel;
    const floor = positionOf(channel.floor);
    const youngCount = young.length;
    const storeEnd = young[0]?.prev ?? head;
    let newest = before > floor ? head : undefined;
    /** The run in the store in which the page ends, unless it ends in front of what is young. */
    let last: readonly VisibleRecord[] = [];
    if (newest !== undefined && positionOf(newest) >= before) {
      const isInStore = storeEnd !== undefined && positionOf(storeEnd) >= before;
      if (isInStore) last = await this.#firstRun(name, { gte: runKey(name, before) });
      newest = (isInStore ? last : young).find((record) => record.position >= before)?.prev;
      if (newest === undefined || positionOf(newest) >= before) return undefined;
    }
    const records: VisibleRecord[] = [];
    const cut = new PageCut(request);
    const isDone = (): boolean => cut.full || isOldest(records.at(-1), floor);
    const take = (run: readonly VisibleRecord[], count = run.length): void => {
      for (let i = count - 1; i >= 0 && !isDone(); i--) {
        const record = run[i] as VisibleRecord;
        if (record.position < before && cut.takes(record)) records.push(record);
      }
    };
    if (newest !== undefined && positionOf(newest) > floor) {
      take(young, youngCount);
      take(last);
      if (!isDone()) {
        for await (const run of this.#runsBefore(name, records.at(-1)?.position ?? before)) {
          take(run);
          if (isDone()) break;
        }
      }
      if (!isDone() || records[0]?.cursor !== newest) return undefined;
    }
    records.reverse();
    if (!isChained(records)) return undefined;
    const first = records[0];
    const isAtFloor = first === undefined || isOldest(first, floor);
    const { floorIsFinal } = this.#channels;
    return {
      records,
      first: first?.cursor ?? channel.floor,
      next: records.at(-1)?.cursor ?? channel.floor,
      end: isAtFloor && floorIsFinal,
      trimmed: false,
      behind: isAtFloor && !cut.full && !floorIsFinal,
    };
  }

  /** The first run of a range; empty where there is none. */
  async #firstRun(
    name: string,
    from: { readonly gt: StoreKey } | { readonly gte: StoreKey },
  ): Promise<VisibleRecord[]> {
    const { entries } = await this.#keeper.scan({ ...from, lt: runsEnd(name), limit: 1, bytes: SCAN_BYTES });
    return entries[0] === undefined ? [] : splitRun(name, entries[0].value);
  }

  /** @param bytes what one scan brings, about: who wants one record of a long channel is not given a page */
  async *#runsAfter(name: string, position: Position, bytes: number): AsyncGenerator<VisibleRecord[]> {
    let gt = runKey(name, position);
    const lt = runsEnd(name);
    for (;;) {
      const { entries, end } = await this.#keeper.scan({ gt, lt, limit: RUNS_PER_SCAN, bytes });
      for (const entry of entries) yield splitRun(name, entry.value);
      if (end) return;
      gt = (entries.at(-1) as StoreEntry).key;
    }
  }

  /** Runs that end before `position`, newest first. */
  async *#runsBefore(name: string, position: Position): AsyncGenerator<VisibleRecord[]> {
    const gt = runsStart(name);
    let lt = runKey(name, position);
    for (;;) {
      const range = { gt, lt, reverse: true, limit: RUNS_PER_SCAN, bytes: SCAN_BYTES };
      const { entries, end } = await this.#keeper.scan(range);
      for (const entry of entries) yield splitRun(name, entry.value);
      if (end) return;
      lt = (entries.at(-1) as StoreEntry).key;
    }
  }

  #emptyPage(name: string, place: string, isForward: boolean): Page {
    const { floor, floorIsFinal } = this.#channels.state(name);
    const trimmed = positionOf(place) < positionOf(floor);
    const at = trimmed ? floor : place;
    const behind = !floorIsFinal && (trimmed || !isForward);
    return { records: [], first: at, next: at, end: !behind, trimmed, behind };
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

/** Nothing visible lies between the floor and the record. */
function isOldest(record: VisibleRecord | undefined, floor: Position): boolean {
  return record !== undefined && positionOf(record.prev) <= floor;
}
