/**
 * What a view makes from one start of the log's tail on: the fold with its window read back, the channels, the overlay,
 * and who writes, reads and tidies the store. A view that must be made anew begins another one.
 */
import { POSITION_ZERO, TAG_HIGHEST, type GapReason } from '@tideway/protocol';
import type { Env } from '../env.ts';
import type { Log, LogConstants, Position, Tail, TailError } from '../log/log.ts';
import { Applier } from './applier.ts';
import { Channels } from './channels.ts';
import { Fold } from './fold.ts';
import { positionNumber } from './packed-place.ts';
import { Pages } from './pages.ts';
import type { AgeClock } from './retention.ts';
import type { StoreKeeper } from './store-keeper.ts';
import type { Applied } from './store-keys.ts';
import type { Store } from './store.ts';
import { Upkeep } from './upkeep.ts';
import type { Retention, Verdict, VisibleRecord } from './view.ts';
import { WindowParts } from './window-parts.ts';
import { Writer } from './writer.ts';

/** Something that an operator should know; the view goes on by itself. */
export interface ViewTrouble {
  readonly event:
    | 'store_failed'
    | 'store_recovered'
    | 'store_set_aside'
    | 'view_rebuilt'
    | 'tail_ended'
    | 'clock_in_doubt'
    | 'follower_failed'
    | 'upkeep_failed';
  readonly message: string;
  readonly error?: unknown;
}

export interface ViewOptions {
  /** Open; `constants` is what its `open` gave. */
  readonly log: Log;
  readonly constants: LogConstants;
  readonly store: Store;
  readonly env: Env;
  readonly retention: (namespace: string) => Retention;
  /** The fold's answer to a record of this node, after followers got the record. */
  readonly onVerdict: (ticket: string, verdict: Verdict, record: VisibleRecord | undefined) => void;
  readonly onTrouble: (trouble: ViewTrouble) => void;
  /**
   * Where the log's beginning is lost: how far behind it a repeat of what was lost may stand. W by default; less for a
   * log whose only writer looks ids up before it appends.
   */
  readonly repeatSpan?: number;
  readonly unwrittenBytesMax?: number;
  readonly unwrittenRecordsMax?: number;
  /** Channels kept in memory without being in use. */
  readonly channelsKeptMax?: number;
}

export interface Life {
  readonly fold: Fold;
  readonly channels: Channels;
  readonly applier: Applier;
  readonly parts: WindowParts;
  readonly writer: Writer;
  readonly upkeep: Upkeep;
  readonly pages: Pages;
  /** Up to here nobody is told; having come so far, it serves. */
  readonly goal: Position;
  tail: Tail | undefined;
  ended: boolean;
}

/** What happens in a life that its view must act on. */
export interface LifeEvents {
  isFollowed(channel: string): boolean;
  onFloor(channel: string, floor: string): void;
  onWritten(life: Life): void;
  /** Housekeeping met an error, maybe damage. */
  onUpkeepFailed(life: Life, error: unknown): void;
  /** The store lacks what it had confirmed. */
  onLost(life: Life): void;
}

/** What stands in a store that is empty: nothing is applied, and nothing is known of what lies below `base`. */
export function firstApplied(options: ViewOptions, base: Position): Applied {
  const { env, constants, repeatSpan } = options;
  const [low, high] = new Uint32Array(Uint8Array.from(env.randomBytes(8)).buffer);
  return {
    epoch: constants.epochs[0] as string,
    position: base,
    tag: TAG_HIGHEST,
    serial: 0,
    base,
    start: base === POSITION_ZERO ? undefined : { position: base, span: repeatSpan ?? constants.window },
    hashKey: [low as number, high as number],
    nowMs: env.now(),
  };
}

/** Makes a life from what the store holds; reads the window, the rest stays where it is. */
export async function beginLife(
  options: ViewOptions,
  parts: {
    readonly keeper: StoreKeeper;
    readonly applied: Applied;
    readonly goal: Position;
    readonly ageClock: AgeClock;
    readonly events: LifeEvents;
  },
): Promise<Life> {
  const { env, constants } = options;
  const { keeper, applied, events } = parts;
  const { epoch } = applied;
  const fold = new Fold({ epoch, window: constants.window, hashKey: applied.hashKey });
  if (applied.start !== undefined) fold.startAfter(positionNumber(applied.start.position), applied.start.span);
  const window = new WindowParts(constants.window);
  const at = positionNumber(applied.position);
  fold.load(await window.load((range) => keeper.scan(range)), at);
  const channels = new Channels({
    epoch,
    base: applied.base,
    getSync: (key) => keeper.getSync(key),
    retention: options.retention,
    isFollowed: (channel) => events.isFollowed(channel),
    ...(options.channelsKeptMax === undefined ? {} : { keptMax: options.channelsKeptMax }),
  });
  const applier = new Applier({ fold, channels, now: () => env.now(), position: applied.position, tag: applied.tag });
  const writer: Writer = new Writer({
    env,
    keeper,
    applier,
    parts: window,
    applied,
    unwrittenBytesMax: options.unwrittenBytesMax,
    unwrittenRecordsMax: options.unwrittenRecordsMax,
    onFailed: (error) =>
      trouble(options, 'store_failed', 'the view writes no more until its store can be opened anew', error),
    onRecovered: () => trouble(options, 'store_recovered', 'the view writes again; nothing was lost'),
    onLost: () => events.onLost(life),
    onWritten: (written) => {
      for (const channel of written) upkeep.consider(channel);
      events.onWritten(life);
    },
  });
  const upkeep: Upkeep = new Upkeep({
    env,
    epoch,
    keeper,
    applier,
    writer,
    ageClock: parts.ageClock,
    onFloor: (channel, floor) => events.onFloor(channel, floor),
    onTrouble: (error) => events.onUpkeepFailed(life, error),
  });
  const pages = new Pages(channels, keeper);
  const life: Life = {
    fold,
    channels,
    applier,
    parts: window,
    writer,
    upkeep,
    pages,
    goal: parts.goal,
    tail: undefined,
    ended: false,
  };
  return life;
}

/** Ends a life; with `flush` it writes what it can first. */
export async function endLife(life: Life, flush: boolean): Promise<void> {
  life.ended = true;
  await life.tail?.stop();
  const tidied = life.upkeep.stop();
  if (flush) await life.writer.flush();
  await life.writer.stop();
  await tidied;
}

export function trouble(
  options: Pick<ViewOptions, 'onTrouble'>,
  event: ViewTrouble['event'],
  message: string,
  error?: unknown,
): void {
  const why = error instanceof Error ? `${message}: ${error.message}` : message;
  options.onTrouble(error === undefined ? { event, message } : { event, message: why, error });
}

/** What followers are told when the view does not continue the log; `undefined` where it may yet. */
export function gapReasonOf(error: TailError): GapReason | undefined {
  switch (error.reason) {
    case 'trimmed':
    case 'diverged':
    case 'epoch':
      return error.reason;
    case 'damaged':
    case 'unavailable':
      return undefined;
    default:
      return error.reason satisfies never;
  }
}
