/** Cases of the log suite: places that the log does not hold (any more), and what it says of its bounds. */
import assert from 'node:assert/strict';
import { parseCursor } from '@tideway/protocol';
import type { TailRecord } from 'tideway/log';
import { assertAscending, placeOf, tailError, type LogCase, type LogRoom } from './log-case.ts';

/** Appends until the log would delete, telling it what is settled if so asked. Returns everything appended. */
async function fill(room: LogRoom, settle: boolean): Promise<readonly TailRecord[]> {
  const reading = await room.read();
  for (let n = 0; n < 1_000; n++) {
    await room.store(room.records(20, { encoding: 'bytes', payload: Buffer.alloc(200, 0x20) }));
    const { newest, oldest } = await room.log.bounds(room.partition);
    if (settle && room.log.wantsSettled) await room.log.settled(room.partition, newest);
    if (settle ? oldest !== '0' : room.log.wantsSettled) break;
  }
  await reading.upTo((await room.log.bounds(room.partition)).newest);
  await reading.tail?.stop();
  return reading.records;
}

export const placeCases: readonly LogCase[] = [
  {
    id: 'constants',
    title: 'a log has an epoch for each partition, a window, and a partition for each channel',
    async run({ constants }) {
      assert.ok(constants.epochs.length >= 1);
      for (const epoch of constants.epochs) assert.ok(parseCursor(`${epoch}.0.zzzz`) !== undefined, epoch);
      assert.ok(Number.isSafeInteger(constants.window) && constants.window >= 1);
      for (let n = 0; n < 100; n++) {
        const partition = constants.partitionOf(`suite:${n}`);
        assert.ok(Number.isInteger(partition) && partition >= 0 && partition < constants.epochs.length);
        assert.equal(constants.partitionOf(`suite:${n}`), partition);
      }
      return Promise.resolve();
    },
  },
  {
    id: 'empty',
    title: 'an empty log begins and ends at zero and holds everything there ever was',
    async run(room) {
      assert.deepEqual(await room.log.bounds(room.partition), { oldest: '0', newest: '0', fromGenesis: true });
      assert.equal(room.log.wantsSettled, false);
      assert.deepEqual(await room.readAll(), []);
    },
  },
  {
    id: 'diverged-tag',
    title: "a place whose tag is another record's is diverged; an unknown tag is taken as it is",
    async run(room) {
      await room.store(room.records(20));
      const all = await room.readAll();
      for (const n of [0, 7, 19]) {
        const { position, tag } = all[n] as TailRecord;
        const other = (all[(n + 1) % 20] as TailRecord).tag;
        assert.notEqual(tag, other);
        const error = await tailError(room.readAll({ position, tag: other }));
        assert.equal(error.reason, 'diverged');
        for (const unknown of ['----', 'zzzz']) {
          assert.equal((await room.readAll({ position, tag: unknown })).length, 19 - n);
        }
      }
    },
  },
  {
    id: 'diverged-newer',
    title: "a place newer than the log's newest record is diverged: the log was rewound",
    async run(room) {
      await room.store(room.records(3));
      const error = await tailError(room.read({ position: '61zzzzz', tag: 'zzzz' }));
      assert.equal(error.reason, 'diverged');
    },
  },
  {
    id: 'unsettled',
    title: 'nothing is deleted before it is settled; the log says that it wants to',
    size: 'small',
    async run(room) {
      const all = await fill(room, false);
      assert.equal(room.log.wantsSettled, true);
      assert.deepEqual((await room.log.bounds(room.partition)).oldest, '0');
      assert.equal((await room.readAll()).length, all.length);
    },
  },
  {
    id: 'trimmed',
    title: 'what is settled and out of use is deleted oldest first; places before it are trimmed, those after it whole',
    size: 'small',
    async run(room) {
      const all = await fill(room, true);
      const { oldest, newest, fromGenesis } = await room.log.bounds(room.partition);
      assert.equal(fromGenesis, false);
      assert.equal(newest, all.at(-1)?.position);
      const gone = all.findIndex(({ position }) => position === oldest);
      assert.ok(gone >= 0 && gone < all.length - 1);
      for (const n of new Set([0, Math.floor(gone / 2), gone - 1])) {
        if (n < 0 || n === gone) continue;
        const error = await tailError(room.read(placeOf(all[n] as TailRecord)));
        assert.equal(error.reason, 'trimmed');
        assert.equal(error.oldest, oldest);
      }
      assert.equal((await tailError(room.read({ position: '0', tag: '----' }))).reason, 'trimmed');
      const held = all.slice(gone + 1).map(({ position }) => position);
      for (const from of ['oldest' as const, placeOf(all[gone] as TailRecord)]) {
        assert.deepEqual(
          (await room.readAll(from)).map(({ position }) => position),
          held,
        );
      }
    },
  },
  {
    id: 'overtaken',
    title: 'a tail that deleting overtakes is told that it was trimmed, and is never given a hole',
    size: 'small',
    async run(room) {
      const slow = await room.read();
      let release: (() => void) | undefined;
      slow.onBatch = () => new Promise((resolve) => (release = resolve));
      await room.store(room.records(1));
      // What a tail keeps while it waits is bounded too: more is appended than it may keep.
      for (let n = 0; n < 200 && slow.error === undefined; n++) {
        for (let m = 0; m < 10; m++) {
          await room.store(room.records(10, { encoding: 'bytes', payload: Buffer.alloc(6_000, 0x20) }));
          await room.log.settled(room.partition, (await room.log.bounds(room.partition)).newest);
        }
        const before = slow.batches.length;
        if (n % 4 !== 3) continue;
        slow.onBatch = undefined;
        release?.();
        await slow.until(() => slow.batches.length > before || slow.error !== undefined, 'the slow tail to go on');
        slow.onBatch = () => new Promise((resolve) => (release = resolve));
      }
      assert.equal(slow.error?.reason, 'trimmed');
      assert.ok((slow.error.oldest ?? '') > (slow.records.at(-1)?.position ?? ''));
      assertAscending(slow.records);
      const first = Number(slow.rids[0]?.slice(1));
      assert.deepEqual(
        slow.rids,
        slow.rids.map((_, n) => `r${first + n}`),
      );
    },
  },
];
