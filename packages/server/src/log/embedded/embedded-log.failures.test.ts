/** What the embedded log answers when the disk fails, and that it goes on when the disk is well again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TailRecord } from '../log.ts';
import { checkLog } from './check.ts';
import { FOLDER, MemoryRoom, records, rids } from './testing/log-room.ts';

const count = (states: readonly string[], state: string): number => states.filter((one) => one === state).length;

test('a full disk: refused not_durable, reads go on; with room again appends go on; nothing acknowledged is missing', async () => {
  const room = new MemoryRoom();
  await room.open();
  assert.deepEqual(await room.append(records(1, 3)), ['stored', 'stored', 'stored']);
  room.disk.capacityBytes = 600;
  for (let n = 0; n < 5; n++) {
    assert.deepEqual(
      await room.append(records(100 + 10 * n, 10)),
      Array.from({ length: 10 }, () => 'not_durable'),
    );
    assert.deepEqual(await room.rids(), rids(1, 3));
  }
  room.disk.capacityBytes = 60_000;
  assert.deepEqual(await room.append(records(4, 2)), ['stored', 'stored']);
  assert.deepEqual(await room.rids(), rids(1, 5));
  await room.reopen();
  assert.deepEqual(await room.rids(), rids(1, 5));
  assert.deepEqual(
    room.events.map(({ event }) => event),
    ['write_failed', 'write_recovered'],
  );
});

test('a disk that fills in the middle of a batch keeps nothing of it, also after a power cut', async () => {
  const room = new MemoryRoom();
  await room.open();
  await room.append(records(1, 3));
  room.disk.onCall = ({ what }) => (what === 'write' ? { fails: 'short', bytes: 300 } : undefined);
  assert.deepEqual(
    await room.append(records(10, 10)),
    Array.from({ length: 10 }, () => 'not_durable'),
  );
  room.disk.onCall = undefined;
  room.disk.cutPower();
  await room.open();
  assert.deepEqual(await room.rids(), rids(1, 3));
  assert.deepEqual(
    room.events.filter(({ event }) => event === 'torn_write'),
    [],
  );
});

test('a failed sync: the batch is given up for good by a new segment, and the old file is never written again', async () => {
  const room = new MemoryRoom();
  await room.open();
  await room.append(records(1, 3));
  const written = new Set<string>();
  let failed = false;
  room.disk.onCall = ({ what, path }) => {
    if (failed && what === 'write') written.add(path);
    if (what !== 'write' || failed) return undefined;
    failed = true;
    return { fails: 'sync', code: 'EIO' };
  };
  assert.deepEqual(await room.append(records(50, 4)), ['not_durable', 'not_durable', 'not_durable', 'not_durable']);
  assert.deepEqual(await room.append(records(4, 2)), ['stored', 'stored']);
  assert.ok(![...written].some((path) => path.includes('00001.seg')), [...written].join());
  room.disk.cutPower();
  await room.open();
  assert.deepEqual(await room.rids(), rids(1, 5));
  await room.log.close();
  assert.deepEqual((await checkLog(FOLDER, room.disk.boot().disk)).problems, []);
});

test('a failed sync that nothing can undo: unknown, then refused until it can be undone, and no half batch is seen', async () => {
  const room = new MemoryRoom();
  await room.open();
  await room.append(records(1, 3));
  let sick = true;
  room.disk.onCall = ({ what }) => {
    if (!sick) return undefined;
    return what === 'write' ? { fails: 'sync', code: 'EIO' } : { fails: 'before', code: 'EIO' };
  };
  assert.deepEqual(await room.append(records(50, 2)), ['unknown', 'unknown']);
  for (let n = 0; n < 3; n++) assert.deepEqual(await room.append(records(60, 2)), ['not_durable', 'not_durable']);
  assert.deepEqual(await room.rids(), rids(1, 3));
  sick = false;
  assert.deepEqual(await room.append(records(4, 2)), ['stored', 'stored']);
  await room.reopen();
  assert.deepEqual(await room.rids(), rids(1, 5));
});

test('an unknown batch is there whole after a restart, or not at all', async () => {
  const outcomes = new Set<number>();
  for (const death of ['kill', 'cutPower'] as const) {
    const room = new MemoryRoom();
    await room.open();
    await room.append(records(1, 3));
    room.disk.onCall = ({ what }) =>
      what === 'write' ? { fails: 'sync', code: 'EIO' } : { fails: 'before', code: 'EIO' };
    assert.deepEqual(
      await room.append(records(4, 40, 200)),
      Array.from({ length: 40 }, () => 'unknown'),
    );
    room.disk.onCall = undefined;
    room.disk[death]();
    await room.open();
    const held = await room.rids();
    assert.ok(held.length === 3 || held.length === 43);
    assert.deepEqual(held, rids(1, held.length));
    outcomes.add(held.length);
  }
  assert.deepEqual([...outcomes], [43, 3]);
});

test('what waits behind a batch that fails is refused too, so that a repeat cannot come out of order', async () => {
  const room = new MemoryRoom();
  await room.open();
  let writes = 0;
  let waiting: Promise<readonly string[]> | undefined;
  room.disk.onCall = ({ what }) => {
    if (what !== 'write' || ++writes > 1) return undefined;
    waiting = room.append(records(10, 5));
    return { fails: 'before', code: 'ENOSPC' };
  };
  assert.deepEqual(await room.append(records(1, 2)), ['not_durable', 'not_durable']);
  assert.equal(count((await waiting) ?? [], 'not_durable'), 5);
  assert.deepEqual(await room.append(records(1, 2)), ['stored', 'stored']);
  assert.deepEqual(await room.rids(), rids(1, 2));
});

test('a disk that has become read-only: everything is refused, everything is still read', async () => {
  const room = new MemoryRoom();
  await room.open();
  await room.append(records(1, 30));
  room.disk.onCall = () => ({ fails: 'before', code: 'EROFS' });
  const states = [...(await room.append(records(40, 2))), ...(await room.append(records(50, 2)))];
  assert.equal(count(states, 'stored'), 0);
  assert.deepEqual(await room.rids(), rids(1, 30));
  await room.log.close();
});

test('a full disk keeps no log from opening, and what it holds is read', async () => {
  const room = new MemoryRoom();
  await room.open();
  await room.append(records(1, 30));
  room.disk.capacityBytes = 1;
  await room.reopen();
  assert.deepEqual(await room.rids(), rids(1, 30));
  assert.deepEqual(await room.append(records(31, 1)), ['not_durable']);
});

test('a slow disk: what comes meanwhile becomes one batch, memory stays within its bound, order holds', async () => {
  const room = new MemoryRoom();
  const log = await room.open({ queueBytesMax: 20_000 });
  const seen: TailRecord[] = [];
  await log.tail(0, 'oldest', (batch) => void seen.push(...batch), assert.fail);
  let writes = 0;
  room.disk.onCall = ({ what }) => {
    if (what === 'write') writes++;
    return undefined;
  };
  const release = room.disk.hold();
  const calls = Array.from({ length: 400 }, (_, n) => room.append(records(n + 1, 1)));
  release();
  const states = (await Promise.all(calls)).flat();
  const stored = count(states, 'stored');
  assert.ok(stored > 100 && stored < 400, `${stored} fit into the queue`);
  assert.deepEqual(states, [
    ...Array.from({ length: stored }, () => 'stored'),
    ...Array.from({ length: 400 - stored }, () => 'overloaded'),
  ]);
  assert.equal(writes, 1);
  assert.deepEqual(
    seen.map(({ record }) => record.rid),
    rids(1, stored),
  );
});

test('a segment that cannot be removed stays, is reported, and is removed later', async () => {
  const room = new MemoryRoom();
  const log = await room.open({ window: 10, segmentBytes: 1_000, keepBytes: 3_000 });
  for (let n = 0; n < 20; n++) await room.append(records(n * 5 + 1, 5));
  const { newest } = await log.bounds(0);
  room.disk.onCall = ({ what }) => (what === 'remove' ? { fails: 'before', code: 'EACCES' } : undefined);
  await log.settled(0, newest);
  assert.equal((await log.bounds(0)).oldest, '0');
  assert.ok(room.events.some(({ event }) => event === 'removal_failed'));
  assert.deepEqual(await room.rids(), rids(1, 100));
  room.disk.onCall = undefined;
  await log.settled(0, newest);
  assert.notEqual((await log.bounds(0)).oldest, '0');
});
