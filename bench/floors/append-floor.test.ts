import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requireService } from '../../scripts/services.ts';
import { startFloorAppend } from '../append-server.ts';
import { missingCompiler } from './compile.ts';

for (const reading of [false, true]) {
  test(`the floor of append answers every append once, whatever the pace (reading: ${reading})`, async (t) => {
    if (!requireService(t, 'gcc', missingCompiler() === undefined ? 'gcc' : undefined)) return;
    const floor = await startFloorAppend(reading);
    try {
      for (const pace of [{ lockstep: 1 }, { window: 20 }, { ratePerSecond: 2_000 }]) {
        const load = { channel: 'bench:append-', channels: 4, connections: 4, payloadBytes: 200, pace, records: 200 };
        const appender = floor.appender(load);
        try {
          await appender.ready();
          appender.go();
          const done = await appender.done();
          assert.deepEqual([done.acked, done.unanswered], [200, 0]);
        } finally {
          await appender.stop();
        }
      }
    } finally {
      await floor.stop();
    }
  });
}
