import assert from 'node:assert/strict';
import { test } from 'node:test';
import { computeTag } from '@tideway/protocol';
import type { PhysicalRecord, TailRecord } from '../log.ts';
import { positionOf } from '../position.ts';
import { MemoryLog } from './memory-log.ts';

const record = (n: number, bytes = 1): PhysicalRecord => ({
  channel: 'chat:1',
  kind: 'data',
  encoding: 'bytes',
  payload: Buffer.alloc(bytes, n),
  rid: `r${n}`,
});
const fail = (error: Error): never => {
  throw error;
};

test('records are handed to the tail in order, with their tags, before the append is answered', async () => {
  const log = new MemoryLog();
  await log.open();
  const seen: TailRecord[] = [];
  await log.tail(0, 'oldest', (batch) => void seen.push(...batch), fail);
  const answers = await Promise.all([log.append([record(1), record(2)]), log.append([record(3)])]);
  assert.deepEqual(answers, [[{ state: 'stored' }, { state: 'stored' }], [{ state: 'stored' }]]);
  assert.deepEqual(
    seen.map(({ position, tag, record: { rid } }) => ({ position, tag, rid })),
    [1, 2, 3].map((n) => ({ position: positionOf(n), tag: computeTag(record(n)), rid: `r${n}` })),
  );
  await log.close();
});

test('two lives of a memory log have two epochs', async () => {
  const first = await new MemoryLog().open();
  const second = await new MemoryLog().open();
  assert.notEqual(first.epochs[0], second.epochs[0]);
});

test('memory stays within the budget: settled records are dropped, unsettled ones make appends overloaded', async () => {
  const log = new MemoryLog({ keepBytes: 10_000 });
  await log.open();
  const outcomes = await log.append(Array.from({ length: 30 }, (_, n) => record(n, 1_000)));
  const stored = outcomes.filter((outcome) => outcome.state === 'stored').length;
  assert.ok(stored > 10 && stored < 20);
  assert.ok(outcomes.slice(stored).every((outcome) => outcome.state === 'refused' && outcome.code === 'overloaded'));
  assert.equal(log.wantsSettled, true);
  await log.settled(0, positionOf(stored));
  assert.equal(log.wantsSettled, false);
  const { oldest, newest, fromGenesis } = await log.bounds(0);
  assert.equal(newest, positionOf(stored));
  assert.ok(oldest > positionOf(0) && oldest < newest);
  assert.equal(fromGenesis, false);
  assert.deepEqual(await log.append([record(99)]), [{ state: 'stored' }]);
});

test('after one overloaded refusal nothing later of the same tick is stored in its place', async () => {
  const log = new MemoryLog({ keepBytes: 10_000 });
  await log.open();
  const [big, small] = await Promise.all([log.append([record(1, 30_000)]), log.append([record(2)])]);
  assert.equal(big[0]?.state, 'refused');
  assert.equal(small[0]?.state, 'refused');
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await log.append([record(3)]), [{ state: 'stored' }]);
});
