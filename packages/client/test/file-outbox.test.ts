/**
 * The outbox in a file, under processes that are killed while they write it.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileOutbox } from '@tideway/client/node';

const KILLS = 8;

function startWriter(t: TestContext, file: string, prefix: string): ChildProcess {
  const writer = join(import.meta.dirname, 'outbox-writer.ts');
  const child = spawn(process.execPath, ['--conditions=tideway-source', writer, file, prefix], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** Lets a process write until it has said so many lines, kills it in the middle of what it does next, and returns them. */
async function killAfter(child: ChildProcess, count: number): Promise<string[]> {
  const lines: string[] = [];
  assert.ok(child.stdout !== null);
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    if (lines.length === count) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  assert.equal(child.signalCode, 'SIGKILL');
  return lines;
}

test('a process killed in the middle of a write loses nothing that it was told is durable', async (t) => {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-outbox-'));
  t.after(() => folder.remove());
  const file = join(folder.path, 'outbox.ndjson');
  /** What must be there, in order. */
  let expected: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const [first = '', ...lines] = await killAfter(startWriter(t, file, `k${kill}-`), 4 + 5 * kill);
    const left = first.replace('left ', '').split(',').filter(Boolean);
    assertLeft(left, expected);
    expected = left;
    for (const line of lines) {
      const rid = line.slice(1);
      if (line.startsWith('+')) expected.push(rid);
      else expected = expected.filter((one) => one !== rid);
    }
  }
  const store = fileOutbox(file);
  const entries = await store.open(() => {});
  await store.close();
  assertLeft(
    entries.map(({ rid }) => rid),
    expected,
  );
  for (const { rid, payload } of entries) {
    const n = Number(rid.split('-')[1]);
    const length = n % 7 === 0 ? 300_000 : 20;
    assert.deepEqual(
      payload,
      n % 3 === 0 ? new Uint8Array(length).fill(n % 256) : JSON.stringify('x'.repeat(length)),
      rid,
    );
  }
});

/** One change was under way at most: an entry more at the end, or one less of those that were to go. */
function assertLeft(left: readonly string[], expected: readonly string[]): void {
  const more = left.filter((rid) => !expected.includes(rid));
  const less = expected.filter((rid) => !left.includes(rid));
  assert.ok(more.length + less.length <= 1, `more: ${more.join()}; less: ${less.join()}`);
  assert.deepEqual(
    left,
    [...expected, ...more].filter((rid) => !less.includes(rid)),
  );
}

test('while a process lives the file is its own; when it was killed another may have it', async (t) => {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-outbox-'));
  t.after(() => folder.remove());
  const file = join(folder.path, 'outbox.ndjson');
  const child = startWriter(t, file, 'k');
  assert.ok(child.stdout !== null);
  await once(createInterface(child.stdout), 'line');
  const store = fileOutbox(file);
  await assert.rejects(
    store.open(() => {}),
    {
      message: new RegExp(`used by another client, of process ${child.pid};`),
    },
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  await store.open(() => {});
  await store.close();
});
