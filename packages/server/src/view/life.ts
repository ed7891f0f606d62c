/**
 * What a view makes from one start of the log's tail on: the fold with its window read back, the channels, the overlay,
 * and who writes, reads and tidies the store. A view that must be made anew begins another one.
 */
import { POSITION_ZERO, TAG_HIGHEST, type GapReason } from '@tideway/protocol';
import type { Env } from '../env.ts';
import type { LogConstants, Position, Tail, TailError } from '../log/log.ts';
import { Applier } from './applier.ts';
import { Channels } from './channels.ts';
import { FeedIndex } from './feed-index.ts';
import { FeedPages } from './feed-pages.ts';
import { Fold } from './fold.ts';
import { positionNumber } from './packed-place.ts';
import { Pages } from './pages.ts';
import type { AgeClock } from './retention.ts';
import type { StoreKeeper } from './store-keeper.ts';
import type { Applied } from './store-keys.ts';
import type { Store, StoreError } from './store.ts';
import { TRAIL_RECORDS } from './trail.ts';
import { Upkeep } from './upkeep.ts';
import type { ViewLog } from './view-log.ts';
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
    | 'forerunner_failed'
    | 'tail_ended'
    | 'clock_in_doubt'
    | 'follower_failed'
    | 'upkeep_failed';
  readonly message: string;
  readonly error?: unknown;
}

export interface ViewOptions {
  /** Open; `constants` is what its `open` gave. */
  readonly log: ViewLog;
  readonly constants: LogConstants;
  /** Which partition of the log, 0-based; 0 by default. */
  readonly partition?: number;
  readonly store: Store;
  readonly env: Env;
  readonly retention: (namespace: string) => Retention;
  /** The fold's answer to a record of this node, after followers got the record. */
  readonly onVerdict: (ticket: string, verdict: Verdict, record: VisibleRecord | undefined) => void;
  /** The log does not go on from where the view was: what of these channels is not judged by now may be lost. */
  readonly onBroken?: ((concerns: (channel: string) => boolean) => void) | undefined;
  readonly onTrouble: (trouble: ViewTrouble) => void;
  /**
   * Where the log's beginning is lost: how far behind it a repeat of what was lost may stand. W by default; less for a
   * log whose only writer looks ids up before it appends.
   */
  readonly repeatSpan?: number;
  readonly unwrittenBytesMax?: number;
  readonly unwrittenRecordsMax?: number;
  /** Told how many records a channel's retention let go of. */
  readonly onTrimmed?: ((channel: string, records: number) => void) | undefined;
  /** Channels kept in memory without being in use. */
  readonly channelsKeptMax?: number;
  /** Once aborted, nothing of the log is waited for in order to open. */
  readonly givenUp?: AbortSignal | undefined;
  /** Where its store lies far behind the log, it is served from this one meanwhile (forerunner.ts). Absent: it waits. */
  readonly forerunStore?: Store | undefined;
}

export interface Life {
  readonly fold: Fold;
  readonly channels: Channels;
  readonly applier: Applier;
  readonly parts: WindowParts;
  readonly writer: Writer;
  readonly upkeep: Upkeep;
  readonly pages: Pages;
  readonly feed: FeedPages;
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
  /** The store lacks what it had confirmed, or is damaged. */
  onLost(life: Life, why: StoreError): void;
}

/** What stands in a store that is empty: nothing is applied, and nothing is known of what lies below `base`. */
export function firstApplied(options: ViewOptions, epoch: string, base: Position): Applied {
  const { env, constants, repeatSpan } = options;
  const [low, high] = new Uint32Array(Uint8Array.from(env.randomBytes(8)).buffer);
  return {
    epoch,
    position: base,
    tag: TAG_HIGHEST,
    serial: 0,
    base,
    feedBase: base,
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
    /** It begins near the log's end and not where the log does. */
    readonly isForerunner: boolean;
    readonly ageClock: AgeClock;
    readonly events: LifeEvents;
  },
): Promise<Life> {
  const { env, constants } = options;
  const { keeper, applied, events } = parts;
  const { epoch } = applied;
  const fold = new Fold({
    epoch,
    window: constants.window,
    hashKey: applied.hashKey,
    isMisplaced: (channel) => constants.partitionOf(channel) !== (options.partition ?? 0),
  });
  if (applied.start !== undefined) fold.startAfter(positionNumber(applied.start.position), applied.start.span);
  const window = new WindowParts(constants.window, TRAIL_RECORDS);
  const at = positionNumber(applied.position);
  fold.load(await window.load((range) => keeper.scan(range), at), at);
  const channels = new Channels({
    epoch,
    base: applied.base,
    getSync: (key) => keeper.getSync(key),
    floorIsFinal: !parts.isForerunner,
    retention: options.retention,
    isFollowed: (channel) => events.isFollowed(channel),
    ...(options.channelsKeptMax === undefined ? {} : { keptMax: options.channelsKeptMax }),
  });
  const feedIndex = new FeedIndex(applied.feedBase ?? applied.position, (range) => keeper.scan(range));
  const applier = new Applier({
    fold,
    channels,
    now: () => env.now(),
    // A feed begins where everything is sure.
    onDoubt: (position) => (feedIndex.base = position),
    // What comes behind the goal is told, and a forerunner tells nothing that it would have to take back.
    sureBehind: parts.isForerunner ? parts.goal : undefined,
    position: applied.position,
    tag: applied.tag,
  });
  const writer: Writer = new Writer({
    env,
    keeper,
    applier,
    parts: window,
    feedIndex,
    applied,
    isFilling: () => !upkeep.isStarted,
    unwrittenBytesMax: options.unwrittenBytesMax,
    unwrittenRecordsMax: options.unwrittenRecordsMax,
    onFailed: (error) =>
      trouble(options, 'store_failed', 'the view writes no more until its store can be opened anew', error),
    onRecovered: () => trouble(options, 'store_recovered', 'the view writes again; nothing was lost'),
    onLost: (why) => events.onLost(life, why),
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
    feedIndex,
    oldestInLog: async () => (await options.log.bounds(options.partition ?? 0)).oldest,
    onFloor: (channel, floor) => events.onFloor(channel, floor),
    onTrimmed: options.onTrimmed,
    onTrouble: (error) => events.onUpkeepFailed(life, error),
  });
  const pages = new Pages(channels, keeper);
  const feed = new FeedPages({ epoch, index: feedIndex, applier, writer, pages });
  const life: Life = {
    fold,
    channels,
    applier,
    parts: window,
    writer,
    upkeep,
    pages,
    feed,
    goal: parts.goal,
    tail: undefined,
    ended: false,
  };
  return life;
}

/** Ends a life; with `flush` it writes what it can first. Who waits for the store may wait on: nothing comes of it. */
export async function endLife(life: Life, flush: boolean): Promise<void> {
  life.ended = true;
  await life.tail?.stop();
  life.upkeep.stop();
  if (flush) await life.writer.flush();
  await life.writer.stop();
}

/** While every id since the log's beginning is known, this is said to be how far back repeats are recognized. */
const RID_WINDOW_MS_MAX = 30 * 24 * 3_600_000;

/** How far back a repeated id is recognized, in milliseconds. */
export function ridWindowMsOf({ applier, parts, writer }: Life, { env, constants }: ViewOptions): number {
  const at = positionNumber(applier.position);
  if (writer.applied.start === undefined && at <= constants.window) return RID_WINDOW_MS_MAX;
  const oldestMs = parts.oldestMs(at);
  return Math.max(0, Math.min(RID_WINDOW_MS_MAX, env.now() - (oldestMs ?? Number.POSITIVE_INFINITY)));
}

export function trouble(
  options: Pick<ViewOptions, 'onTrouble' | 'givenUp'>,
  event: ViewTrouble['event'],
  message: string,
  error?: unknown,
): void {
  // Why a start is given up says whoever does it.
  if (options.givenUp?.aborted === true) return;
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
