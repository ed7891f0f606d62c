/** Views in front of a foreign log, begun anywhere in it and stopped and started again, and what the whole log says. */
import assert from 'node:assert/strict';
import { formatCursor, isUnknownTag } from '@tideway/protocol';
import * as fc from 'fast-check';
import type { TailRecord } from '../../log/log.ts';
import { Fold } from '../fold.ts';
import { frameParts } from '../frame.ts';
import { positionNumber, positionOf, tagOf } from '../packed-place.ts';
import { MemoryStore } from '../store-memory.ts';
import { CHANNELS, EPOCH, FAR_CHANNEL, partitionOf, type ForeignLog } from './foreign-records.ts';
import { GivenLog } from './given-log.ts';
import { judgeSlowly, type SlowVerdict } from './slow-fold.ts';
import { Rig } from './view-rig.ts';

/** What a channel is by the whole log, judged from its first record on. */
export interface Truth {
  /** Every record that was ever visible. */
  readonly visible: { readonly at: number; readonly cursor: string; readonly payload: string }[];
  /** What stands at or before it was let go of by a `trim`; 0 where nothing was. */
  trimmedTo: number;
}

/** How often what the rules are about was met, so that a test can say that it was. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(what: string): void {
    this.#counts.set(what, this.of(what) + 1);
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }
}

function foldOf({ window }: ForeignLog): Fold {
  return new Fold({ epoch: EPOCH, window, hashKey: [1, 2], isMisplaced: (channel) => partitionOf(channel) !== 0 });
}

/** The whole log by the rules, without a fold of the view's. */
function judge({ records, window }: ForeignLog): SlowVerdict[] {
  const ours: ReadonlySet<string> = new Set(CHANNELS);
  return judgeSlowly(records, window, ({ record }) => !ours.has(record.channel));
}

export function judgeWhole(log: ForeignLog): Map<string, Truth> {
  const names = [...CHANNELS, FAR_CHANNEL, '', 'no channel'];
  const truths = new Map<string, Truth>(names.map((channel) => [channel, { visible: [], trimmedTo: 0 }]));
  const verdicts = judge(log);
  for (const [i, { position, tag, record }] of log.records.entries()) {
    const at = positionNumber(position);
    const truth = truths.get(record.channel);
    const { state } = verdicts[i] as SlowVerdict;
    const cursor = formatCursor(EPOCH, position, tag);
    if (state === 'visible') truth?.visible.push({ at, cursor, payload: record.payload.toString() });
    else if (state === 'control' && record.kind === 'trim' && truth !== undefined) truth.trimmedTo = at;
  }
  return truths;
}

/** Counts what the whole log holds, and what a fold that begins behind so many records is unsure of. */
export function count(log: ForeignLog, starts: readonly number[], tally: Tally): void {
  const verdicts = judge(log);
  const late = starts.map((start) => {
    const fold = foldOf(log);
    const at = start === 0 ? -1 : positionNumber((log.records[start - 1] as TailRecord).position);
    if (at >= 0) fold.startAfter(at, log.window);
    return { fold, start, at };
  });
  for (const [i, item] of log.records.entries()) {
    const { state, answer } = verdicts[i] as SlowVerdict;
    const at = positionNumber(item.position);
    tally.add(state === 'control' ? item.record.kind : state);
    if (item.record.channel === FAR_CHANNEL) tally.add('misplaced');
    if (state === 'duplicate' && at - Number(/\d+$/.exec(answer)?.[0] ?? at) > log.window) {
      tally.add('a repeat of a repeat');
    }
    for (const { fold, start, at: begin } of late) {
      if (i < start) continue;
      const judged = fold.judge(item, undefined);
      if (!judged.unsure || judged.verdict.state !== 'visible') continue;
      tally.add(state === 'visible' ? 'a needless doubt' : 'a doubt that is right');
      if (at > begin + log.window) tally.add('a doubt that rests on a doubt');
    }
  }
}

export interface Life {
  /** Behind how many records the log begins when the view first opens; 0: with its first. */
  readonly start: number;
  /** How many records there are then. */
  readonly opened: number;
  /** How many there are when it is stopped and started again. */
  readonly restarts: readonly number[];
}

/** A life that starts behind at most `startMax` of so many records. */
export function lifeOf(records: number, startMax: number): fc.Arbitrary<Life> {
  return fc
    .record({
      start: fc.nat(startMax),
      opened: fc.nat(records),
      restarts: fc.array(fc.nat(records), { maxLength: 2 }),
    })
    .map(({ start, opened, restarts }) => ({
      start,
      opened: Math.max(start, opened),
      restarts: restarts.filter((at) => at >= Math.max(start, opened)).sort((a, b) => a - b),
    }));
}

/** So many records at once come while a view runs. */
const GIVEN_AT_ONCE = 3;

/** Runs a view until it has the whole log; `look` is called before and behind each restart, with what is true by then. */
export async function live(
  log: ForeignLog,
  life: Life,
  look: (rig: Rig, truths: Map<string, Truth>) => Promise<void>,
): Promise<void> {
  const { records, window } = log;
  const given = new GivenLog({ epoch: EPOCH, window, partitionOf, readRecords: 5 });
  const store = new MemoryStore();
  const options = { log: given, constants: given.constants };
  let held = life.opened;
  given.give(records.slice(0, held));
  if (life.start > 0) given.trim((records[life.start - 1] as TailRecord).position);
  let rig = await Rig.open(store, options);
  try {
    for (const restart of [...life.restarts, records.length]) {
      while (held < restart) {
        const more = records.slice(held, Math.min(restart, held + GIVEN_AT_ONCE));
        given.give(more);
        held += more.length;
      }
      const newest = records[held - 1];
      if (newest !== undefined && held > life.start) {
        assert.ok(await rig.view.reach('', newest.position, 60_000), 'it comes to the end of the log');
      }
      const truths = judgeWhole({ window, records: records.slice(0, held) });
      await look(rig, truths);
      await rig.view.close();
      rig = await Rig.open(store, options);
      await look(rig, truths);
      assert.deepEqual(rig.troubles, []);
    }
  } finally {
    await rig.view.close();
  }
}

/** A tag that a place says is that of the newest visible record there. */
function assertTrue(what: string, place: string, { visible }: Truth): void {
  if (isUnknownTag(tagOf(place))) return;
  const at = positionNumber(positionOf(place));
  const newest = visible.findLast((record) => record.at <= at);
  assert.equal(tagOf(place), newest === undefined ? undefined : tagOf(newest.cursor), `the tag of ${what} ${place}`);
}

/** Compares a view with the truth; resolves with how many records it shows. */
export async function compare(rig: Rig, truths: ReadonlyMap<string, Truth>): Promise<number> {
  let shown = 0;
  for (const [channel, truth] of truths) {
    const { floor, place, head } = rig.view.state(channel);
    const floorAt = positionNumber(positionOf(floor));
    assert.ok(floorAt >= truth.trimmedTo, 'what was trimmed is not shown');
    const expected = truth.visible.filter(({ at }) => at > floorAt);
    const records = await rig.readAll(channel);
    assert.deepEqual(
      records.map(({ cursor, frame }) => ({ cursor, payload: frameParts(frame).payload.toString() })),
      expected.map(({ cursor, payload }) => ({ cursor, payload })),
      `${channel} above ${floor}`,
    );
    assert.deepEqual(await rig.readAllBackward(channel, 7), records);
    assertTrue('the floor', floor, truth);
    assertTrue('the place', place, truth);
    if (head !== undefined) assertTrue('the head', head, truth);
    if (records[0] !== undefined) assertTrue('the first prev', records[0].prev, truth);
    if (expected.length > 0) assert.equal(head, expected.at(-1)?.cursor);
    shown += records.length;
  }
  return shown;
}
