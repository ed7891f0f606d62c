import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TailError, type Log, type Tail } from '../log/log.ts';
import { MemoryLog } from '../log/memory/memory-log.ts';
import { MemoryStore } from './store-memory.ts';
import { instantEnv, Listener, Rig, waitFor } from './testing/view-rig.ts';

test('a store of another log is set aside, not served', async () => {
  const store = new MemoryStore();
  const first = await Rig.open(store);
  await first.fill('chat:1', 5);
  await first.view.close();
  const second = await Rig.open(store);
  assert.deepEqual(
    second.troubles.map(({ event }) => event),
    ['store_set_aside'],
  );
  assert.deepEqual(await second.readAll('chat:1'), []);
  await second.view.close();
});

test('an empty store is filled from the log: the same records, cursors, closes and answers as before', async () => {
  const rig = await Rig.open(new MemoryStore());
  await rig.fill('chat:1', 150, 11);
  await rig.append({ kind: 'trim' });
  await rig.fill('chat:1', 150, 11);
  const [first] = await rig.append({ rid: 'r' });
  await rig.append({ channel: 'chat:2' }, { channel: 'chat:2', kind: 'close' });
  const records = await rig.readAll('chat:1');
  const states = ['chat:1', 'chat:2'].map((name) => rig.view.state(name));
  const again = await rig.reopen(new MemoryStore());
  assert.deepEqual(await again.readAll('chat:1'), records);
  assert.deepEqual(
    ['chat:1', 'chat:2'].map((name) => again.view.state(name)),
    states,
  );
  assert.deepEqual((await again.append({ rid: 'r' }))[0], { state: 'duplicate', first });
  await again.view.close();
});

test('F5: an empty store in front of a log that lost its beginning says trimmed for what is lost, never empty', async () => {
  const log = new MemoryLog({ window: 50, keepBytes: 20_000 });
  const rig = await Rig.open(new MemoryStore(), { log });
  const idle = await rig.fill('chat:idle', 1);
  const cursors = await rig.fill('chat:1', 600, 10);
  await rig.view.flush();
  await waitFor('the log to let go', async () => !(await log.bounds(0)).fromGenesis);
  assert.equal((await rig.readAll('chat:1')).length, 600, 'the view outlives the log');
  const { oldest } = await log.bounds(0);

  const again = await rig.reopen(new MemoryStore());
  const state = again.view.state('chat:1');
  const kept = await again.readAll('chat:1');
  assert.ok(kept.length > 0 && kept.length < 600);
  assert.deepEqual(
    kept.map((record) => record.cursor),
    cursors.slice(-kept.length),
  );
  assert.equal(state.floorIsFinal, true);
  assert.ok((state.floor.split('.')[1] as string) >= oldest);
  // Unsure for W records behind the beginning: a repeat of what was lost could stand there.
  assert.ok((cursors.slice(-kept.length - 1)[0] as string) <= state.floor);
  const page = await again.view.read('chat:1', { after: cursors[3] as string, limit: 5, bytes: 9_999 });
  assert.equal(page.trimmed, true);
  assert.equal(again.view.state('chat:idle').floor, `${again.constants.epochs[0]}.${oldest}.zzzz`);
  assert.ok((idle[0] as string) < again.view.state('chat:idle').floor);
  const [next] = await again.append({ channel: 'chat:idle' });
  const [record] = await again.readAll('chat:idle');
  assert.equal(record?.cursor, (next as { cursor: string }).cursor);
  assert.equal(record?.prev, `${again.constants.epochs[0]}.${oldest}.----`);
  await again.view.close();
});

test('F2: a log restored from an older copy: the view that is ahead of it is cut back', async () => {
  const rig = await Rig.open(new MemoryStore());
  const old = await rig.fill('chat:1', 20, 3);
  const store = new MemoryStore();
  const ahead = await rig.reopen(store);
  const lost = await ahead.fill('chat:1', 10);
  await ahead.fill('chat:2', 1);
  await ahead.view.close();

  // The copy has the first 20 records and the same epoch, and then others.
  const copy = new MemoryLog({ window: 1_000 });
  await copy.open();
  const restored = await Rig.open(new MemoryStore(), { log: copy, constants: ahead.constants });
  await restored.append(...replay(20));
  const [other] = await restored.append({ payload: '"other"' });
  const behind = await restored.reopen(store);
  assert.deepEqual(behind.troubles, []);
  const cursors = (await behind.readAll('chat:1')).map((record) => record.cursor);
  assert.deepEqual(cursors, [...old, (other as { cursor: string }).cursor]);
  assert.equal(behind.view.state('chat:2').head, undefined);
  // Who holds a lost place finds another tag there, or a place the log does not have.
  const held = lost[0] as string;
  assert.notEqual(await behind.view.tagAt('chat:1', held.split('.')[1] as string), held.split('.')[2]);
  assert.ok(((await behind.view.logNewest('chat:1')) ?? 'C') < (lost[5]?.split('.')[1] as string));
  await behind.view.close();

  function replay(count: number): { payload: string; time: number }[] {
    return Array.from({ length: count }, (_, i) => ({ payload: `{"n":${i + 1}}`, time: 1_700_000_000_000 + i + 1 }));
  }
});

test('SUB-9: a log that is rewound under a running view: followers of channels that changed are told, the others not', async () => {
  const rig = await Rig.open(new MemoryStore());
  await rig.append({ channel: 'chat:same' });
  const [first] = await rig.append({ channel: 'chat:changed' });
  const original = rig.log;
  const copy = new MemoryLog({ window: 1_000 });
  await copy.open();
  const records: unknown[] = [];
  const tail = await original.tail(
    0,
    'oldest',
    (batch) => void records.push(...batch.map(({ record }) => record)),
    () => {},
  );
  await waitFor('both records', () => records.length === 2);
  await tail.stop();
  await copy.append(records as never);

  let breakTail: ((error: TailError) => void) | undefined;
  let current: Log = original;
  const rewound: Log = {
    declares: original.declares,
    wantsSettled: false,
    open: () => current.open(),
    append: (list) => current.append(list),
    bounds: (partition) => current.bounds(partition),
    settled: () => Promise.resolve(),
    close: () => current.close(),
    tail(partition, after, onBatch, onError): Promise<Tail> {
      breakTail = onError;
      return current.tail(partition, after, onBatch, onError);
    },
  };
  await rig.view.close();
  const live = await Rig.open(new MemoryStore(), { log: rewound, constants: rig.constants, env: instantEnv() });
  const same = new Listener();
  const changed = new Listener();
  live.view.follow('chat:same', same);
  live.view.follow('chat:changed', changed);
  await live.append({ channel: 'chat:changed' }, { channel: 'chat:changed' });
  current = copy;
  breakTail?.(new TailError('diverged', 'the log was rewound'));
  await waitFor('the rebuilt view', () => live.troubles.some(({ event }) => event === 'view_rebuilt'));
  const { head, floor } = live.view.state('chat:changed');
  assert.equal(head, (first as { cursor: string }).cursor);
  assert.deepEqual(changed.heard, ['records 2', `gap diverged ${floor}`]);
  assert.deepEqual(same.heard, []);
  await live.append({ channel: 'chat:same' }, { channel: 'chat:changed' });
  assert.equal(changed.heard.at(-1), 'records 1');
  assert.equal(same.heard.at(-1), 'records 1');
  await live.view.close();
});

test('a tail that ends for a while is taken up again where it was', async () => {
  const rig = await Rig.open(new MemoryStore());
  let breakTail: ((error: TailError) => void) | undefined;
  let refusals = 2;
  const { log } = rig;
  const flaky: Log = Object.assign(Object.create(log) as Log, {
    append: log.append.bind(log),
    bounds: log.bounds.bind(log),
    settled: log.settled.bind(log),
    async tail(...[partition, after, onBatch, onError]: Parameters<Log['tail']>): Promise<Tail> {
      if (breakTail !== undefined && refusals-- > 0) throw new TailError('unavailable', 'not yet');
      const tail = await log.tail(partition, after, onBatch, onError);
      breakTail = (error) => {
        void tail.stop();
        onError(error);
      };
      return tail;
    },
  });
  Object.defineProperty(flaky, 'wantsSettled', { value: false });
  await rig.view.close();
  const live = await Rig.open(new MemoryStore(), { log: flaky, constants: rig.constants, env: instantEnv() });
  const cursors = await live.fill('chat:1', 5);
  breakTail?.(new TailError('unavailable', 'the leader changed'));
  cursors.push(...(await live.fill('chat:1', 5)));
  assert.deepEqual(
    (await live.readAll('chat:1')).map((record) => record.cursor),
    cursors,
  );
  assert.deepEqual(
    live.troubles.map(({ event }) => event),
    ['tail_ended', 'tail_ended', 'tail_ended'],
  );
  await live.view.close();
});
