/** What may go wrong while a view fills behind its forerunner: nobody is told of a gap where nothing is missing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber, formatCursor } from '@tideway/protocol';
import type { PhysicalRecord, TailRecord } from '../log/log.ts';
import { recordTag } from '../log/record.ts';
import { positionNumber, positionOf } from './packed-place.ts';
import { MemoryStore } from './store-memory.ts';
import { StoreError } from './store.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { GivenLog } from './testing/given-log.ts';
import { instantEnv, Listener, Rig, waitFor } from './testing/view-rig.ts';

const EPOCH = 'epochA';
const WINDOW = 10;
const CHANNELS = ['chat:1', 'chat:2'];

/** Records at the positions from `from` on, one of each channel after the other; and before all of them one of a third. */
function recordsAt(from: number, to: number, text = ''): TailRecord[] {
  return Array.from({ length: to - from + 1 }, (_, i): TailRecord => {
    const at = from + i;
    const record: PhysicalRecord = {
      channel: at === 1 ? 'chat:idle' : (CHANNELS[at % 2] as string),
      kind: 'data',
      encoding: 'json',
      payload: Buffer.from(`"${text}${at}"`),
      time: 1_700_000_000_000 + at,
    };
    return { position: encodePositionNumber(at), tag: recordTag(record), record };
  });
}

const cursorOf = ({ position, tag }: TailRecord): string => formatCursor(EPOCH, position, tag);

interface Filling {
  readonly log: GivenLog;
  readonly rig: Rig;
  readonly forerunStore: FaultyStore;
  readonly listeners: ReadonlyMap<string, Listener>;
  /** Lets what fills read on. */
  readonly goOn: () => void;
}

/** A view of 100 records behind a forerunner, of which nothing below is read until it may. */
async function fill(): Promise<Filling> {
  const log = new GivenLog({ epoch: EPOCH, window: WINDOW });
  log.give(recordsAt(1, 100));
  const held = Promise.withResolvers<void>();
  log.beforeRead = (after) => (after < 100 - 2 * WINDOW ? held.promise : undefined);
  const forerunStore = new FaultyStore(new MemoryStore());
  const options = { log, constants: log.constants, env: instantEnv(), forerunStore };
  const rig = await Rig.open(new MemoryStore(), options);
  assert.ok(rig.view.toFill > 0);
  const listeners = new Map([...CHANNELS, 'chat:idle'].map((channel) => [channel, new Listener()]));
  for (const [channel, listener] of listeners) rig.view.follow(channel, listener);
  return { log, rig, forerunStore, listeners, goOn: held.resolve };
}

const filled = ({ rig }: Filling): Promise<unknown> =>
  waitFor('the view to be filled', () => rig.view.toFill === 0 && rig.view.state('chat:1').floorIsFinal);

async function assertHolds(rig: Rig, records: readonly TailRecord[]): Promise<void> {
  for (const channel of [...CHANNELS, 'chat:idle']) {
    assert.deepEqual(
      (await rig.readAll(channel)).map(({ cursor }) => cursor),
      records.filter(({ record }) => record.channel === channel).map(cursorOf),
      channel,
    );
  }
}

test('a forerunner whose store is damaged: readers wait for the view, followers go on where they were', async () => {
  const filling = await fill();
  const { log, rig, forerunStore, listeners, goOn } = filling;
  await rig.view.flush();
  let scans = 0;
  forerunStore.scan = () => {
    scans++;
    return Promise.reject(new StoreError('damaged', 'a bit flipped'));
  };
  const { floor } = rig.view.state('chat:1');
  let isRead = false;
  const reading = rig.view.read('chat:1', { after: floor, limit: 100, bytes: 1_000_000 });
  void reading.then(() => (isRead = true));
  await waitFor('the damage to be noticed', () => scans > 0);
  log.give(recordsAt(101, 110));
  assert.equal(isRead, false);
  goOn();
  assert.ok((await reading).records.length > 0);
  await filled(filling);
  assert.ok(await rig.view.reach('', encodePositionNumber(110), 60_000));
  await assertHolds(rig, recordsAt(1, 110));
  for (const [channel, { heard, records }] of listeners) {
    assert.ok(!heard.some((what) => what.startsWith('gap')), `${channel}: ${heard.join(', ')}`);
    assert.deepEqual(
      records.map(({ cursor }) => cursor),
      recordsAt(101, 110)
        .filter(({ record }) => record.channel === channel)
        .map(cursorOf),
    );
  }
  await rig.view.close();
});

test('a log that is rewound while a view fills: followers are told once the view is whole, from where it holds all', async () => {
  const filling = await fill();
  const { log, rig, listeners, goOn } = filling;
  const other = recordsAt(91, 120, 'other');
  log.rewind(encodePositionNumber(90), other);
  goOn();
  await filled(filling);
  assert.ok(await rig.view.reach('', encodePositionNumber(120), 60_000));
  await assertHolds(rig, [...recordsAt(1, 90), ...other]);
  for (const channel of CHANNELS) {
    const { heard } = listeners.get(channel) as Listener;
    const { floor } = rig.view.state(channel);
    assert.deepEqual(
      heard.filter((what) => what.startsWith('gap')),
      [`gap diverged ${floor}`],
      channel,
    );
  }
  await rig.view.close();
});

test('a log that lets go of what a view was to read next: the view is filled from where the log begins then', async () => {
  const filling = await fill();
  const { log, rig, listeners, goOn } = filling;
  log.trim(encodePositionNumber(50));
  goOn();
  await filled(filling);
  for (const channel of CHANNELS) {
    const { floor } = rig.view.state(channel);
    // What is behind the log's beginning by less than a window is in doubt.
    assert.ok(positionNumber(positionOf(floor)) <= 50 + WINDOW, floor);
    const { heard } = listeners.get(channel) as Listener;
    assert.deepEqual(heard, [`filled ${floor}`]);
  }
  assert.equal((await rig.readAll('chat:1')).length + (await rig.readAll('chat:2')).length, 40);
  await rig.view.close();
});

test('where no forerunner can be opened the view is waited for, and it is said', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: WINDOW });
  log.give(recordsAt(1, 100));
  const forerunStore = new FaultyStore(new MemoryStore());
  forerunStore.isStuck = true;
  const rig = await Rig.open(new MemoryStore(), { log, constants: log.constants, forerunStore });
  assert.equal(rig.view.toFill, 0);
  assert.deepEqual(
    rig.troubles.map(({ event }) => event),
    ['forerunner_failed'],
  );
  await assertHolds(rig, recordsAt(1, 100));
  await rig.view.close();
});

test('a channel that was closed below the forerunner is told to be closed once that is read', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: WINDOW });
  const [first, ...rest] = recordsAt(1, 100) as [TailRecord, ...TailRecord[]];
  log.give([first, ...rest].map((item) => (item.position === first.position ? closed(item) : item)));
  const held = Promise.withResolvers<void>();
  log.beforeRead = (after) => (after < 100 - 2 * WINDOW ? held.promise : undefined);
  const forerunStore = new MemoryStore();
  const rig = await Rig.open(new MemoryStore(), { log, constants: log.constants, forerunStore });
  const listener = new Listener();
  rig.view.follow('chat:idle', listener);
  assert.equal(rig.view.state('chat:idle').closed, false);
  held.resolve();
  await waitFor('the view to be filled', () => rig.view.toFill === 0);
  assert.equal(listener.heard.at(-1), 'closed');
  assert.equal(rig.view.state('chat:idle').closed, true);
  await rig.view.close();
});

function closed({ position, record }: TailRecord): TailRecord {
  const close: PhysicalRecord = { ...record, kind: 'close', payload: Buffer.alloc(0) };
  return { position, tag: recordTag(close), record: close };
}
