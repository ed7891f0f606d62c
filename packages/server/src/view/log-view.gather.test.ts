import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber } from '@tideway/protocol';
import type { Env } from '../env.ts';
import { nodeEnv } from '../env.ts';
import type { Tail, TailRecord } from '../log/log.ts';
import { recordTag } from '../log/record.ts';
import { RUN_RECORDS } from './run.ts';
import { MemoryStore } from './store-memory.ts';
import type { StoreOp } from './store.ts';
import { GivenLog } from './testing/given-log.ts';
import { contentOf } from './testing/store-content.ts';
import { Rig, waitFor } from './testing/view-rig.ts';

class CountingStore extends MemoryStore {
  writes = 0;

  override write(ops: readonly StoreOp[]): Promise<void> {
    this.writes++;
    return super.write(ops);
  }
}

/** The real world, but a timer runs only when the test lets it. */
function heldTimers(): Env & { run(): void } {
  const held = new Set<() => void>();
  return {
    ...nodeEnv,
    setTimer(_delayMs, callback) {
      held.add(callback);
      return () => void held.delete(callback);
    },
    run() {
      for (const callback of held) {
        held.delete(callback);
        callback();
      }
    },
  };
}

test('appends that come one by one share a write to the store, and can be read before it', async () => {
  const env = heldTimers();
  const store = new CountingStore();
  const rig = await Rig.open(store, { env });
  await rig.view.flush();
  const before = store.writes;
  const cursors = await rig.fill('chat:1', 20, 1);
  assert.equal(store.writes, before, 'nothing is written yet');
  assert.deepEqual(
    (await rig.readAll('chat:1')).map((record) => record.cursor),
    cursors,
  );
  env.run();
  await waitFor('the write', () => store.writes > before);
  assert.equal(store.writes, before + 1);
  await rig.view.close();
});

test('a flood is written without waiting for a timer, and so is what somebody waits for', async () => {
  const env = heldTimers();
  const store = new CountingStore();
  const rig = await Rig.open(store, { env });
  await rig.view.flush();
  const before = store.writes;
  await rig.fill('chat:1', 300, 50);
  await waitFor('the write', () => store.writes > before);
  await rig.fill('chat:1', 5, 1);
  assert.equal(await rig.view.flush(), true);
  await rig.view.close();
});

/** A log that was there before the view: a turn passes between its pages, as where a broker is asked for each. */
class FilledLog extends GivenLog {
  override tail(...[partition, after, onBatch, onError]: Parameters<GivenLog['tail']>): Promise<Tail> {
    const onPage = async (batch: readonly TailRecord[]): Promise<void> => {
      await onBatch(batch);
      await new Promise<void>((resolve) => void setImmediate(resolve));
    };
    return super.tail(partition, after, onPage, onError);
  }
}

test('a view that fills from a log writes in large pieces, and tidies once it serves', async () => {
  const payload = Buffer.from('1');
  const records = Array.from({ length: 8_000 }, (_, n): TailRecord => {
    const record = { channel: `chat:${n % 10}`, kind: 'data', encoding: 'json', payload } as const;
    return { position: encodePositionNumber(n + 1), tag: recordTag(record), record };
  });
  const log = new FilledLog({ epoch: 'epochA', window: 1_000, readRecords: 400 });
  log.give(records);
  const store = new CountingStore();
  const options = { log, constants: log.constants, env: heldTimers(), unwrittenRecordsMax: 8_000 };
  const rig = await Rig.open(store, options);
  await rig.view.flush();
  // A quarter of what may be unwritten, and what came while the one before was on its way.
  assert.ok(store.writes <= 6, `${store.writes} writes`);
  await rig.view.tidy();
  const full = Math.floor(800 / RUN_RECORDS);
  const runs = (await contentOf(store)).filter(({ key }) => key.startsWith('r'));
  assert.ok(runs.length <= 10 * (full + 4), `${runs.length} runs`);
  await rig.view.close();
});
