/**
 * Whether a view needs a forerunner, and one that is opened: a view of its own near the log's end, which serves while
 * the view itself is still reading from where it was (docs/decisions/0010). It has a store of its own, which is removed
 * with it; it lets go of nothing by retention, makes nothing anew, and applies nothing in front of its followers that it
 * is not sure of. Below its floors it is behind.
 */
import { encodePositionNumber } from '@tideway/protocol';
import type { Position } from '../log/log.ts';
import type { ApplyEvents } from './applier.ts';
import type { Arrivals, Followers } from './followers.ts';
import type { Break } from './forerun.ts';
import { trouble, type ViewOptions } from './life.ts';
import { Lives } from './lives.ts';
import { firstBase } from './log-bounds.ts';
import { positionNumber } from './packed-place.ts';
import type { Store } from './store.ts';

/**
 * Two windows are read before it serves: of what is in the first one it is unsure, so that it is sure of the second one,
 * and the fold looks back no further than that. What is nearer than a third one is read as fast.
 */
const READ_WINDOWS = 2;
const FAR_WINDOWS = 3;

/** Where a forerunner begins; `undefined` where the view is not far behind the log, or the log cannot be asked. */
export async function forerunFrom(
  { log, constants, partition = 0 }: ViewOptions,
  applied: Position | undefined,
): Promise<Position | undefined> {
  const bounds = await log.bounds(partition).catch(() => undefined);
  if (bounds === undefined) return undefined;
  const newest = positionNumber(bounds.newest);
  const distance = newest - positionNumber(applied ?? firstBase(bounds));
  if (distance <= FAR_WINDOWS * constants.window) return undefined;
  return encodePositionNumber(newest - READ_WINDOWS * constants.window);
}

export class Forerunner {
  readonly #store: Store;
  readonly lives: Lives;

  private constructor(store: Store, lives: Lives) {
    this.#store = store;
    this.lives = lives;
  }

  /** Resolves when it serves; with nothing where it cannot: then the view is waited for. */
  static async open(
    options: ViewOptions & { readonly forerunStore: Store },
    parts: {
      readonly from: Position;
      readonly followers: Followers;
      readonly arrivals: Arrivals;
      readonly events: ApplyEvents;
      /** It served, and has ended. */
      readonly onBreak: (why: Break) => void;
    },
  ): Promise<Forerunner | undefined> {
    const { forerunStore: store, onTrimmed: _, ...shared } = options;
    const { from, onBreak } = parts;
    const own: ViewOptions = { ...shared, store, retention: () => ({}) };
    const forerunner = new Forerunner(
      store,
      new Lives(own, parts.followers, parts.arrivals, parts.events, { from, onBreak }),
    );
    try {
      await forerunner.lives.openStore();
      await forerunner.lives.begin();
      return forerunner;
    } catch (error) {
      trouble(options, 'forerunner_failed', 'nothing is served until the whole log is read', error);
      await forerunner.close();
      return undefined;
    }
  }

  async close(): Promise<void> {
    await this.lives.close();
    await this.#store.remove();
  }
}
