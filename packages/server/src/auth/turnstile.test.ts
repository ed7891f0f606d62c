import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createTurnstile } from './turnstile.ts';

test('never more are inside than there are places, and all get in, in the order they came', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.scheduler(),
      fc.integer({ min: 0, max: 20 }),
      async (places, scheduler, count) => {
        const turnstile = createTurnstile(places);
        const entered: number[] = [];
        let inside = 0;
        const visits = Array.from({ length: count }, async (_, n) => {
          const leave = await turnstile.enter();
          entered.push(n);
          inside++;
          assert.ok(inside <= places);
          await scheduler.schedule(Promise.resolve());
          inside--;
          leave();
          leave();
        });
        await scheduler.waitFor(Promise.all(visits));
        assert.deepEqual(
          entered,
          Array.from({ length: count }, (_, n) => n),
        );
      },
    ),
  );
});
