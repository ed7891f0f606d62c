/**
 * A client moves between nodes whose views began at different places of one log: it gets what it lacks, or is told of a
 * gap, and of none where a node knows that nothing is missing (SUB-6, GAP-2).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { encodePositionNumber, parseCursor } from '@tideway/protocol';
import { createTurnstile } from '../auth/turnstile.ts';
import type { PhysicalRecord } from '../log/log.ts';
import { recordTag } from '../log/record.ts';
import { positionNumber } from '../view/packed-place.ts';
import { MemoryStore } from '../view/store-memory.ts';
import { lifeOf, live, Tally, type Life, type Truth } from '../view/testing/foreign-lives.ts';
import { EPOCH, foreignLog } from '../view/testing/foreign-records.ts';
import { GivenLog } from '../view/testing/given-log.ts';
import { assertChained, Rig } from '../view/testing/view-rig.ts';
import { findStart } from './resume.ts';

const RUNS = Number(process.env['TIDEWAY_SEEDS'] ?? 60);
const WINDOW = 12;
const turns = createTurnstile(2);
/** A view of the whole log, opened when all of it is there. */
const WHOLE: Life = { start: 0, opened: 0, restarts: [] };

function numberOf(place: string): number {
  return positionNumber(parseCursor(place)?.position ?? assert.fail(`${place} is no cursor`));
}

/** Every place that a node gives out: with a record, as a floor, as the newest. */
async function placesOf(rig: Rig, channel: string): Promise<string[]> {
  const { floor, place } = rig.view.state(channel);
  const records = await rig.readAll(channel);
  return [floor, place, ...records.map(({ cursor }) => cursor)];
}

/** A client that stands at a place goes on at a node. */
async function move(place: string, rig: Rig, channel: string, truth: Truth, tally: Tally): Promise<void> {
  const at = numberOf(place);
  const { floor } = rig.view.state(channel);
  const lacked = truth.visible.filter((record) => record.at > at);
  const isMissing = lacked.some((record) => record.at <= numberOf(floor));
  const what = `${place} of ${channel} above ${floor}`;
  const start = await findStart({ view: rig.view, channel, turns }, place);
  assert.ok(start.ok, what);
  const both = await findStart({ view: rig.view, channel, turns, wantsPage: true }, place);
  assert.ok(both.ok, what);
  const { page, ...alike } = both;
  assert.deepEqual(alike, start, `${what}: asked for its page as well it starts elsewhere`);
  if (page !== undefined) assertChained(page.records, place);
  tally.add(start.reason ?? 'resumed');
  if (start.resumed === true) {
    assert.ok(!isMissing, `${what}: something is missing, and it is not said`);
    const records = await rig.readAll(channel, start.deliverFrom);
    assert.deepEqual(
      records.map(({ cursor }) => cursor),
      lacked.map(({ cursor }) => cursor),
      what,
    );
    assertChained(records, start.place);
    return;
  }
  assert.equal(start.reason, 'trimmed', what);
  assert.ok(at < numberOf(floor), what);
  // Only a node that does not know what lies below its floor may say so where nothing is missing.
  if (numberOf(floor) === truth.trimmedTo) assert.ok(isMissing, `${what}: a gap where nothing is missing`);
}

test('a client that moves between nodes that began at different places gets what it lacks, or is told', async () => {
  const tally = new Tally();
  const cases = foreignLog(WINDOW, 60).chain((log) =>
    fc.record({
      log: fc.constant(log),
      one: lifeOf(log.records.length, log.records.length >> 1),
      other: lifeOf(log.records.length, log.records.length),
    }),
  );
  const property = fc.asyncProperty(cases, async ({ log, one, other }) => {
    const newest = log.records.at(-1)?.position;
    /** Opens the nodes inside of each other, each once it has all; between all of them clients move. */
    const open = async ([life, ...rest]: readonly Life[], nodes: readonly Rig[]): Promise<void> => {
      let isDone = false;
      await live(log, life as Life, async (rig, truths) => {
        if (isDone || rig.view.applied('') !== newest) return;
        isDone = true;
        const opened = [...nodes, rig];
        if (rest.length > 0) return await open(rest, opened);
        for (const [channel, truth] of truths) {
          for (const from of opened) {
            for (const place of await placesOf(from, channel)) {
              for (const to of opened) await move(place, to, channel, truth, tally);
            }
          }
        }
      });
    };
    await open([WHOLE, one, other], []);
  });
  await fc.assert(property, { numRuns: RUNS });
  for (const what of ['resumed', 'trimmed']) assert.ok(tally.of(what) >= RUNS, `${what}: ${tally.of(what)} times`);
});

test('SUB-6, 3: two places without a tag are not the same place', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: 10 });
  const record: PhysicalRecord = { channel: 'chat:1', kind: 'data', encoding: 'json', payload: Buffer.from('1') };
  log.give([1, 2].map((at) => ({ position: encodePositionNumber(at), tag: recordTag(record), record })));
  log.trim(encodePositionNumber(1));
  const rig = await Rig.open(new MemoryStore(), { log, constants: log.constants });
  // The record may repeat one that is gone, so the node does not know what stands there.
  assert.equal(rig.view.state('chat:1').head, `${EPOCH}.${encodePositionNumber(2)}.zzzz`);
  const start = await findStart(
    { view: rig.view, channel: 'chat:1', turns },
    `${EPOCH}.${encodePositionNumber(9)}.zzzz`,
  );
  assert.deepEqual(start.ok && [start.resumed, start.reason], [false, 'diverged']);
  await rig.view.close();
});
