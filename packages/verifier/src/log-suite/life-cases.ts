/** Cases of the log suite: closing, and opening again on the same storage. */
import assert from 'node:assert/strict';
import { assertAllStored, placeOf, tailError, turn, type LogCase } from './log-case.ts';
import type { TailRecord } from 'tideway/log';

export const lifeCases: readonly LogCase[] = [
  {
    id: 'close',
    title: 'closing answers what was appended before, refuses what comes after, and gives the tails nothing more',
    async run(room) {
      const reading = await room.read();
      const before = Array.from({ length: 20 }, () => room.log.append(room.records(5)));
      const closed = room.log.close();
      const after = await room.log.append(room.records(1));
      assert.equal(after[0]?.state, 'refused');
      await closed;
      for (const outcomes of await Promise.all(before)) assertAllStored(outcomes);
      const seen = reading.records.length;
      assert.equal(seen, 100);
      assert.equal((await room.log.append(room.records(1)))[0]?.state, 'refused');
      await turn();
      assert.equal(reading.records.length, seen);
      assert.equal(reading.error, undefined);
      await room.log.close();
    },
  },
  {
    id: 'reopen',
    title: 'opened again, a log has its epoch, its records and its places, and goes on behind them',
    durable: true,
    async run(room) {
      for (let n = 0; n < 20; n++) await room.store(room.records(1 + n));
      const before = await room.readAll();
      await room.log.close();
      const again = room.reopen?.();
      assert.ok(again !== undefined);
      const constants = await again.open();
      assert.deepEqual(constants.epochs, room.constants.epochs);
      assert.equal(constants.window, room.constants.window);
      const { newest, fromGenesis } = await again.bounds(room.partition);
      assert.equal(newest, before.at(-1)?.position);
      assert.equal(fromGenesis, true);

      const tag = ({ position, tag, record }: TailRecord): string => `${position} ${tag} ${record.rid}`;
      assert.deepEqual((await room.readAll('oldest', again)).map(tag), before.map(tag));
      const middle = before[100] as TailRecord;
      const reading = await room.read(placeOf(middle), again);
      const more = room.records(10);
      assertAllStored(await again.append(more));
      await reading.count(before.length - 101 + 10);
      assert.deepEqual(reading.records.slice(0, -10).map(tag), before.slice(101).map(tag));
      assert.deepEqual(
        reading.rids.slice(-10),
        more.map(({ rid }) => rid),
      );
      assert.equal((await tailError(room.read({ position: middle.position, tag: 'AAAA' }, again))).reason, 'diverged');
      await again.close();
    },
  },
  {
    id: 'fresh-epoch',
    title: 'two logs have two epochs',
    async run(room) {
      const other = await room.makeOther();
      const constants = await other.log.open();
      assert.notDeepEqual(constants.epochs, room.constants.epochs);
      await other.log.close();
      await other.dispose();
    },
  },
];
