import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ClassicLevel } from 'classic-level';
import { LevelStore } from './store-level.ts';
import { MemoryStore } from './store-memory.ts';
import { StoreError, type Store, type StoreRange } from './store.ts';

function storeSuite(name: string, withStore: (body: (store: Store) => Promise<void>) => Promise<void>): void {
  const value = (text: string): Buffer => Buffer.from(text);
  const put = (key: string, text = key): { type: 'put'; key: string; value: Buffer } => ({
    type: 'put',
    key,
    value: value(text),
  });
  async function keys(store: Store, range: Omit<StoreRange, 'limit' | 'bytes'>, limit = 100): Promise<string[]> {
    const { entries } = await store.scan({ ...range, limit, bytes: 1_000_000 });
    for (const entry of entries) assert.equal(entry.value.toString(), entry.key);
    return entries.map((entry) => entry.key);
  }

  describe(name, () => {
    test('what was written is read, one key at a time and in order of the keys', () =>
      withStore(async (store) => {
        const list = ['rchat:1 15', 'rchat:1 10', 'rchat:1 2A0', 'rchat:10 11', 'rchat:1+ 11', 'mchat:1', 'a'];
        await store.write(list.map((key) => put(key)));
        assert.equal(store.getSync('a')?.toString(), 'a');
        assert.equal(store.getSync('b'), undefined);
        assert.equal(store.getSync('rchat:1 1'), undefined);
        const all = { gt: 'rchat:1 ', lt: 'rchat:1!' };
        assert.deepEqual(await keys(store, all), ['rchat:1 10', 'rchat:1 15', 'rchat:1 2A0']);
        assert.deepEqual(await keys(store, { ...all, reverse: true }, 2), ['rchat:1 2A0', 'rchat:1 15']);
        assert.deepEqual(await keys(store, { gt: 'rchat:1 10', lt: 'rchat:1 2A0' }), ['rchat:1 15']);
        assert.deepEqual(await keys(store, { gte: 'rchat:1 10', lt: 'rchat:1 15' }), ['rchat:1 10']);
        assert.deepEqual(await keys(store, { gt: 'mchat', lt: 'n' }), ['mchat:1']);
        assert.deepEqual(await keys(store, { gt: 'rchat:2 ', lt: 'rchat:2!' }), []);
      }));

    test('a write replaces and deletes; of two ops with one key the later one counts', () =>
      withStore(async (store) => {
        await store.write([put('w1'), put('w2'), put('w3')]);
        await store.write([{ type: 'del', key: 'w2' }, put('w3', 'x'), put('w3'), { type: 'del', key: 'w9' }]);
        assert.deepEqual(await keys(store, { gt: 'w', lt: 'x' }), ['w1', 'w3']);
        await store.write([{ type: 'del', key: 'w1' }, put('w1'), put('w4'), { type: 'del', key: 'w4' }]);
        assert.deepEqual(await keys(store, { gt: 'w', lt: 'x' }), ['w1', 'w3']);
      }));

    test('a scan ends at its limit or its bytes, gives at least one entry, and says whether more follows', () =>
      withStore(async (store) => {
        await store.write(Array.from({ length: 9 }, (_, i) => put(`w${i}`, 'x'.repeat(100))));
        const scan = (limit: number, bytes: number): Promise<string> =>
          store.scan({ gt: 'w', lt: 'x', limit, bytes }).then(({ entries, end }) => `${entries.length} ${end}`);
        assert.equal(await scan(100, 10_000), '9 true');
        assert.equal(await scan(4, 10_000), '4 false');
        assert.equal(await scan(100, 1), '1 false');
        assert.match(await scan(100, 250), /^[34] false$/);
      }));

    test('a random walk over many keys reads like a sorted list', () =>
      withStore(async (store) => {
        const model = new Map<string, string>();
        for (let i = 0; i < 3_000; i++) {
          const key = `m${(i * 7_919) % 1_009}`;
          if (i % 5 === 0) {
            model.delete(key);
            await store.write([{ type: 'del', key }]);
          } else {
            model.set(key, key);
            await store.write([put(key)]);
          }
        }
        assert.deepEqual(await keys(store, { gt: 'm', lt: 'n' }, 5_000), [...model.keys()].toSorted());
      }));

    test('set aside, it is empty', () =>
      withStore(async (store) => {
        await store.write([put('a')]);
        assert.notEqual(await store.setAside(), '');
        await store.open();
        assert.equal(store.getSync('a'), undefined);
      }));
  });
}

storeSuite('the memory store', async (body) => {
  const store = new MemoryStore();
  await store.open();
  await body(store);
});

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-store-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

storeSuite('the LevelDB store', (body) =>
  withFolder(async (folder) => {
    const store = new LevelStore(join(folder, 'view'));
    await store.open();
    try {
      await body(store);
    } finally {
      await store.close();
    }
  }),
);

function storeError(reason: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StoreError);
    assert.equal(error.reason, reason);
    assert.match(error.message, message);
    return true;
  };
}

test('what is written is there after closing and opening', () =>
  withFolder(async (folder) => {
    const first = new LevelStore(folder);
    await first.open();
    await first.write([{ type: 'put', key: 'a', value: Buffer.from('1') }]);
    await first.close();
    const second = new LevelStore(folder);
    await second.open();
    assert.equal(second.getSync('a')?.toString(), '1');
    await second.close();
  }));

test('a second process on the same folder is refused in words', () =>
  withFolder(async (folder) => {
    const first = new LevelStore(folder);
    await first.open();
    await assert.rejects(new LevelStore(folder).open(), storeError('in_use', /another process holds it/));
    await first.close();
  }));

test('a folder of a newer format is refused in words and left alone', () =>
  withFolder(async (folder) => {
    const first = new LevelStore(folder);
    await first.open();
    await first.close();
    await writeFile(join(folder, 'format'), '2\n');
    const before = await readdir(folder);
    await assert.rejects(new LevelStore(folder).open(), storeError('newer', /format 2.*reads up to 1/));
    assert.deepEqual(await readdir(folder), before);
    assert.equal(await readFile(join(folder, 'format'), 'utf8'), '2\n');
  }));

test('a value that is not as it was written is damage, read one by one or in a scan', () =>
  withFolder(async (folder) => {
    const store = new LevelStore(folder);
    await store.open();
    await store.write([{ type: 'put', key: 'w1', value: Buffer.from('one') }]);
    await store.close();
    const level = new ClassicLevel<string, Buffer>(join(folder, 'records'), { valueEncoding: 'buffer' });
    const value = await level.get('w1');
    assert.ok(value !== undefined);
    value[1] = (value[1] as number) ^ 1;
    await level.put('w2', Buffer.from('x'));
    await level.put('w1', value);
    await level.close();
    await store.open();
    assert.throws(() => store.getSync('w1'), storeError('damaged', /not as it was written/));
    assert.throws(() => store.getSync('w2'), storeError('damaged', /not as it was written/));
    await assert.rejects(store.scan({ gt: 'w', lt: 'x', limit: 9, bytes: 99 }), storeError('damaged', /not as/));
    await store.close();
  }));

test('a folder whose files are damaged is damage, and is set aside for a person to look at', () =>
  withFolder(async (folder) => {
    const store = new LevelStore(folder);
    await store.open();
    await store.write([{ type: 'put', key: 'a', value: Buffer.from('1') }]);
    await store.close();
    const records = join(folder, 'records');
    for (const name of await readdir(records)) {
      if (name.startsWith('MANIFEST')) await writeFile(join(records, name), 'not a manifest');
    }
    await assert.rejects(store.open(), storeError('damaged', /cannot be opened/));
    const where = await store.setAside();
    assert.ok(existsSync(where));
    await store.open();
    assert.equal(store.getSync('a'), undefined);
    assert.equal(await store.hasRoom(), true);
    await store.close();
  }));
