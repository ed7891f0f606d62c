import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Env } from '../env.ts';
import type { PhysicalRecord } from '../log/log.ts';
import type { LogView, ViewTrouble } from './log-view.ts';
import { createPartitionedView } from './partitioned-view.ts';
import { MemoryStore } from './store-memory.ts';
import type { Store } from './store.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { PartitionedLog } from './testing/partitioned-log.ts';
import { instantEnv, Listener, waitFor } from './testing/view-rig.ts';
import type { Verdict } from './view.ts';

const channels = ['chat:0', 'chat:1', 'chat:2', 'chat:3'];
let serial = 0;

function record(channel: string): PhysicalRecord & { readonly ticket: string } {
  const ticket = `t${++serial}`;
  return { channel, kind: 'data', encoding: 'json', payload: Buffer.from(`{"n":${serial}}`), time: serial, ticket };
}

async function openView(
  log: PartitionedLog,
  stores: readonly Store[] = channels.map(() => new MemoryStore()),
  env: Env = instantEnv(),
) {
  const verdicts = new Map<string, Verdict>();
  const troubles: ViewTrouble[] = [];
  const view = await createPartitionedView({
    log,
    constants: await log.open(),
    createStore: (partition) => stores[partition] as Store,
    env,
    retention: () => ({}),
    onVerdict: (ticket, verdict) => void verdicts.set(ticket, verdict),
    onTrouble: (trouble) => troubles.push(trouble),
  });
  return { view, verdicts, troubles, stores };
}

async function payloadsOf(view: LogView, channel: string): Promise<string[]> {
  const page = await view.read(channel, { after: view.state(channel).floor, limit: 1_000, bytes: 1_000_000 });
  return page.records.map(({ frame }) => frame.toString('latin1').split('\n')[1] ?? '');
}

test('each channel lives in its partition: its epoch, its records, its ids', async () => {
  const log = new PartitionedLog(4);
  const { view, verdicts } = await openView(log);
  const appended = channels.flatMap((channel) => [record(channel), record(channel)]);
  await log.append(appended);
  await waitFor('the verdicts', () => verdicts.size === appended.length);
  assert.equal(new Set(channels.map((channel) => view.state(channel).epoch)).size, 4);
  for (const channel of channels) {
    assert.deepEqual(
      await payloadsOf(view, channel),
      appended.filter((one) => one.channel === channel).map(({ payload }) => payload.toString()),
    );
    assert.equal(view.applied(channel), '11');
    assert.equal(await view.reach(channel, '11', 0), true);
  }
  await view.close();
});

test('a record in a partition that is not its channel’s is not visible, and its writer is told', async () => {
  const log = new PartitionedLog(4);
  const { view, verdicts } = await openView(log);
  const [stray, good] = [record('chat:1'), record('chat:1')];
  await log.appendTo(3, [stray]);
  await log.append([good]);
  await waitFor('the verdicts', () => verdicts.size === 2);
  assert.deepEqual(verdicts.get(stray.ticket), { state: 'unreadable' });
  assert.deepEqual(await payloadsOf(view, 'chat:1'), [good.payload.toString()]);
  assert.equal(view.state('chat:3').head, undefined);
  await view.close();
});

test('one partition made anew is a new epoch to the followers of its channels, and to nobody else', async () => {
  const log = new PartitionedLog(4);
  const { view, verdicts, stores } = await openView(log);
  await log.append(channels.map(record));
  await waitFor('the verdicts', () => verdicts.size === 4);
  const [lost, kept] = [new Listener(), new Listener()];
  view.follow('chat:2', lost);
  view.follow('chat:3', kept);
  const before = view.state('chat:3');
  const epoch = await log.recreate(2);
  const again = record('chat:2');
  await waitFor('the new epoch', () => view.state('chat:2').epoch === epoch);
  await log.append([again]);
  await waitFor('its verdict', () => verdicts.get(again.ticket));
  assert.deepEqual(await payloadsOf(view, 'chat:2'), [again.payload.toString()]);
  assert.match(lost.heard[0] ?? '', /^gap epoch/);
  assert.deepEqual(kept.heard, []);
  assert.deepEqual(view.state('chat:3'), before);
  await view.close();
  assert.equal(stores.length, 4);
});

test('while the log is away a start serves what the stores have, and goes on when it is back', async () => {
  const log = new PartitionedLog(4);
  const first = await openView(log);
  await log.append(channels.map(record));
  await waitFor('the verdicts', () => first.verdicts.size === 4);
  await first.view.close();
  log.isAway = true;
  const constants = { epochs: channels.map((channel) => first.view.state(channel).epoch) };
  const troubles: ViewTrouble[] = [];
  const view = await createPartitionedView({
    log,
    constants: { ...constants, window: 1_000, partitionOf: (channel) => log.partitionOf(channel) },
    createStore: (partition) => first.stores[partition] as Store,
    env: instantEnv(),
    retention: () => ({}),
    onVerdict() {},
    onTrouble: (trouble) => troubles.push(trouble),
  });
  const listener = new Listener();
  view.follow('chat:1', listener);
  assert.equal((await payloadsOf(view, 'chat:1')).length, 1);
  assert.ok(troubles.some(({ event }) => event === 'tail_ended'));
  log.isAway = false;
  await log.append([record('chat:1')]);
  await waitFor('the record', () => listener.records.length === 1);
  assert.deepEqual(listener.heard, ['records 1']);
  await view.close();
});

/** Counts the timers that are set. */
function countingEnv(): Env & { pending: number } {
  const env = {
    ...instantEnv(),
    pending: 0,
    setTimer(delayMs: number, callback: () => void): () => void {
      env.pending++;
      let isSet = true;
      const over = (): void => {
        if (isSet) env.pending--;
        isSet = false;
      };
      const cancel = instantEnv().setTimer(delayMs, () => {
        over();
        callback();
      });
      return () => {
        over();
        cancel();
      };
    },
  };
  return env;
}

/** Knows whether it is open. */
class CountedStore extends MemoryStore {
  isOpen = false;

  override async open(): Promise<void> {
    await super.open();
    this.isOpen = true;
  }

  override async close(): Promise<void> {
    await super.close();
    this.isOpen = false;
  }
}

test('a partition that is away, or never answers, does not hide the final error of another one', async () => {
  const log = new PartitionedLog(4);
  log.away.add(0);
  log.silent.add(1);
  const stores = channels.map(() => new CountedStore());
  const held = new FaultyStore(stores[3] as MemoryStore);
  const release = held.holdOpening();
  held.isStuck = true;
  const env = countingEnv();
  const opening = openView(log, [...stores.slice(0, 3), held], env);
  const failure = assert.rejects(opening, /the disk says no/);
  await waitFor('the others wait for the log, or serve', () => log.asked > 8);
  release();
  await failure;
  assert.deepEqual(
    stores.map(({ isOpen }) => isOpen),
    [false, false, false, false],
  );
  assert.equal(env.pending, 0, 'no timer is left');
});
