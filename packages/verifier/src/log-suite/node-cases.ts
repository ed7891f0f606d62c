/** Cases of the log suite: several nodes on one log. */
import assert from 'node:assert/strict';
import type { Log, TailRecord } from 'tideway/log';
import { assertAllStored, assertAscending, placeOf, type LogCase, type LogRoom } from './log-case.ts';
import { Arrivals } from '../raw/deadline.ts';

const DEADLINE_MS = 60_000;

async function withPeer(room: LogRoom, run: (peer: Log) => Promise<void>): Promise<void> {
  const peer = room.peer?.();
  assert.ok(peer !== undefined);
  const constants = await peer.open();
  assert.deepEqual(constants.epochs, room.constants.epochs);
  assert.equal(constants.window, room.constants.window);
  await run(peer);
  await peer.close();
}

export const nodeCases: readonly LogCase[] = [
  {
    id: 'two-nodes',
    title: 'two nodes that append at once see one order, and each its own records in the order of its calls',
    shared: true,
    run: (room) =>
      withPeer(room, async (peer) => {
        const readings = [await room.read('oldest', room.log), await room.read('oldest', peer)];
        const calls = Array.from({ length: 60 }, (_, n) => ({
          log: n % 2 === 0 ? room.log : peer,
          records: room.records(5),
        }));
        const answers = await Promise.all(calls.map(({ log, records }) => log.append(records)));
        answers.forEach((outcomes) => assertAllStored(outcomes));
        for (const reading of readings) await reading.count(300);
        const [here, there] = readings.map(({ records }) => records.map(({ position, tag }) => position + tag));
        assert.deepEqual(here, there);
        assertAscending(readings[0]?.records ?? []);
        for (const log of [room.log, peer]) {
          const own = calls.filter((call) => call.log === log).flatMap(({ records }) => records.map(({ rid }) => rid));
          assert.deepEqual(
            readings[0]?.rids.filter((rid) => own.includes(rid)),
            own,
          );
        }
      }),
  },
  {
    id: 'moves',
    title: 'a place of one node is a place of the other',
    shared: true,
    run: (room) =>
      withPeer(room, async (peer) => {
        await room.store(room.records(10));
        const all = await room.readAll();
        assert.deepEqual(await room.readAll('oldest', peer), all);
        const rest = await room.readAll(placeOf(all[4] as TailRecord), peer);
        assert.deepEqual(rest, all.slice(5));
        assertAllStored(await peer.append(room.records(1)));
        assert.equal((await room.readAll(placeOf(all[9] as TailRecord))).length, 1);
      }),
  },
  {
    id: 'signals',
    title: 'a signal to all reaches every node, one to a node that node alone, and none after its listener stopped',
    shared: true,
    run: (room) =>
      withPeer(room, async (peer) => {
        assert.ok(room.log.signals !== undefined && peer.signals !== undefined);
        const [here, there] = [new Arrivals<string>(), new Arrivals<string>()];
        const stop = await room.log.signals.onSignal('here', (bytes) => here.push(bytes.toString('latin1')));
        await peer.signals.onSignal('there-_9', (bytes) => there.push(bytes.toString('latin1')));
        const anything = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
        room.log.signals.signal({ node: 'there-_9' }, anything);
        room.log.signals.signal('all', Buffer.from('one'));
        peer.signals.signal({ node: 'here' }, Buffer.alloc(0));
        peer.signals.signal('all', Buffer.from('two'));
        for (const heard of [here, there]) {
          await heard.next((text) => text === 'one', DEADLINE_MS, 'a signal to all');
        }
        const isIn = (heard: Arrivals<string>, text: string): Promise<string> =>
          heard.all.includes(text) ? Promise.resolve(text) : heard.next((one) => one === text, DEADLINE_MS, 'a signal');
        for (const heard of [here, there]) await isIn(heard, 'two');
        await isIn(here, '');
        await isIn(there, anything.toString('latin1'));
        assert.ok(!here.all.includes(anything.toString('latin1')));
        assert.ok(!there.all.includes(''));
        stop();
        const count = here.all.length;
        peer.signals.signal('all', Buffer.from('three'));
        peer.signals.signal({ node: 'there-_9' }, Buffer.from('four'));
        await isIn(there, 'four');
        assert.equal(here.all.length, count);
      }),
  },
];
