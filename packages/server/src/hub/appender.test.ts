/** Appends while the view cannot take records: its disk is full, or it is being made anew; and a log that loses some. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Env } from '../env.ts';
import { BrokerLog } from '../log/broker/broker-log.ts';
import { FakeBroker } from '../log/broker/testing/fake-broker.ts';
import { EmbeddedLog } from '../log/embedded/embedded-log.ts';
import { MemoryDisk } from '../log/embedded/testing/memory-disk.ts';
import type { Log } from '../log/log.ts';
import { LevelStore } from '../view/store-level.ts';
import { MemoryStore } from '../view/store-memory.ts';
import type { Store } from '../view/store.ts';
import { FaultyStore } from '../view/testing/faulty-store.ts';
import { SmallDisk } from '../view/testing/small-disk.ts';
import { instantEnv, Rig, waitFor, type RigOptions } from '../view/testing/view-rig.ts';
import { Appender } from './appender.ts';
import type { Appended } from './record-appender.ts';

const MIB = 1024 * 1024;
const CHANNEL = 'chat:1';

/** A log, a view and the appender of a hub. */
class Desk {
  readonly rig: Rig;
  readonly appender: Appender;
  /** What became of each append that has its answer, by rid. */
  readonly answers = new Map<string, Appended>();
  #serial = 0;

  private constructor(rig: Rig, appender: Appender) {
    this.rig = rig;
    this.appender = appender;
  }

  static async open(store: Store, options: RigOptions & { readonly log: Log }): Promise<Desk> {
    const env = options.env ?? instantEnv();
    const made: { appender?: Appender } = {};
    const rig = await Rig.open(store, {
      ...options,
      env,
      onVerdict: (ticket, verdict) => made.appender?.onVerdict(ticket, verdict),
      onBroken: (concerns) => made.appender?.onBroken(concerns),
    });
    const { log, view, constants } = rig;
    const { partitionOf } = constants;
    made.appender = new Appender({ env, log, view, partitionOf, node: 'n', onAppended: () => {} });
    return new Desk(rig, made.appender);
  }

  /** Appends so many; the rids that wait for their answers now. */
  append(count: number, bytes = 10, channel = CHANNEL): string[] {
    return Array.from({ length: count }, () => {
      const rid = `r${this.#serial++}`;
      const payload = Buffer.from(`"${'x'.repeat(bytes)}"`);
      this.appender.append({ channel, kind: 'data', encoding: 'json', time: 1, rid, payload }, (result) => {
        assert.ok(!this.answers.has(rid), 'one answer each');
        this.answers.set(rid, result);
      });
      return rid;
    });
  }

  async answered(rids: readonly string[]): Promise<string[]> {
    await waitFor('the answers', () => rids.every((rid) => this.answers.has(rid)));
    return rids.map((rid) => {
      const answer = this.answers.get(rid) as Appended;
      return answer.state === 'ok' ? 'ok' : answer.code;
    });
  }

  /** The rids that were acknowledged, in the order of their cursors. */
  acknowledged(): string[] {
    const ok = [...this.answers].flatMap(([rid, answer]) =>
      answer.state === 'ok' ? [{ rid, at: answer.cursor }] : [],
    );
    return ok.sort((a, b) => (a.at < b.at ? -1 : 1)).map(({ rid }) => rid);
  }
}

async function ridsOf(rig: Rig): Promise<string[]> {
  const records = await rig.readAll(CHANNEL);
  return records.map(({ frame }) => /"rid":"(r\d+)"/.exec(frame.toString('latin1'))?.[1] ?? '');
}

test('while the view’s store is full, appends are refused at once as `overloaded` and never stored; what is in the log is answered with room again', async () => {
  const disk = new MemoryDisk(() => 0);
  const log = new EmbeddedLog({ folder: '/data', disk: disk.boot().disk, window: 5_000 });
  const faulty = new FaultyStore(new MemoryStore());
  const desk = await Desk.open(faulty, { log, unwrittenRecordsMax: 100 });
  const { view } = desk.rig;
  assert.deepEqual(new Set(await desk.answered(desk.append(20))), new Set(['ok']));
  await view.flush();
  faulty.isFull = true;
  // The first fill the overlay; the others are on their way to the log when it is full.
  const release = disk.hold();
  desk.append(101);
  await new Promise<void>((resolve) => setImmediate(resolve));
  const inLog = desk.append(7);
  assert.equal(desk.appender.inFlight, 108);
  release();
  await waitFor('the full overlay', () => view.isStalled);
  await waitFor('the log to have all', async () => ((await view.logNewest(CHANNEL)) ?? '') > view.applied(CHANNEL));
  const newest = await view.logNewest(CHANNEL);

  const refused = desk.append(5);
  assert.deepEqual(new Set(await desk.answered(refused)), new Set(['overloaded']));
  for (const rid of refused) {
    const answer = desk.answers.get(rid);
    assert.ok(answer?.state === 'error' && answer.retryMs !== undefined, 'it may be tried again (COD-2)');
  }
  assert.equal(await view.logNewest(CHANNEL), newest, 'the log was not asked');
  assert.ok(inLog.every((rid) => !desk.answers.has(rid)));
  assert.equal((await ridsOf(desk.rig)).length, 121, 'reads go on');
  // A repeat of what was answered is answered, whatever the disk does (APP-2).
  const repeated = await new Promise<Appended>((resolve) => desk.appender.repeat(CHANNEL, undefined, 'r0', resolve));
  assert.ok(repeated.state === 'ok' && repeated.duplicate);

  faulty.isFull = false;
  assert.deepEqual(new Set(await desk.answered(inLog)), new Set(['ok']));
  assert.deepEqual(new Set(await desk.answered(desk.append(3))), new Set(['ok']));
  assert.deepEqual(await ridsOf(desk.rig), desk.acknowledged());
  assert.equal(await view.flush(), true);
  await view.close();
  await log.close();
});

test('the view alone on a full disk: refused, read on, room again, gone on by itself; killed then, nothing acknowledged is missing', async (t) => {
  const disk = await SmallDisk.mount(40 * MIB);
  if (typeof disk === 'string') return t.skip(disk);
  const folder = await mkdtemp(join(tmpdir(), 'tideway-appender-'));
  try {
    const log = new EmbeddedLog({ folder: join(folder, 'log'), window: 50_000 });
    const limits = { unwrittenRecordsMax: 300 };
    const desk = await Desk.open(new LevelStore(join(disk.folder, 'view')), { log, ...limits });
    const { view } = desk.rig;
    const rounds = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await desk.answered(desk.append(5, 8_000));
    };
    for (let round = 0; round < 2; round++) {
      await rounds(20);
      await disk.fill();
      await waitFor('appends to be refused', () => {
        desk.append(5, 8_000);
        return [...desk.answers.values()].at(-1)?.state === 'error';
      });
      assert.deepEqual(new Set(await desk.answered(desk.append(20, 8_000))), new Set(['overloaded']));
      assert.ok((await ridsOf(desk.rig)).length > 0, 'reads go on');
      await disk.empty();
      await waitFor('appends to be taken', async () => (await desk.answered(desk.append(1))).includes('ok'));
      await rounds(20);
    }
    await desk.appender.drained();
    const refused = [...desk.answers].filter(([, answer]) => answer.state === 'error');
    assert.ok(refused.every(([, answer]) => answer.state === 'error' && answer.code === 'overloaded'));
    assert.deepEqual(await ridsOf(desk.rig), desk.acknowledged());
    // What a kill would leave behind at this moment, opened by another process.
    const copy = join(folder, 'copy');
    await cp(join(folder, 'log'), join(copy, 'log'), { recursive: true });
    await cp(join(disk.folder, 'view'), join(copy, 'view'), { recursive: true });
    const copiedLog = new EmbeddedLog({ folder: join(copy, 'log') });
    const again = await Rig.open(new LevelStore(join(copy, 'view')), { log: copiedLog });
    assert.deepEqual(await ridsOf(again), desk.acknowledged());
    await again.view.close();
    await copiedLog.close();
    await view.close();
    await log.close();
  } finally {
    await disk.unmount();
    await rm(folder, { recursive: true, force: true });
  }
});

/** A node's world in which no append ever waits too long. */
const endlessEnv: Env = { ...instantEnv(), monotonicMs: () => 0 };

test('stored, and lost with the log before the view judged it: `unconfirmed` at once, so that nothing gets in front of its repeat', async () => {
  const broker = new FakeBroker({ delay: () => Promise.resolve() });
  const log = new BrokerLog({ port: broker.port(), env: endlessEnv, partitions: 1, window: 1_000 });
  const faulty = new FaultyStore(new MemoryStore());
  const desk = await Desk.open(faulty, { log, env: endlessEnv, unwrittenRecordsMax: 100 });
  await desk.answered(desk.append(20));
  await desk.rig.view.flush();
  faulty.isFull = true;
  // They come a hundred at a time, and the view has no room for the last ones.
  broker.holdFollowers = true;
  const rids = desk.append(350);
  await waitFor('the confirmation of all', () => broker.confirmed === 370);
  broker.holdFollowers = false;
  broker.wake();
  await waitFor('the full overlay', () => desk.rig.view.isStalled);
  await waitFor('the first answers', () => desk.answers.size > 20);
  const open = rids.filter((rid) => !desk.answers.has(rid));
  broker.wipe();
  assert.deepEqual(new Set(await desk.answered(open)), new Set(['unconfirmed']));
  await desk.rig.view.close();
  await log.close();
});

test('an append is answered although the partition of another one, of the same moment, hangs', async () => {
  const broker = new FakeBroker({ delay: () => Promise.resolve() });
  const port = broker.port();
  const log = new BrokerLog({ port, env: endlessEnv, partitions: 2, window: 1_000 });
  const desk = await Desk.open(new MemoryStore(), { log, env: endlessEnv, partition: 0 });
  const { partitionOf } = desk.rig.constants;
  const [here, there] = [0, 1].map((n) =>
    Array.from({ length: 9 }, (_, i) => `a:${i}`).find((one) => partitionOf(one) === n),
  );
  const { append } = port;
  const { promise, resolve } = Promise.withResolvers<void>();
  port.append = async (partition, records, deadlineMs) => {
    if (partition === 1) await promise;
    return await append.call(port, partition, records, deadlineMs);
  };
  const hanging = desk.append(1, 10, there);
  assert.deepEqual(await desk.answered(desk.append(1, 10, here)), ['ok']);
  assert.ok(!desk.answers.has(hanging[0] as string));
  resolve();
  await desk.rig.view.close();
  await log.close();
});

test('a record that came back is answered while its broker still has to confirm it, where what is seen is stored (APP-5)', async () => {
  const port = new FakeBroker({ delay: () => Promise.resolve() }).port();
  const log = new BrokerLog({ port, env: endlessEnv, partitions: 1, window: 1_000 });
  const desk = await Desk.open(new MemoryStore(), { log, env: endlessEnv });
  const { append } = port;
  const confirmation = Promise.withResolvers<void>();
  port.append = async (...call) => {
    const outcomes = await append.apply(port, call);
    await confirmation.promise;
    return outcomes;
  };
  const rids = desk.append(3);
  assert.deepEqual(await desk.answered(rids), ['ok', 'ok', 'ok']);
  assert.equal(desk.appender.inFlight, 0);
  confirmation.resolve();
  await desk.rig.view.close();
  await log.close();
  assert.deepEqual(desk.acknowledged(), rids);
});

test('what the log can never take is refused for good: without `retryMs` (COD-2)', async () => {
  const port = new FakeBroker({ delay: () => Promise.resolve() }).port();
  Object.assign(port, { declares: { ...port.declares, recordBytesMax: 100 } });
  const log = new BrokerLog({ port, env: endlessEnv, partitions: 1, window: 1_000 });
  const desk = await Desk.open(new MemoryStore(), { log, env: endlessEnv });
  const [large] = desk.append(1, 200) as [string];
  assert.deepEqual(await desk.answered([large, ...desk.append(1)]), ['too_large', 'ok']);
  assert.equal((desk.answers.get(large) as { readonly retryMs?: number }).retryMs, undefined);
  await desk.rig.view.close();
  await log.close();
});
