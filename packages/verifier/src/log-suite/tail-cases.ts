/** Cases of the log suite: tails, from what is there to what comes, without a hole or a duplicate between the two. */
import assert from 'node:assert/strict';
import type { TailRecord } from 'tideway/log';
import { assertAscending, placeOf, turn, type LogCase, type LogRoom, type Reading } from './log-case.ts';

/** Appends about `count` records in appends of 1 to 20, never more than four at once. */
async function appendLoad(room: LogRoom, count: number, between: (appended: number) => Promise<void>): Promise<void> {
  const inFlight: Promise<void>[] = [];
  for (let appended = 0, n = 0; appended < count; n++) {
    const records = room.records(1 + ((n * 7) % 20));
    appended += records.length;
    inFlight.push(room.store(records));
    if (inFlight.length === 4) await inFlight.shift();
    await between(appended);
  }
  await Promise.all(inFlight);
}

export const tailCases: readonly LogCase[] = [
  {
    id: 'from-oldest',
    title: 'a tail from the oldest gives everything, then what comes',
    async run(room) {
      await room.store(room.records(100));
      const reading = await room.read();
      await reading.count(100);
      await room.store(room.records(5));
      await reading.count(105);
      assert.deepEqual(
        reading.rids,
        Array.from({ length: 105 }, (_, n) => `r${n + 1}`),
      );
    },
  },
  {
    id: 'from-a-place',
    title: 'a tail from any record gives exactly what follows it',
    async run(room) {
      for (let n = 0; n < 10; n++) await room.store(room.records(1 + n));
      const all = await room.readAll();
      for (const [n, record] of all.entries()) {
        const rest = await room.readAll(placeOf(record));
        assert.deepEqual(
          rest.map(({ position }) => position),
          all.slice(n + 1).map(({ position }) => position),
        );
      }
    },
  },
  {
    id: 'from-zero',
    title: 'a tail from the place before every record gives everything, whatever its tag',
    async run(room) {
      await room.store(room.records(3));
      assert.equal((await room.readAll({ position: '0', tag: '----' })).length, 3);
      assert.equal((await room.readAll({ position: '0', tag: 'zzzz' })).length, 3);
    },
  },
  {
    id: 'back-pressure',
    title: "while a tail's consumer is not done it is given nothing, appends and other tails go on, nothing is lost",
    async run(room) {
      const slow = await room.read();
      const quick = await room.read();
      let busy = 0;
      let release: (() => void) | undefined;
      slow.onBatch = () => {
        busy++;
        assert.equal(busy, 1, 'one batch at a time');
        return new Promise((resolve) => {
          release = () => {
            busy--;
            resolve();
          };
        });
      };
      for (let n = 0; n < 40; n++) await room.store(room.records(3));
      await quick.count(120);
      assert.equal(slow.batches.length, 1);
      while (slow.records.length < 120) {
        const before = slow.batches.length;
        release?.();
        await slow.until(() => slow.batches.length > before, 'the next batch');
      }
      release?.();
      assert.deepEqual(slow.rids, quick.rids);
      slow.onBatch = undefined;
      await room.store(room.records(1));
      await slow.count(121);
    },
  },
  {
    id: 'hand-over',
    title: 'tails that start, stop and dawdle while appends go on see everything once, in order',
    async run(room) {
      const first = await room.read();
      const joined: { from: TailRecord | undefined; reading: Reading }[] = [];
      let next = 0;
      await appendLoad(room, 3_000, async (appended) => {
        if (appended < next) return;
        next = appended + 100;
        const from = first.records[Math.floor((first.records.length * (joined.length % 5)) / 5)];
        const reading = await room.read(from === undefined ? 'oldest' : placeOf(from));
        if (joined.length % 2 === 1) reading.onBatch = () => turn();
        joined.push({ from, reading });
      });
      const { newest } = await room.log.bounds(room.partition);
      await first.upTo(newest);
      assertAscending(first.records);
      assert.ok(joined.length >= 20);
      for (const { from, reading } of joined) {
        await reading.upTo(newest);
        const expected = first.records.filter(({ position }) => from === undefined || position > from.position);
        assert.deepEqual(
          reading.records.map(({ position, tag }) => position + tag),
          expected.map(({ position, tag }) => position + tag),
        );
      }
    },
  },
  {
    id: 'stop',
    title: 'a stopped tail is given nothing more, the others are',
    async run(room) {
      const stopped = await room.read();
      const running = await room.read();
      await room.store(room.records(10));
      await stopped.tail?.stop();
      await room.store(room.records(10));
      await running.count(20);
      assert.equal(stopped.records.length, 10);
      assert.equal(stopped.error, undefined);
    },
  },
  {
    id: 'consumer-throws',
    title: 'a tail whose consumer throws or rejects ends with an error; appends and other tails go on',
    async run(room) {
      const throwing = await room.read();
      throwing.onBatch = () => {
        throw new Error('consumer broke');
      };
      const rejecting = await room.read();
      rejecting.onBatch = () => Promise.reject(new Error('consumer broke'));
      const other = await room.read();
      await room.store(room.records(2));
      for (const reading of [throwing, rejecting]) {
        const error = await reading.ended();
        assert.equal(error.reason, 'unavailable');
        assert.match(String(error.cause), /consumer broke/);
      }
      await room.store(room.records(2));
      await other.count(4);
      assert.equal(throwing.batches.length, 1);
      assert.equal(rejecting.batches.length, 1);
    },
  },
];
