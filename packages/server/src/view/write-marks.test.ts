/** A store that lost a write which is not its newest: what neither its serial nor a chain of records shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkView } from './check.ts';
import { MemoryStore } from './store-memory.ts';
import type { StoreOp } from './store.ts';
import { Rig } from './testing/view-rig.ts';
import { findMissingWrite, markOf, MARKS } from './write-marks.ts';

/** A store that forgets one write, as LevelDB does with what it cannot read of its write-ahead file. */
class ForgetfulStore extends MemoryStore {
  readonly #writes: (readonly StoreOp[])[] = [];

  get writes(): number {
    return this.#writes.length;
  }

  override write(ops: readonly StoreOp[]): Promise<void> {
    this.#writes.push(ops);
    return super.write(ops);
  }

  async without(index: number): Promise<MemoryStore> {
    const store = new MemoryStore();
    for (const [at, ops] of this.#writes.entries()) if (at !== index) await store.write(ops);
    return store;
  }
}

test('whichever write is lost, but the newest, the view is made anew from the log, and every channel is there', async () => {
  const store = new ForgetfulStore();
  const rig = await Rig.open(store);
  const channels = Array.from({ length: 12 }, (_, i) => `chat:${i}`);
  for (const channel of channels) {
    await rig.fill(channel, 3);
    await rig.view.flush();
  }
  assert.ok(store.writes >= channels.length);
  for (let lost = 0; lost < store.writes - 1; lost++) {
    const forgetful = await store.without(lost);
    assert.match((await checkView(forgetful)).problems[0]?.problem ?? '', /lacks 1 of its last \d+ writes/);
    const again = await rig.reopen(forgetful);
    assert.deepEqual(
      again.troubles.map(({ event }) => event),
      ['store_set_aside'],
    );
    for (const channel of channels) assert.equal((await again.readAll(channel)).length, 3, `${channel}, ${lost}`);
    await again.view.close();
  }
  const without = await rig.reopen(await store.without(store.writes - 1));
  assert.deepEqual(without.troubles, [], 'the newest one is simply read again from the log');
  for (const channel of channels) assert.equal((await without.readAll(channel)).length, 3);
  await without.view.close();
});

test('marks are a ring: old ones are written over, and what is missing is noticed on either side of its seam', async () => {
  const store = new MemoryStore();
  const serial = MARKS + 100;
  const missing = (): Promise<Error | undefined> => findMissingWrite(serial, (range) => store.scan(range));
  for (let at = 1; at <= serial; at++) await store.write([markOf(at)]);
  assert.equal(await missing(), undefined);
  for (const at of [serial - MARKS + 1, MARKS - 1, MARKS, MARKS + 1, serial]) {
    // A lost write leaves there what was there before.
    await store.write([{ ...markOf(at), value: Buffer.alloc(8) }]);
    assert.match(String(await missing()), /lacks 1 of its last 4096 writes/);
    await store.write([markOf(at)]);
  }
  assert.equal(await missing(), undefined);
});
