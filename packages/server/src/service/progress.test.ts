import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Progress, type Taken } from './progress.ts';

const place = (n: number): string => `epoch1.1${String.fromCharCode(48 + n)}.tag_`;

test('a place is passed only when everything in front of it is done, in whatever order it is done', () => {
  const steps = fc.array(fc.oneof(fc.constant('take' as const), fc.constant('reached' as const), fc.nat(9)), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(steps, (story) => {
      const progress = new Progress();
      progress.open(3, [place(0)]);
      const open: { taken: Taken; at: number }[] = [];
      let read = 0;
      let reached = 0;
      for (const step of story) {
        if (step === 'take') open.push({ at: ++read, taken: progress.take(3, 0, place(read)) });
        else if (step === 'reached') progress.reached(3, 0, place((reached = read)));
        else {
          const [one] = open.splice(step % Math.max(1, open.length), 1);
          if (one !== undefined) progress.done(one.taken);
        }
        const [settled = ''] = progress.places(3);
        for (const { at } of open) assert.ok(settled < place(at), 'nothing in hand is passed');
        if (open.length === 0) assert.ok(settled >= place(reached), 'with nothing in hand it is as far as was read');
      }
    }),
  );
});

test('what was taken before a restart moves nothing', () => {
  const progress = new Progress();
  progress.open(0, [place(5), place(1)]);
  const taken = progress.take(0, 0, place(6));
  progress.restart(0, 0, place(2));
  progress.done(taken);
  assert.deepEqual(progress.places(0), [place(2), place(1)]);
  progress.close(0);
  progress.done(taken);
  assert.deepEqual(progress.places(0), []);
});
