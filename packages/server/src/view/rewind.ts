/**
 * What a view keeps of a log that was rewound: everything up to the newest record that both have. How far that is the log
 * is asked, for places that the view remembers: its last records while it runs, its last visible ones after a start.
 */
import { encodePositionNumber } from '@tideway/protocol';
import { findCommonPlace } from './common-place.ts';
import { cutBack } from './cut-back.ts';
import { FeedIndex } from './feed-index.ts';
import type { Life } from './life.ts';
import { positionNumber } from './packed-place.ts';
import { readApplied } from './standing.ts';
import type { StoreKeeper } from './store-keeper.ts';
import type { Applied } from './store-keys.ts';
import { Trail, TRAIL_RECORDS, type Place } from './trail.ts';
import type { ViewLog } from './view-log.ts';

/** Behind every position. */
const END = 'C';

export class Rewind {
  /** What was applied last, in this run. */
  readonly trail = new Trail();
  readonly #log: ViewLog;
  readonly #partition: number;
  readonly #keeper: StoreKeeper;

  constructor(log: ViewLog, partition: number, keeper: StoreKeeper) {
    this.#log = log;
    this.#partition = partition;
    this.#keeper = keeper;
  }

  /**
   * Cuts the store of a life that has ended back; resolves with the newest place in common, `undefined` where there is
   * none within reach. Rejects with what log and store say.
   */
  async cutBack({ fold, applier }: Life): Promise<Place | undefined> {
    const keeper = this.#keeper;
    await keeper.reopen();
    const applied = await readApplied(keeper);
    if (applied === undefined) return undefined;
    const common = await findCommonPlace(this.#log, this.#partition, await this.#places(applied));
    if (common === undefined || common.position <= applied.base) return undefined;
    const at = positionNumber(applier.position);
    // A close that is lost stands in the fold's window; what the window held before is in the store for as long.
    if (at - positionNumber(common.position) > Math.min(TRAIL_RECORDS, fold.table.window)) return undefined;
    if (common.position < applied.position) {
      await cutBack({ keeper, applied, to: common, closedSince: (channel) => fold.closedSince(channel, at) });
      // What is built on from here is what the disk holds.
      await keeper.reopen();
    }
    this.trail.cutTo(common.position);
    return common;
  }

  /** Oldest first. From before this run only the visible records are known, as the feed lists them. */
  async #places(applied: Applied): Promise<Place[]> {
    const trail = this.trail.places();
    const end = trail[0]?.position ?? END;
    const from = Math.max(0, positionNumber(applied.position) - TRAIL_RECORDS);
    const listed: Place[] = [];
    const index = new FeedIndex(applied.base, (range) => this.#keeper.scan(range));
    for await (const { entries } of index.after(encodePositionNumber(from))) {
      for (const { position, tag } of entries) if (position < end) listed.push({ position, tag });
    }
    return [...listed, ...trail];
  }
}
