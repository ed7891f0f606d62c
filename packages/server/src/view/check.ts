/**
 * `tideway log check` for the view: reads every value of its store and says what does not fit together. For a folder
 * that no server has open. What it finds is no loss: a server that meets it makes the view anew from the log.
 */
import { decodeFeedPart } from './feed-index.ts';
import { positionOf } from './packed-place.ts';
import { splitRun } from './run.ts';
import {
  APPLIED_KEY,
  channelOfMetaKey,
  decodeApplied,
  decodeMeta,
  decodeWindow,
  FEED_END,
  FEED_START,
  feedKey,
  metaRange,
  runsEnd,
  runsStart,
  windowRange,
  type Applied,
  type ChannelMeta,
} from './store-keys.ts';
import { StoreError, type Store, type StoreEntry, type StoreRange } from './store.ts';
import type { VisibleRecord } from './view.ts';
import { findMissingWrite } from './write-marks.ts';

export interface ViewProblem {
  /** Absent where the whole store is concerned. */
  readonly channel: string | undefined;
  readonly problem: string;
}

export interface ViewCheck {
  /** What it stands at; `undefined` for a store that holds nothing yet. */
  readonly applied: Applied | undefined;
  readonly channels: number;
  readonly records: number;
  readonly bytes: number;
  readonly problems: readonly ViewProblem[];
}

/** More of them say nothing new. */
const PROBLEMS_MAX = 100;
const SCAN = { limit: 256, bytes: 4 * 1024 * 1024 };

/** Checks a store, which it opens and closes. Rejects only when the store is in use or of a newer format. */
export async function checkView(store: Store): Promise<ViewCheck> {
  const check = new StoreCheck(store);
  try {
    await store.open();
    await check.run();
  } catch (error) {
    if (!(error instanceof StoreError) || error.reason === 'in_use' || error.reason === 'newer') throw error;
    check.report(undefined, error.message);
  } finally {
    await store.close();
  }
  return check;
}

class StoreCheck implements ViewCheck {
  readonly #store: Store;
  applied: Applied | undefined;
  channels = 0;
  records = 0;
  bytes = 0;
  readonly problems: ViewProblem[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  report(channel: string | undefined, problem: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ channel, problem });
  }

  async run(): Promise<void> {
    const value = this.#store.getSync(APPLIED_KEY);
    this.applied = value === undefined ? undefined : decodeApplied(value);
    const missing = this.applied && (await findMissingWrite(this.applied.serial, (range) => this.#store.scan(range)));
    if (missing !== undefined) this.report(undefined, missing.message);
    for await (const { value: part } of this.#all((after) => windowRange(after, SCAN.bytes), 'w')) decodeWindow(part);
    await this.#checkFeed();
    for await (const { key, value: meta } of this.#all((after) => metaRange(after.slice(1), SCAN.limit), 'm')) {
      if (this.applied === undefined) return this.report(undefined, 'it holds channels, but not how far it came');
      this.channels++;
      await this.#checkChannel(channelOfMetaKey(key), decodeMeta(this.applied.epoch, meta));
    }
  }

  /** Each part is named after its last record, and begins behind the one before it. */
  async #checkFeed(): Promise<void> {
    let last = '';
    for await (const { key, value } of this.#all((gt) => ({ gt, lt: FEED_END, ...SCAN }), FEED_START)) {
      const entries = decodeFeedPart(value);
      if (key !== feedKey(entries.at(-1)?.position ?? '') || (entries[0]?.position ?? '') <= last)
        this.report(undefined, `a part of the feed under ${key} lists other records`);
      last = entries.at(-1)?.position ?? last;
    }
  }

  async #checkChannel(channel: string, meta: ChannelMeta): Promise<void> {
    const floor = positionOf(meta.floor);
    let last: VisibleRecord | undefined;
    let records = 0;
    let bytes = 0;
    for await (const { key, value } of this.#all((gt) => ({ gt, lt: runsEnd(channel), ...SCAN }), runsStart(channel))) {
      const run = splitRun(channel, value);
      if (!key.endsWith(` ${run.at(-1)?.position}`)) this.report(channel, `a run under ${key} ends elsewhere`);
      for (const record of run) {
        if (record.position <= floor) continue;
        const follows = last === undefined ? positionOf(record.prev) <= floor : record.prev === last.cursor;
        if (!follows) this.report(channel, `records are missing before ${record.cursor}: it follows ${record.prev}`);
        records++;
        bytes += record.frame.length;
        last = record;
      }
    }
    this.records += records;
    this.bytes += bytes;
    if (records !== meta.records || bytes !== meta.bytes) {
      this.report(
        channel,
        `it holds ${records} records of ${bytes} bytes, and counted ${meta.records} of ${meta.bytes}`,
      );
    }
    const head = meta.head !== undefined && positionOf(meta.head) > floor ? meta.head : undefined;
    if (last?.cursor !== head)
      this.report(channel, `its head is ${head ?? 'none'}, its newest record ${last?.cursor ?? 'none'}`);
  }

  async *#all(range: (after: string) => StoreRange, first: string): AsyncGenerator<StoreEntry> {
    for (let after = first; ;) {
      const { entries, end } = await this.#store.scan(range(after));
      yield* entries;
      if (end) return;
      after = (entries.at(-1) as StoreEntry).key;
    }
  }
}
