/** What the view does when its disk is full, read-only, or its folder is gone or damaged: on real disks. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { EmbeddedLog } from '../log/embedded/embedded-log.ts';
import { MemoryLog } from '../log/memory/memory-log.ts';
import { APPLIED_KEY, decodeApplied } from './store-keys.ts';
import { LevelStore } from './store-level.ts';
import { StoreError } from './store.ts';
import { SmallDisk } from './testing/small-disk.ts';
import type { VisibleRecord } from './view.ts';
import { instantEnv, Rig, waitFor } from './testing/view-rig.ts';

const MIB = 1024 * 1024;

async function withSmallDisk(t: TestContext, bytes: number, body: (disk: SmallDisk) => Promise<void>): Promise<void> {
  const disk = await SmallDisk.mount(bytes);
  if (typeof disk === 'string') return t.skip(disk);
  try {
    await body(disk);
  } finally {
    await disk.unmount();
  }
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-view-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function cursorsOf(records: readonly VisibleRecord[]): string[] {
  return records.map((record) => record.cursor);
}

const large = { payload: `"${'x'.repeat(8_000)}"` };

test('F1: a disk full for a moment: what the store confirms afterwards is there after opening it anew', (t) =>
  withSmallDisk(t, 40 * MIB, async (disk) => {
    const folder = join(disk.folder, 'view');
    const rig = await Rig.open(new LevelStore(folder), { env: instantEnv(), log: new MemoryLog({ window: 5_000 }) });
    const cursors: string[] = [];
    const appendSome = async (batches: number): Promise<void> => {
      for (let i = 0; i < batches; i++) {
        for (const verdict of await rig.append(large, large, large))
          cursors.push((verdict as { cursor: string }).cursor);
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    };
    for (let round = 1; round <= 4; round++) {
      await appendSome(30);
      assert.equal(await rig.view.flush(), true);
      await disk.fill();
      await appendSome(30);
      const count = (event: string): number => rig.troubles.filter((trouble) => trouble.event === event).length;
      await waitFor('the failure', () => count('store_failed') >= round);
      assert.equal(await rig.view.flush(), false);
      assert.deepEqual(cursorsOf(await rig.readAll('chat:1')), cursors, 'reads go on');
      await disk.empty();
      await waitFor('recovery', () => count('store_recovered') === round);
      await appendSome(30);
    }
    await waitFor('a flush', () => rig.view.flush());
    const applied = rig.view.applied('chat:1');
    await rig.view.close();

    const store = new LevelStore(folder);
    await store.open();
    assert.equal(decodeApplied(store.getSync(APPLIED_KEY) as Buffer).position, applied);
    await store.close();
    const again = await rig.reopen(new LevelStore(folder));
    assert.deepEqual(
      (await again.readAll('chat:1')).map((record) => record.cursor),
      cursors,
    );
    await again.view.close();
  }));

test('log and view on a full disk: appends are refused, reads go on, room again, go on, die: nothing acknowledged is missing', (t) =>
  withSmallDisk(t, 40 * MIB, async (disk) => {
    const log = new EmbeddedLog({ folder: join(disk.folder, 'log'), window: 5_000 });
    const rig = await Rig.open(new LevelStore(join(disk.folder, 'view')), { log, env: instantEnv() });
    const kept: string[] = [];
    const refused: string[] = [];
    let serial = 0;
    const appendSome = async (batches: number): Promise<void> => {
      for (let i = 0; i < batches; i++) {
        const rids = Array.from({ length: 3 }, () => `r${serial++}`);
        const outcomes = await log.append(
          rids.map((rid) => ({
            channel: 'chat:1',
            kind: 'data',
            encoding: 'json',
            time: 1,
            rid,
            payload: Buffer.from(large.payload),
          })),
        );
        outcomes.forEach(({ state }, j) => (state === 'stored' ? kept : refused).push(rids[j] as string));
      }
    };
    const expectKept = (view: Rig['view']): void => {
      for (const rid of kept) assert.equal(view.findRid('chat:1', undefined, rid)?.state, 'visible', rid);
      for (const rid of refused) assert.equal(view.findRid('chat:1', undefined, rid), undefined, rid);
    };
    await appendSome(40);
    await disk.fill();
    await appendSome(200);
    assert.ok(refused.length > 0, 'the log refuses what it cannot store');
    assert.equal((await rig.readAll('chat:1')).length, kept.length, 'reads go on');
    await disk.empty();
    await waitFor('the log to store again', async () => {
      const before = kept.length;
      await appendSome(1);
      return kept.length > before;
    });
    await appendSome(40);
    expectKept(rig.view);
    await withFolder(async (copy) => {
      // What a kill would leave behind at this moment, opened by another process.
      await cp(disk.folder, copy, { recursive: true });
      const again = await Rig.open(new LevelStore(join(copy, 'view')), {
        log: new EmbeddedLog({ folder: join(copy, 'log') }),
      });
      expectKept(again.view);
      assert.equal((await again.readAll('chat:1')).length, kept.length);
      await again.view.close();
      await again.log.close();
    });
    await rig.view.close();
    await log.close();
  }));

test('a read-only disk is refused in words when the view is opened', (t) =>
  withSmallDisk(t, 40 * MIB, async (disk) => {
    const store = new LevelStore(join(disk.folder, 'view'));
    await store.open();
    await store.close();
    disk.remount('ro');
    await assert.rejects(Rig.open(store), (error: unknown) => {
      assert.ok(error instanceof StoreError);
      assert.equal(error.reason, 'failed');
      assert.match(error.message, /view.*cannot be opened.*[Rr]ead-only/);
      return true;
    });
    assert.equal(await store.hasRoom(), false);
    disk.remount('rw');
    const rig = await Rig.open(store);
    await rig.view.close();
  }));

/** Fills a view on an embedded log, does something to the view's folder, and expects everything to be as before. */
async function survives(harm: (records: string, folder: string) => Promise<void>, troubles: string[]): Promise<void> {
  await withFolder(async (folder) => {
    const log = new EmbeddedLog({ folder: join(folder, 'log'), window: 5_000 });
    const rig = await Rig.open(new LevelStore(join(folder, 'view')), { log });
    const cursors = await rig.fill('chat:1', 600, 30);
    await rig.append({ channel: 'chat:2' }, { channel: 'chat:2', kind: 'close' });
    await rig.view.close();
    await harm(join(folder, 'view', 'records'), join(folder, 'view'));
    const again = await rig.reopen(new LevelStore(join(folder, 'view')));
    try {
      assert.deepEqual(
        (await again.readAll('chat:1')).map((record) => record.cursor),
        cursors,
      );
      assert.equal(again.view.state('chat:2').closed, true);
      assert.deepEqual(
        again.troubles.map(({ event }) => event),
        troubles,
      );
    } finally {
      await again.view.close();
      await log.close();
    }
  });
}

test('a view folder that was deleted is made anew from the log', () =>
  survives((_records, folder) => rm(folder, { recursive: true }), []));

test('a view folder whose manifest is damaged is set aside and made anew from the log', () =>
  survives(
    async (records) => {
      for (const name of await readdir(records)) {
        if (name.startsWith('MANIFEST')) await writeFile(join(records, name), Buffer.alloc(100, 7));
      }
    },
    ['store_set_aside'],
  ));

test('a view folder that lost its manifest is set aside and made anew from the log', () =>
  survives(
    async (records) => {
      for (const name of await readdir(records)) if (name.startsWith('MANIFEST')) await rm(join(records, name));
    },
    ['store_set_aside'],
  ));

test('a view whose write-ahead file is cut anywhere goes on from what is left of it', () =>
  survives(async (records) => {
    for (const name of await readdir(records)) {
      if (!name.endsWith('.log')) continue;
      const bytes = await readFile(join(records, name));
      await writeFile(join(records, name), bytes.subarray(0, Math.floor(bytes.length * 0.6)));
    }
  }, []));

test('a bit that flipped in the view’s records is found by the reader, and the view made anew from the log', async () => {
  await withFolder(async (folder) => {
    const log = new EmbeddedLog({ folder: join(folder, 'log'), window: 5_000 });
    const rig = await Rig.open(new LevelStore(join(folder, 'view')), { log });
    const cursors = await rig.fill('chat:1', 600, 30);
    // Opened twice, what was in the write-ahead file lies in a table.
    const once = await rig.reopen(new LevelStore(join(folder, 'view')));
    await once.view.close();
    const records = join(folder, 'view', 'records');
    let flipped = 0;
    for (const name of await readdir(records)) {
      if (!name.endsWith('.ldb')) continue;
      const bytes = await readFile(join(records, name));
      // Tables are compressed, but what is new in them stands there as it is.
      for (let at = bytes.indexOf('{"n":'); at >= 0; at = bytes.indexOf('{"n":', at + 1)) {
        bytes[at + 1] = (bytes[at + 1] as number) ^ 4;
        flipped++;
      }
      await writeFile(join(records, name), bytes);
    }
    assert.ok(flipped > 0);
    const again = await rig.reopen(new LevelStore(join(folder, 'view')));
    assert.deepEqual(
      (await again.readAll('chat:1')).map((record) => record.cursor),
      cursors,
    );
    assert.deepEqual(
      again.troubles.map(({ event }) => event),
      ['store_set_aside', 'view_rebuilt'],
    );
    await again.view.close();
    await log.close();
  });
});
