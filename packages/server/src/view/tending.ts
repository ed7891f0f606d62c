/**
 * What housekeeping does to one channel, a step at a time: removes what a `trim` left behind, trims what the retention
 * lets go of, joins young runs into full ones. Told to stop, it changes nothing any more: what it waits for may come from
 * a store that is another one by then.
 */
import type { Position } from '../log/log.ts';
import type { Applier } from './applier.ts';
import type { Channel } from './channels.ts';
import { frameLength } from './frame.ts';
import { positionOf } from './packed-place.ts';
import { countRunsToDrop, isOverLimit, type AgeClock, type RunHeld } from './retention.ts';
import { cutIntoRuns, isFullRun, joinFrames, recordOf, RUN_RECORDS, splitFrames, timeOf } from './run.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { runKey, runsEnd, runsStart } from './store-keys.ts';
import type { StoreOp } from './store.ts';
import type { VisibleRecord } from './view.ts';
import type { Writer } from './writer.ts';

/**
 * Young runs are joined when so many pieces hold enough records for a full run; fewer pieces, down to the least, when
 * they hold enough for some: what does not fill a run is written anew each time.
 */
const LOOSE_RUNS_MAX = 64;
const LOOSE_RUNS_MIN = 4;
const LOOSE_RECORDS = 4 * RUN_RECORDS;
/** What one step reads of a channel. */
const STEP_RUNS = 256;
const STEP_BYTES = 1024 * 1024;

export interface TendingOptions {
  readonly keeper: StoreKeeper;
  readonly applier: Applier;
  readonly writer: Writer;
  readonly ageClock: AgeClock;
  readonly onFloor: (channel: string, floor: string) => void;
  readonly onTrimmed: ((channel: string, records: number) => void) | undefined;
}

export class Tending {
  readonly #options: TendingOptions;
  #stopped = false;

  constructor(options: TendingOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** True when there is something to do; cheap. */
  wants(channel: Channel): boolean {
    return channel.unswept || isOverLimit(channel, channel.retention) || isLoose(channel);
  }

  async tend(channel: Channel): Promise<void> {
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
      if (this.#stopped) return;
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
    while (!this.#stopped && (isOverLimit(channel, retention) || ageClock.isOlder(channel.oldestMs, retention.ageMs))) {
      const from = positionOf(channel.floor);
      const { entries } = await keeper.scan({
        gt: runKey(name, from),
        lt: runsEnd(name),
        limit: STEP_RUNS,
        bytes: STEP_BYTES,
      });
      if (this.#stopped) return;
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
      const before = channel.records;
      for (const run of runs.slice(0, drop)) {
        ops.push({ type: 'del', key: run.key });
        channel.records -= run.records;
        channel.bytes -= run.bytes;
      }
      channel.floor = (runs[drop - 1] as (typeof runs)[number]).newest.cursor;
      channel.oldestMs = channel.records === 0 ? 0 : (oldestOf(name, entries[drop]?.value) ?? channel.oldestMs);
      applier.markDirty(channel);
      this.#options.onFloor(name, channel.floor);
      this.#options.onTrimmed?.(name, before - channel.records);
      await writer.add(ops);
    }
  }

  /** Joins young runs into full ones; what does not fill one stays as it is. */
  async #join(channel: Channel): Promise<void> {
    const { keeper, applier, writer } = this.#options;
    const { name } = channel;
    while (!this.#stopped && isLoose(channel)) {
      const gt = runKey(name, channel.looseAfter);
      const { entries, end } = await keeper.scan({ gt, lt: runsEnd(name), limit: STEP_RUNS, bytes: STEP_BYTES });
      if (this.#stopped) return;
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
      // Until this is confirmed a reader may find runs as they were, as they will be, or first one and then the other.
      await writer.add(ops);
      channel.arrangement++;
      if (end) return;
    }
  }
}

/** There is enough to join. */
function isLoose({ looseRecords, looseRuns }: Channel): boolean {
  return looseRecords >= (looseRuns >= LOOSE_RUNS_MAX ? RUN_RECORDS : LOOSE_RECORDS) && looseRuns >= LOOSE_RUNS_MIN;
}

/** A run's records above the floor. */
function runHeld(
  channel: string,
  run: Buffer,
  floor: Position,
  unknownMs: number,
): RunHeld & { newest: VisibleRecord } {
  let from = 0;
  // The oldest run may have begun below the floor.
  while (recordOf(channel, frameAt(run, from)).position <= floor) from += frameLength(run, from);
  let records = 0;
  let last = from;
  for (let at = from; at < run.length; at += frameLength(run, at)) {
    last = at;
    records++;
  }
  const newest = recordOf(channel, frameAt(run, last));
  return { records, bytes: run.length - from, newest, newestMs: timeOf(channel, newest) ?? unknownMs };
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
  return run === undefined ? undefined : timeOf(channel, recordOf(channel, frameAt(run, 0)));
}

function frameAt(run: Buffer, at: number): Buffer {
  return run.subarray(at, at + frameLength(run, at));
}
