import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type FileHandle, mkdtempDisposable, open, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { OutboxEntry } from '../outbox-store.ts';
import { fileOutbox } from './file-outbox.ts';

async function place(t: TestContext): Promise<string> {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-outbox-'));
  t.after(() => folder.remove());
  return join(folder.path, 'outbox.ndjson');
}

function entry(rid: string, payload: string | Uint8Array = '1'): OutboxEntry {
  return { rid, channel: 'chat:1', payload, user: 'ann', key: 'k' };
}

const nobody = () => {};

test('entries outlive their owner in order, with text and bytes as they were', async (t) => {
  const path = await place(t);
  const store = fileOutbox(path);
  assert.deepEqual(await store.open(nobody), []);
  const entries = [entry('a', '{"text":"a\u2028b"}'), entry('b', Uint8Array.of(0, 10, 255)), entry('c')];
  await store.put(entries);
  await store.put([{ ...(entries[0] as OutboxEntry), sentMs: 5 }]);
  await store.remove(['c']);
  await store.close();
  const again = fileOutbox(path);
  assert.deepEqual(await again.open(nobody), [{ ...entries[0], sentMs: 5 }, entries[1]]);
  await again.close();
});

test('at whatever byte a crash tears the last line off, what was whole is there', async (t) => {
  const path = await place(t);
  const store = fileOutbox(path);
  await store.open(nobody);
  await store.put([entry('a')]);
  const whole = readFileSync(path);
  await store.put([entry('b')]);
  await store.close();
  const all = readFileSync(path);
  for (let length = whole.length; length < all.length; length++) {
    writeFileSync(path, all.subarray(0, length));
    const torn = fileOutbox(path);
    assert.deepEqual(await torn.open(nobody), [entry('a')]);
    await torn.put([entry('c')]);
    await torn.close();
    const after = fileOutbox(path);
    assert.deepEqual(await after.open(nobody), [entry('a'), entry('c')]);
    await after.close();
  }
});

test('damage before the last line is said, never skipped', async (t) => {
  const path = await place(t);
  await writeFile(path, `{"put":{"rid":"a"\n{"remove":"a"}\n`);
  await assert.rejects(fileOutbox(path).open(nobody), /damaged in line 1/);
  // And who repaired it can open it.
  await writeFile(path, `{"remove":"a"}\n`);
  const store = fileOutbox(path);
  assert.deepEqual(await store.open(nobody), []);
  await store.close();
});

test('a disk that was full for a while harms nothing that is kept before, meanwhile or after', async (t) => {
  const path = await place(t);
  const store = fileOutbox(path);
  await store.open(nobody);
  await store.put([entry('before')]);
  const some = await open(path, 'r');
  // What all file handles share.
  const handles = Object.getPrototypeOf(some) as FileHandle;
  await some.close();
  const full = t.mock.method(handles, 'appendFile', async function (this: FileHandle, text: string) {
    await this.write(text.slice(0, 10));
    throw new Error('ENOSPC: no space left on device');
  });
  await assert.rejects(store.put([entry('meanwhile')]), /ENOSPC/);
  full.mock.restore();
  await store.put([entry('after')]);
  await store.put([entry('last')]);
  await store.close();
  const again = fileOutbox(path);
  assert.deepEqual(
    (await again.open(nobody)).map(({ rid }) => rid),
    ['before', 'meanwhile', 'after', 'last'],
  );
  await again.close();
});

test('of a lock whose process is gone and whose id another has, nobody is kept out', async (t) => {
  if (!existsSync('/proc/self/stat')) {
    t.skip('only Linux says when a process began');
    return;
  }
  const path = await place(t);
  await writeFile(`${path}.lock`, `${process.ppid} 1`);
  const store = fileOutbox(path);
  await store.open(nobody);
  assert.match(readFileSync(`${path}.lock`, 'utf8'), new RegExp(`^${process.pid} \\d+$`));
  await store.close();
});

test('a file has one owner; the lock of one that died is taken over', async (t) => {
  const path = await place(t);
  const store = fileOutbox(path);
  await store.open(nobody);
  await assert.rejects(fileOutbox(path).open(nobody), /used by another client/);
  await store.close();
  assert.equal(existsSync(`${path}.lock`), false);
  // The process that started this test lives.
  await writeFile(`${path}.lock`, String(process.ppid));
  await assert.rejects(fileOutbox(path).open(nobody), /used by another client/);
  // Left by an earlier life with the same id, or torn while it was written.
  for (const left of [String(process.pid), '', 'nonsense']) {
    await writeFile(`${path}.lock`, left);
    const next = fileOutbox(path);
    await next.open(nobody);
    await next.close();
  }
});

test('a file does not grow with what is over', async (t) => {
  const path = await place(t);
  const store = fileOutbox(path);
  await store.open(nobody);
  await store.put([entry('stays')]);
  const large = JSON.stringify('x'.repeat(100_000));
  for (let n = 0; n < 40; n++) {
    await store.put([entry(`r${n}`, large)]);
    await store.remove([`r${n}`]);
  }
  assert.ok((await stat(path)).size < 2_000_000);
  assert.match(await readFile(path, 'utf8'), /stays/);
  await store.close();
  const again = fileOutbox(path);
  assert.deepEqual(await again.open(nobody), [entry('stays')]);
  await again.close();
});
