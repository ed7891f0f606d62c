/**
 * The client against a world that lies in wait: connections cut at any moment, servers that go away in order, slow and jumpy lines, answers lost,
 * appends refused for a while, frames left out or sent twice, connections that live on at one end only, a log that is
 * trimmed, rewound or replaced, readers that dawdle. Whatever happens, each reader sees the log in order, once, with every gap said, and each append has one outcome.
 * A failure prints fast-check's seed and path; with them the same run happens again.
 */
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CLIENTS, SimulatedRun, type Step } from './simulated-run.ts';

const small = fc.nat({ max: CLIENTS - 1 });
const moment = fc.integer({ min: 1, max: 3_000 });

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      writer: small,
      channel: small,
      count: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('foreign' as const),
      channel: small,
      count: fc.integer({ min: 1, max: 400 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('read' as const),
      reader: small,
      channel: small,
      from: fc.constantFrom('oldest', 'now', 'last:3', 'last:0'),
      pauseMs: fc.constantFrom(0, 0, 1, 20),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('stop' as const), reading: fc.nat({ max: 9 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('cut' as const), close: fc.constantFrom(1006, 1001, 1012, 4002, 4005) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('drain' as const), withinMs: moment }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('down' as const), forMs: moment }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('lose answers' as const), forMs: moment }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('refuse' as const), forMs: moment, isStored: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('leave out' as const), forMs: fc.integer({ min: 1, max: 300 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('repeat' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('trim' as const), channel: small, keep: fc.nat({ max: 30 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('slow' as const), latencyMs: fc.integer({ min: 1, max: 400 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('wake' as const) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('tear' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('rewind' as const), drop: fc.integer({ min: 1, max: 60 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('other log' as const) }) },
);

for (const transports of [
  ['websocket', 'websocket'],
  ['sse', 'websocket'],
] as const) {
  test(`whatever happens, readers over ${transports.join(' and ')} see the log and appends have one outcome`, async () => {
    const runs = Number(process.env['TIDEWAY_SIMULATIONS'] ?? 100);
    const scenario = fc.array(fc.tuple(fc.integer({ min: 0, max: 800 }), step), { minLength: 5, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(fc.nat(), scenario, async (seed, steps) => {
        const run = new SimulatedRun(seed, transports);
        for (const [waitMs, one] of steps) {
          await run.scene.world.pass(waitMs);
          run.take(one);
        }
        await run.settle();
        run.check();
      }),
      { numRuns: runs },
    );
  });
}
