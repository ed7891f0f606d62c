/** What overlays become in the store: runs of each channel's young records, its meta, and what the feed lists of them. */
import type { Channel } from './channels.ts';
import { encodeFeedPart } from './feed-index.ts';
import { positionOf } from './packed-place.ts';
import { cutIntoRuns, isFullRun, joinFrames } from './run.ts';
import { encodeMeta, metaKey, runKey } from './store-keys.ts';
import type { StoreOp } from './store.ts';
import type { VisibleRecord } from './view.ts';

/** What was taken of a channel, so that it can be confirmed or taken back. */
export interface TakenYoung {
  readonly channel: Channel;
  /** How many young records. */
  readonly records: number;
  /** How much was added to the channel's loose runs. */
  readonly looseRuns: number;
  readonly looseRecords: number;
}

/** Adds the ops that write what is young in these channels. */
export function takeYoung(channels: readonly Channel[], nowMs: number, ops: StoreOp[]): TakenYoung[] {
  const part = encodeFeedPart(channels);
  if (part !== undefined) ops.push(part);
  return channels.map((channel) => takeOne(channel, nowMs, ops));
}

/** Adds the ops for one channel, and counts its loose runs. */
function takeOne(channel: Channel, nowMs: number, ops: StoreOp[]): TakenYoung {
  let looseRuns = 0;
  let looseRecords = 0;
  for (const run of cutIntoRuns(aboveFloor(channel))) {
    const value = joinFrames(run);
    const { position } = run.at(-1) as VisibleRecord;
    ops.push({ type: 'put', key: runKey(channel.name, position), value });
    if (!isFullRun(run.length, value.length)) {
      looseRuns++;
      looseRecords += run.length;
    } else if (channel.looseRuns === 0 && looseRuns === 0) channel.looseAfter = position;
  }
  channel.looseRuns += looseRuns;
  channel.looseRecords += looseRecords;
  channel.changedMs = nowMs;
  ops.push({ type: 'put', key: metaKey(channel.name), value: encodeMeta(channel) });
  // A channel that changes while it is written is dirty again from its next change on.
  channel.dirty = false;
  channel.pins++;
  return { channel, records: channel.young.length, looseRuns, looseRecords };
}

/** They are in the store: the overlay lets go of them. */
export function confirmYoung({ channel, records }: TakenYoung): void {
  channel.young = records === channel.young.length ? [] : channel.young.slice(records);
  channel.pins--;
}

/** They are not, and are to be written again; the caller marks the channel dirty. */
export function takeBackYoung({ channel, looseRuns, looseRecords }: TakenYoung): void {
  channel.looseRuns = Math.max(0, channel.looseRuns - looseRuns);
  channel.looseRecords = Math.max(0, channel.looseRecords - looseRecords);
  channel.pins--;
}

/** Young records that no trim has taken away. */
function aboveFloor({ young, floor }: Channel): readonly VisibleRecord[] {
  const first = young[0];
  const position = positionOf(floor);
  if (first === undefined || first.position > position) return young;
  return young.filter((record) => record.position > position);
}
