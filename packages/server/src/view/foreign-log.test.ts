/**
 * F6: wherever in the log a view starts, whenever it is stopped and started again, it shows above its floors what a view
 * of the whole log shows, and no place that it gives out says what is not so.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { positionNumber, positionOf } from './packed-place.ts';
import { compare, count, lifeOf, live, Tally, type Life } from './testing/foreign-lives.ts';
import { foreignLog, type ForeignLog } from './testing/foreign-records.ts';

const RUNS = Number(process.env['TIDEWAY_SEEDS'] ?? 60);

/** All of it comes up: a run in which one of them does not has tested nothing of it. */
const MET = [
  'visible',
  'duplicate',
  'a repeat of a repeat',
  'conflict',
  'closed',
  'close',
  'trim',
  'unreadable',
  'misplaced',
  'a doubt that is right',
  'a needless doubt',
  'a doubt that rests on a doubt',
  'a late view that shows something',
];

interface Case {
  readonly log: ForeignLog;
  readonly whole: Life;
  readonly late: readonly [Life, Life];
}

const caseOf = (window: number): fc.Arbitrary<Case> =>
  foreignLog(window).chain((log) => {
    const { length } = log.records;
    return fc.record({
      log: fc.constant(log),
      whole: lifeOf(length, 0),
      late: fc.tuple(lifeOf(length, length >> 1), lifeOf(length, length)),
    });
  });

/** The windows of logs on brokers and of the embedded log; and small ones, in which all of it meets. */
for (const window of [2, 4, 12, 30, 65_536, 1_048_576]) {
  test(`W = ${window}: wherever a view starts, it shows above its floors what the whole log shows`, async () => {
    const tally = new Tally();
    const property = fc.asyncProperty(caseOf(window), async ({ log, whole, late }) => {
      const starts = late.map(({ start }) => start);
      count(log, starts, tally);
      await live(log, whole, async (rig, truths) => {
        await compare(rig, truths);
        for (const [channel, { trimmedTo }] of truths) {
          const { floor } = rig.view.state(channel);
          assert.equal(positionNumber(positionOf(floor)), trimmedTo, 'from the beginning nothing is in doubt');
        }
      });
      for (const life of late) {
        let shown = 0;
        await live(log, life, async (rig, truths) => void (shown = await compare(rig, truths)));
        if (life.start > 0 && shown > 0) tally.add('a late view that shows something');
      }
    });
    await fc.assert(property, { numRuns: RUNS });
    // Each comes up a dozen times and more in so many logs.
    if (RUNS >= 60) for (const what of MET) assert.ok(tally.of(what) > 0, `${what}: never in ${RUNS} logs`);
  });
}
