/**
 * The view's housekeeping, in slices off the hot path: joins young runs into full ones, trims what the retention lets
 * go of, removes what a `trim` left behind, forgets channels that have been empty for long. One thing at a time.
 */
import type { Env } from '../env.ts';
import type { Applier } from './applier.ts';
import type { Channel } from './channels.ts';
import { positionOf } from './packed-place.ts';
import { frameLength } from './frame.ts';
import { AgeClock, countRunsToDrop, isOverLimit, type RunHeld } from './retention.ts';
import { cutIntoRuns, isFullRun, joinFrames, recordOf, RUN_RECORDS, splitFrames, timeOf } from './run.ts';
import type { Position } from '../log/log.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { channelOfMetaKey, decodeMeta, metaKey, metaRange, runKey, runsEnd, runsStart } from './store-keys.ts';
import type { StoreOp } from './store.ts';
import type { VisibleRecord } from './view.ts';
import type { Writer } from './writer.ts';

/** Young runs are joined when there are enough records for a full one, in at least this many pieces. */
const LOOSE_RUNS_MIN = 4;
/** What one step reads of a channel. */
const STEP_RUNS = 256;
const STEP_BYTES = 1024 * 1024;
/** All metas are looked at this often, or less often where that would take more than a part of the time. */
const ROUND_MS = 60_000;
const ROUND_SHARE = 1 / 50;
const ROUND_METAS = 256;
/** A channel without records is forgotten after this time; who held a place in it then starts at the base. */
const FORGET_MS = 30 * 24 * 3_600_000;
/** Beyond this many channels without records the oldest are forgotten sooner. */
const EMPTY_CHANNELS_MAX = 1_000_000;

export interface UpkeepOptions {
  readonly env: Env;
  readonly epoch: string;
  readonly keeper: StoreKeeper;
  readonly applier: Applier;
  readonly writer: Writer;
  readonly ageClock: AgeClock;
  readonly onFloor: (channel: string, floor: string) => void;
  readonly onTrouble: (error: unknown) => void;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #wanted = new Set<string>();
  #running: Promise<void> | undefined;
  #stopped = false;
  #cancelRound: (() => void) | undefined;
  #forgetMs = FORGET_MS;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  start(): void {
    this.#scheduleRound(ROUND_MS);
  }

  /** Looks at a channel that has changed; cheap. */
  consider(channel: Channel): void {
    if (this.#wants(channel)) this.#tendSoon(channel.name);
  }

  /** Resolves when nothing is left that was considered. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Looks at every channel now. */
  async round(): Promise<void> {
    const { keeper, epoch, applier } = this.#options;
    let after = '';
    let empty = 0;
    for (;;) {
      const { entries, end } = await keeper.scan(metaRange(after, ROUND_METAS));
      const forgotten: string[] = [];
      for (const { key, value } of entries) {
        if (this.#stopped) return;
        const name = channelOfMetaKey(key);
        after = name;
        const meta = decodeMeta(epoch, value);
        if (meta.records === 0) {
          empty++;
          if (this.#isOld(meta.changedMs, this.#forgetMs)) forgotten.push(name);
        }
        if (meta.unswept || this.#isOld(meta.oldestMs, applier.channels.retentionOf(name).ageMs)) this.#tendSoon(name);
      }
      await this.idle();
      if (forgotten.length > 0) await this.#forget(forgotten);
      if (end || this.#stopped) break;
      await new Promise<void>((resolve) => this.#options.env.endOfTick(resolve));
    }
    // Too many empty channels: a shorter memory, until there are fewer.
    this.#forgetMs = empty > EMPTY_CHANNELS_MAX ? this.#forgetMs / 2 : Math.min(FORGET_MS, this.#forgetMs * 2);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRound?.();
    this.#wanted.clear();
    await this.#running;
  }

  #wants(channel: Channel): boolean {
    return (
      channel.unswept ||
      isOverLimit(channel, channel.retention) ||
      (channel.looseRecords >= RUN_RECORDS && channel.looseRuns >= LOOSE_RUNS_MIN)
    );
  }

  #isOld(oldestMs: number, ageMs: number | undefined): boolean {
    if (oldestMs === 0 || ageMs === undefined) return false;
    const now = this.#options.ageClock.now();
    return now !== undefined && oldestMs < now - ageMs;
  }

  #scheduleRound(afterMs: number): void {
    const { env, onTrouble } = this.#options;
    this.#cancelRound = env.setTimer(afterMs, () => {
      const startedMs = env.monotonicMs();
      void this.round()
        .catch(onTrouble)
        .then(() => {
          const tookMs = env.monotonicMs() - startedMs;
          if (!this.#stopped) this.#scheduleRound(Math.max(ROUND_MS, tookMs / ROUND_SHARE));
        });
    });
  }

  #tendSoon(name: string): void {
    if (this.#stopped) return;
    this.#wanted.add(name);
    this.#running ??= this.#work().finally(() => (this.#running = undefined));
  }

  async #work(): Promise<void> {
    for (const name of this.#wanted) {
      this.#wanted.delete(name);
      try {
        await this.#tend(name);
      } catch (error) {
        this.#options.onTrouble(error);
      }
      if (this.#stopped) return;
    }
  }

  async #tend(name: string): Promise<void> {
    const { keeper, applier } = this.#options;
    while (keeper.away) await keeper.present();
    const channel = applier.channels.find(name);
    if (channel === undefined) return;
    channel.pins++;
    try {
      if (channel.unswept) await this.#sweep(channel);
      await this.#trim(channel);
      await this.#join(channel);
    } finally {
      channel.pins--;
    }
  }

  /** Removes runs that lie wholly at or below the floor. */
  async #sweep(channel: Channel): Promise<void> {
    const { keeper, applier, writer } = this.#options;
    // A write that is under way may still carry what was trimmed: the sweep comes behind it.
    await writer.add([]);
    while (!this.#stopped) {
      const range = { gt: runsStart(channel.name), lt: `${runKey(channel.name, positionOf(channel.floor))}!` };
      const { entries, end } = await keeper.scan({ ...range, limit: STEP_RUNS, bytes: STEP_BYTES });
      if (end) {
        channel.unswept = false;
        applier.markDirty(channel);
      }
      await writer.add(entries.map(({ key }) => ({ type: 'del', key })));
      if (end) return;
    }
  }

  async #trim(channel: Channel): Promise<void> {
    const { keeper, applier, writer, ageClock } = this.#options;
    const { name, retention } = channel;
    while (!this.#stopped && (isOverLimit(channel, retention) || this.#isOld(channel.oldestMs, retention.ageMs))) {
      const from = positionOf(channel.floor);
      const { entries } = await keeper.scan({
        gt: runKey(name, from),
        lt: runsEnd(name),
        limit: STEP_RUNS,
        bytes: STEP_BYTES,
      });
      if (positionOf(channel.floor) !== from) continue;
      const runs = entries.map(({ key, value }) => ({ key, ...runHeld(name, value, from, channel.changedMs) }));
      const drop = countRunsToDrop(runs, channel, retention, ageClock.now());
      const kept = runs[drop];
      if (drop === 0) {
        // Nothing may go: the oldest record is younger than was thought.
        if (kept !== undefined) channel.oldestMs = Math.max(channel.oldestMs, oldestOf(name, entries[0]?.value) ?? 0);
        return;
      }
      const ops: StoreOp[] = [];
      for (const run of runs.slice(0, drop)) {
        ops.push({ type: 'del', key: run.key });
        channel.records -= run.records;
        channel.bytes -= run.bytes;
      }
      channel.floor = (runs[drop - 1] as (typeof runs)[number]).newest.cursor;
      channel.oldestMs = channel.records === 0 ? 0 : (oldestOf(name, entries[drop]?.value) ?? channel.oldestMs);
      applier.markDirty(channel);
      this.#options.onFloor(name, channel.floor);
      await writer.add(ops);
    }
  }

  /** Joins young runs into full ones; what does not fill one stays as it is. */
  async #join(channel: Channel): Promise<void> {
    const { keeper, applier, writer } = this.#options;
    const { name } = channel;
    while (!this.#stopped && channel.looseRecords >= RUN_RECORDS && channel.looseRuns >= LOOSE_RUNS_MIN) {
      const gt = runKey(name, channel.looseAfter);
      const { entries, end } = await keeper.scan({ gt, lt: runsEnd(name), limit: STEP_RUNS, bytes: STEP_BYTES });
      const runs = cutIntoRuns(entries.flatMap(({ value }) => splitFrames(value)));
      const last = runs.at(-1);
      const rest = end && last !== undefined && !isFullRun(last.length, bytesOf(last)) ? runs.pop() : undefined;
      const ops: StoreOp[] = entries.map(({ key }) => ({ type: 'del', key }));
      for (const run of rest === undefined ? runs : [...runs, rest]) {
        ops.push({ type: 'put', key: runKey(name, lastOf(name, run).position), value: joinFrames(run) });
      }
      const lastFull = runs.at(-1);
      if (lastFull !== undefined) channel.looseAfter = lastOf(name, lastFull).position;
      // Counted anew: what was written since the scan is counted when it is next looked at.
      channel.looseRuns = rest === undefined ? 0 : 1;
      channel.looseRecords = rest?.length ?? 0;
      channel.arrangement++;
      applier.markDirty(channel);
      await writer.add(ops);
      channel.arrangement++;
      if (end) return;
    }
  }

  async #forget(names: readonly string[]): Promise<void> {
    const { applier, keeper, writer } = this.#options;
    const ops: StoreOp[] = [];
    for (const name of names) {
      while (keeper.away) await keeper.present();
      const channel = applier.channels.find(name);
      if (channel === undefined || channel.records > 0 || channel.dirty || channel.pins > 0 || channel.closed) continue;
      if (!this.#isOld(channel.changedMs, this.#forgetMs)) continue;
      applier.channels.forget(channel);
      ops.push({ type: 'del', key: metaKey(name) });
    }
    if (ops.length > 0) await writer.add(ops);
  }
}

/** A run's records above the floor. */
function runHeld(
  channel: string,
  run: Buffer,
  floor: Position,
  unknownMs: number,
): RunHeld & { newest: VisibleRecord } {
  let frames = splitFrames(run);
  // The oldest run may have begun below the floor.
  if (recordOf(channel, (frames[0] as Frame).frame).position <= floor) {
    frames = frames.filter(({ frame }) => recordOf(channel, frame).position > floor);
  }
  const newest = lastOf(channel, frames);
  return {
    records: frames.length,
    bytes: bytesOf(frames),
    newest,
    newestMs: timeOf(channel, newest) ?? unknownMs,
  };
}

interface Frame {
  readonly frame: Buffer;
}

function lastOf(channel: string, frames: readonly Frame[]): VisibleRecord {
  return recordOf(channel, (frames.at(-1) as Frame).frame);
}

function bytesOf(frames: readonly Frame[]): number {
  return frames.reduce((sum, { frame }) => sum + frame.length, 0);
}

function oldestOf(channel: string, run: Buffer | undefined): number | undefined {
  return run === undefined ? undefined : timeOf(channel, recordOf(channel, run.subarray(0, frameLength(run))));
}
