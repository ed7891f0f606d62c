import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import { type Env, nodeEnv } from '../env.ts';
import { checkView } from './check.ts';
import { StoreError, type Store } from './store.ts';
import { MemoryStore } from './store-memory.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { contentOf, restore } from './testing/store-content.ts';
import { instantEnv, Listener, Rig, waitFor, type RigOptions } from './testing/view-rig.ts';

/** A store that keeps what it holds when it is closed. */
async function withFaults(
  options: RigOptions,
  body: (rig: Rig, faulty: FaultyStore, inner: Store) => Promise<Rig | void>,
): Promise<void> {
  const inner = new MemoryStore();
  const faulty = new FaultyStore(inner);
  const rig = await Rig.open(faulty, { env: instantEnv(), ...options });
  const last = (await body(rig, faulty, inner)) ?? rig;
  await last.view.close();
  assert.deepEqual((await checkView(inner)).problems, []);
  assert.equal(faulty.writesAfterFailure, 0, 'no write follows a failed one on the same handle');
}

for (const fault of ['refuse', 'write and fail'] as const) {
  test(`a failed write (${fault}) loses nothing, tells nobody twice, and the view writes on`, () =>
    withFaults({}, async (rig, faulty, inner) => {
      const listener = new Listener();
      rig.view.follow('chat:1', listener);
      const cursors = await rig.fill('chat:1', 70, 9);
      await rig.view.flush();
      faulty.faults.push(fault);
      cursors.push(...(await rig.fill('chat:1', 70, 9)));
      await waitFor('the store to be opened anew', () => faulty.opened === 2);
      cursors.push(...(await rig.fill('chat:1', 70, 9)));
      await waitFor('recovery', () => rig.troubles.some(({ event }) => event === 'store_recovered'));
      assert.equal(await rig.view.flush(), true);
      assert.deepEqual(
        rig.troubles.map(({ event }) => event),
        ['store_failed', 'store_recovered'],
      );
      assert.deepEqual(
        (await rig.readAll('chat:1')).map((record) => record.cursor),
        cursors,
      );
      assert.deepEqual(
        listener.records.map((record) => record.cursor),
        cursors,
      );
      const again = await rig.reopen(inner);
      assert.deepEqual(
        (await again.readAll('chat:1')).map((record) => record.cursor),
        cursors,
      );
      return again;
    }));
}

test('every kind of failure again and again, with trims and joins under way, loses nothing', () =>
  withFaults({ retention: () => ({ records: 150 }) }, async (rig, faulty, inner) => {
    const cursors: string[] = [];
    for (let round = 0; round < 60; round++) {
      if (round % 3 === 1) faulty.faults.push(round % 2 === 0 ? 'refuse' : 'write and fail');
      cursors.push(...(await rig.fill('chat:1', 17, 1 + (round % 5))));
      const records = await rig.view.read('chat:1', { after: cursors.at(-2) as string, limit: 9, bytes: 99_999 });
      assert.deepEqual(
        records.records.map((record) => record.cursor),
        cursors.slice(-1),
      );
    }
    await waitFor('every write', () => faulty.faults.length === 0);
    await waitFor('a flush', async () => await rig.view.flush());
    await rig.view.tidy();
    const kept = (await rig.readAll('chat:1')).map((record) => record.cursor);
    assert.ok(kept.length >= 150 && kept.length <= 150 + 64);
    assert.deepEqual(kept, cursors.slice(-kept.length));
    const again = await rig.reopen(inner, { retention: () => ({ records: 150 }) });
    assert.deepEqual(
      (await again.readAll('chat:1')).map((record) => record.cursor),
      kept,
    );
    return again;
  }));

test('while the store is full reads go on, the log’s tail waits, and with room again everything is written', () =>
  withFaults({ unwrittenRecordsMax: 100 }, async (rig, faulty, inner) => {
    const before = await rig.fill('chat:1', 20);
    await rig.view.flush();
    faulty.isFull = true;
    const during = await rig.fill('chat:1', 101);
    await waitFor('the failure', () => rig.troubles.some(({ event }) => event === 'store_failed'));
    // The overlay is full now: what comes next is stored by the log and not applied.
    const applied = rig.view.applied('chat:1');
    let answered = false;
    const waiting = rig.append({}).then((verdicts) => {
      answered = true;
      return verdicts;
    });
    for (let i = 0; i < 50; i++) await new Promise<void>((resolve) => setImmediate(resolve));
    assert.equal(answered, false);
    assert.equal(rig.view.applied('chat:1'), applied);
    assert.equal(await rig.view.flush(), false);
    assert.deepEqual(
      (await rig.readAll('chat:1')).map((record) => record.cursor),
      [...before, ...during],
    );
    faulty.isFull = false;
    const [verdict] = await waiting;
    const cursors = [...before, ...during, (verdict as { cursor: string }).cursor];
    assert.equal(await rig.view.flush(), true);
    const again = await rig.reopen(inner);
    assert.deepEqual(
      (await again.readAll('chat:1')).map((record) => record.cursor),
      cursors,
    );
    return again;
  }));

test('a store that cannot be opened again yet: what is in memory answers, reads wait, unknown channels are `behind`', () =>
  withFaults({}, async (rig, faulty) => {
    const cursors = await rig.fill('chat:1', 20);
    await rig.view.flush();
    faulty.isStuck = true;
    faulty.faults.push('refuse');
    cursors.push(...(await rig.fill('chat:1', 1)));
    await waitFor('a second complaint', () => rig.troubles.length > 1);
    assert.equal(rig.view.state('chat:1').head, cursors.at(-1));
    assert.throws(
      () => rig.view.state('chat:2'),
      (error) => error instanceof TidewayError && error.code === 'behind' && error.retryMs !== undefined,
    );
    const reading = rig.readAll('chat:1');
    const appending = rig.append({ channel: 'chat:2' });
    faulty.isStuck = false;
    assert.deepEqual(
      (await reading).map((record) => record.cursor),
      cursors,
    );
    assert.equal((await appending)[0]?.state, 'visible');
  }));

test('a store that lost what it had confirmed is noticed, and the view is made anew without telling anybody twice', () =>
  withFaults({}, async (rig, faulty, inner) => {
    const listener = new Listener();
    const elsewhere = new Listener();
    rig.view.follow('chat:1', listener);
    rig.view.follow('chat:2', elsewhere);
    const cursors = await rig.fill('chat:1', 30, 7);
    await rig.view.flush();
    // What the disk holds is what it held now; more is confirmed and then lost by the failed write.
    const copy = await contentOf(inner);
    cursors.push(...(await rig.fill('chat:1', 30, 7)));
    await rig.view.flush();
    const release = faulty.holdOpening();
    faulty.faults.push('refuse');
    cursors.push(...(await rig.fill('chat:1', 5)));
    await waitFor('the failure', () => rig.troubles.length > 0);
    await restore(inner, copy);
    const reading = rig.readAll('chat:1');
    assert.equal(rig.view.state('chat:1').head, cursors.at(-1));
    release();
    assert.deepEqual(
      (await reading).map((record) => record.cursor),
      cursors,
    );
    cursors.push(...(await rig.fill('chat:1', 3)));
    assert.deepEqual(
      listener.records.map((record) => record.cursor),
      cursors,
    );
    assert.ok(
      listener.heard.every((what) => what.startsWith('records')),
      'no gap where nothing was lost',
    );
    assert.deepEqual(elsewhere.heard, []);
    assert.ok(rig.troubles.some(({ event }) => event === 'view_rebuilt'));
    assert.equal(await rig.view.flush(), true);
  }));

test('damage found by a reader: the view is made anew from the log, and the reader gets its page', () =>
  withFaults({}, async (rig, _faulty, inner) => {
    const listener = new Listener();
    rig.view.follow('chat:1', listener);
    const cursors = await rig.fill('chat:1', 200, 40);
    await rig.view.flush();
    const run = (await contentOf(inner)).find(({ key }) => key.startsWith('rchat:1 '));
    await inner.write([{ type: 'del', key: run?.key as string }]);
    assert.deepEqual(
      (await rig.readAll('chat:1')).map((record) => record.cursor),
      cursors,
    );
    assert.deepEqual(
      rig.troubles.map(({ event }) => event),
      ['store_set_aside', 'view_rebuilt'],
    );
    cursors.push(...(await rig.fill('chat:1', 3)));
    assert.deepEqual(
      listener.records.map((record) => record.cursor),
      cursors,
    );
    assert.deepEqual(
      (await rig.readAllBackward('chat:1')).map((record) => record.cursor),
      cursors,
    );
  }));

for (const reason of ['failed', 'damaged'] as const) {
  test(`a head that cannot be read (${reason}) while the log is applied: nothing is skipped`, () =>
    withFaults({ channelsKeptMax: 1 }, async (rig, _faulty, inner) => {
      const cursors = await rig.fill('chat:1', 3);
      await rig.fill('chat:2', 1);
      await rig.view.flush();
      const getSync = inner.getSync.bind(inner);
      inner.getSync = (key) => {
        if (!key.startsWith('m')) return getSync(key);
        inner.getSync = getSync;
        throw new StoreError(reason, 'the disk says no');
      };
      for (let i = 0; i < 5; i++)
        cursors.push(...(await rig.fill('chat:1', 1)), ...(await rig.fill('chat:2', 1)).slice(1));
      assert.notEqual(rig.troubles.length, 0);
      assert.deepEqual(
        (await rig.readAll('chat:1')).map((record) => record.cursor),
        cursors,
      );
      assert.equal((await rig.readAll('chat:2')).length, 6);
    }));

  test(`a head that cannot be read (${reason}) while the view is opened: nothing is skipped`, async () => {
    const inner = new MemoryStore();
    const first = await Rig.open(inner);
    const cursors = await first.fill('chat:1', 5);
    await first.view.close();
    await first.log.append(
      [1, 2].map(() => ({ channel: 'chat:1', kind: 'data', encoding: 'json', time: 1, payload: Buffer.from('1') })),
    );
    const getSync = inner.getSync.bind(inner);
    inner.getSync = (key) => {
      if (!key.startsWith('m')) return getSync(key);
      inner.getSync = getSync;
      throw new StoreError(reason, 'the disk says no');
    };
    const again = await first.reopen(inner, { env: instantEnv() });
    const records = await again.readAll('chat:1');
    assert.equal(records.length, 7);
    assert.deepEqual(
      records.slice(0, 5).map((record) => record.cursor),
      cursors,
    );
    await again.view.close();
  });
}

/** Each timer comes soon: a round of tidying is due every minute. */
const hurriedEnv: Env = {
  ...nodeEnv,
  setTimer: (delayMs, callback) => nodeEnv.setTimer(Math.min(delayMs, 20), callback),
};

test('damage found while tidying up: the view is made anew from the log', () =>
  withFaults({ env: hurriedEnv }, async (rig, _faulty, inner) => {
    const cursors = await rig.fill('chat:1', 63, 1);
    await rig.view.flush();
    const scan = inner.scan.bind(inner);
    inner.scan = () => {
      inner.scan = scan;
      return Promise.reject(new StoreError('damaged', 'not as it was written'));
    };
    cursors.push(...(await rig.fill('chat:1', 40, 1)));
    await waitFor('the rebuilt view', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));
    assert.deepEqual(
      (await rig.readAll('chat:1')).map((record) => record.cursor),
      cursors,
    );
  }));
