/** The embedded log on a real disk: killed processes, a second process, a full and a read-only file system. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { checkLog } from './check.ts';
import { EmbeddedLog } from './embedded-log.ts';
import { readAll, records, rids } from './testing/log-room.ts';

const CHILD = join(import.meta.dirname, 'testing/appending-child.ts');
const KILLS = 12;

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-log-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A process that appends, and what it says, line by line. */
function startChild(
  t: TestContext,
  folder: string,
  first: number,
  seed: number,
): { child: ChildProcess; lines: AsyncIterator<string> } {
  const args = ['--conditions=tideway-source', CHILD, folder, String(first), String(seed)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  assert.ok(child.stdout !== null);
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

test(`killed ${KILLS} times in the middle of appending, the log holds everything acknowledged, in order, once`, async (t) => {
  const folder = await folderFor(t);
  const acknowledged: [from: number, count: number][] = [];
  let first = 1;
  let torn = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    const { child, lines } = startChild(t, folder, first, kill * 7919);
    assert.equal((await lines.next()).value, 'open');
    for (let left = (kill * 37) % 160; left >= 0; left--) {
      // The kill goes out after so many answers; those that were on their way still count.
      if (left === 0) child.kill('SIGKILL');
      const { value } = await lines.next();
      if (value === undefined) break;
      const [, from, count] = /^stored (\d+) (\d+)$/.exec(value) ?? assert.fail(value);
      acknowledged.push([Number(from), Number(count)]);
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    for (;;) {
      const { value } = await lines.next();
      if (value === undefined) break;
      const said = /^stored (\d+) (\d+)$/.exec(value);
      if (said !== null) acknowledged.push([Number(said[1]), Number(said[2])]);
    }

    const log = new EmbeddedLog({ folder, report: ({ event }) => void (event === 'torn_write' && torn++) });
    await log.open();
    const held = (await readAll(log)).map(({ record }) => Number(record.rid?.slice(1)));
    await log.close();
    for (let n = 1; n < held.length; n++) assert.ok((held[n] as number) > (held[n - 1] as number), 'in order, once');
    const there = new Set(held);
    for (const [from, count] of acknowledged) {
      for (let n = from; n < from + count; n++) assert.ok(there.has(n), `r${n} was acknowledged and is gone`);
    }
    assert.deepEqual((await checkLog(folder)).problems, []);
    first = Math.max(0, ...held) + 1_000_000;
  }
  const count = acknowledged.reduce((sum, [, one]) => sum + one, 0);
  t.diagnostic(`${count} records acknowledged in ${KILLS} lives, ${torn} torn writes cut`);
  assert.ok(count > 1_000);
});

test('a second process is refused with the folder and the id of the first; a killed one keeps nobody out', async (t) => {
  const folder = await folderFor(t);
  const { child, lines } = startChild(t, folder, 1, 1);
  assert.equal((await lines.next()).value, 'open');
  await assert.rejects(new EmbeddedLog({ folder }).open(), (error: Error) => {
    assert.match(error.message, new RegExp(`${folder} is in use by process ${child.pid};`));
    return true;
  });
  await assert.rejects(checkLog(folder), /is in use by process/);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const log = new EmbeddedLog({ folder });
  await log.open();
  const other = startChild(t, folder, 1, 1);
  const { value } = await other.lines.next();
  assert.match(value, new RegExp(`refused .* in use by process ${process.pid};`));
  await assert.rejects(new EmbeddedLog({ folder }).open(), /in use by process/, 'also within one process');
  await log.close();
  const again = new EmbeddedLog({ folder });
  await again.open();
  await again.close();
});

test('an id left behind by a process that is gone, or is another one now, keeps nobody out', async (t) => {
  const folder = await folderFor(t);
  await writeFile(join(folder, 'lock.pid'), `${process.ppid}\n`);
  const log = new EmbeddedLog({ folder });
  await log.open();
  assert.equal(await readFile(join(folder, 'lock.pid'), 'utf8'), `${process.pid}\n`);
  await log.close();
});

test(
  'on Linux a batch is written through a descriptor with O_DSYNC',
  { skip: process.platform !== 'linux' && 'no /proc here' },
  async (t) => {
    const folder = await folderFor(t);
    const log = new EmbeddedLog({ folder });
    await log.open();
    const flags: number[] = [];
    for (const fd of await readdir('/proc/self/fd')) {
      const path = await readlink(`/proc/self/fd/${fd}`).catch(() => '');
      if (!path.startsWith(join(folder, 'segments'))) continue;
      const info = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8');
      flags.push(Number.parseInt(/flags:\s*([0-7]+)/.exec(info)?.[1] ?? '', 8));
    }
    assert.equal(flags.length, 1);
    assert.equal((flags[0] as number) & 0o10000, 0o10000);
    await log.close();
  },
);

/** A small file system of its own; `undefined`, and the test skipped with the reason, where none can be mounted. */
async function mountSmall(t: TestContext): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-log-'));
  const args = ['-t', 'tmpfs', '-o', 'size=2m', 'tideway-test', folder];
  const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' });
  t.after(async () => {
    if (status === 0) spawnSync('umount', ['-l', folder]);
    await rm(folder, { recursive: true, force: true });
  });
  if (status === 0) return folder;
  t.skip(`no file system can be mounted here: ${error?.message ?? stderr.trim()}`);
  return undefined;
}

test('a file system that is really full: refused, room again, stored, killed, nothing acknowledged missing', async (t) => {
  const mounted = await mountSmall(t);
  if (mounted === undefined) return;
  const folder = join(mounted, 'data');
  const log = new EmbeddedLog({ folder });
  await log.open();
  const ballast = join(mounted, 'ballast');
  let next = 1;
  for (let round = 0; round < 3; round++) {
    const [stored] = await log.append(records(next++, 1, 1_000));
    assert.equal(stored?.state, 'stored');
    await writeFile(ballast, Buffer.alloc(4_000_000)).catch(() => undefined);
    for (let n = 0; n < 10; n++) {
      const outcomes = await log.append(records(900_000, 8, 1_000));
      const refused = outcomes.every((outcome) => outcome.state === 'refused' && outcome.code === 'not_durable');
      assert.ok(refused, JSON.stringify(outcomes));
    }
    assert.equal((await readAll(log)).length, next - 1);
    await rm(ballast);
  }
  const outcomes = await log.append(records(next, 20, 1_000));
  assert.ok(outcomes.every(({ state }) => state === 'stored'));
  await log.close();

  const { child, lines } = startChild(t, folder, next + 20, 5);
  assert.equal((await lines.next()).value, 'open');
  // It appends until the disk is full, and is killed then: from there on it says that nothing of an append was stored.
  let last = next + 19;
  for (;;) {
    const { value } = await lines.next();
    const [, from, count] = /^stored (\d+) (\d+)$/.exec(value) ?? assert.fail(String(value));
    if (Number(count) === 0) break;
    last = Math.max(last, Number(from) + Number(count) - 1);
  }
  child.kill('SIGKILL');
  await once(child, 'exit');
  const again = new EmbeddedLog({ folder });
  await again.open();
  const held = (await readAll(again)).map(({ record }) => record.rid ?? '');
  assert.deepEqual(held.slice(0, last), rids(1, last));
  await again.close();
});

test('a log opens on a full file system, is read there, and is still locked', async (t) => {
  const mounted = await mountSmall(t);
  if (mounted === undefined) return;
  const folder = join(mounted, 'data');
  const log = new EmbeddedLog({ folder });
  await log.open();
  await log.append(records(1, 10, 1_000));
  await log.close();
  await rm(join(folder, 'lock.pid'));
  await writeFile(join(mounted, 'ballast'), Buffer.alloc(4_000_000)).catch(() => undefined);
  const again = new EmbeddedLog({ folder });
  await again.open();
  assert.equal((await readAll(again)).length, 10);
  const [outcome] = await again.append(records(11, 8, 1_000));
  assert.ok(outcome?.state === 'refused' && outcome.code === 'not_durable');
  await assert.rejects(new EmbeddedLog({ folder }).open(), /in use by another process/);
  await again.close();
});

test('a read-only file system: the log says that the folder must be writable; the check still reads it', async (t) => {
  const folder = await mountSmall(t);
  if (folder === undefined) return;
  const log = new EmbeddedLog({ folder });
  await log.open();
  await log.append(records(1, 10));
  await log.close();
  const { status } = spawnSync('mount', ['-o', 'remount,ro', folder]);
  assert.equal(status, 0);
  await assert.rejects(new EmbeddedLog({ folder }).open(), /must be writable|EROFS|read-only/);
  const { problems, segments } = await checkLog(folder);
  assert.deepEqual(problems, []);
  assert.equal(segments[0]?.records, 10);
});
