import assert from 'node:assert/strict';
import { open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LogCheck } from '../log/embedded/check.ts';
import { exitCodes } from './exit-codes.ts';
import { runCli, runHere, startServer, temporaryFolder } from './testing/cli-rig.ts';

test('log check takes a good folder, refuses one in use, and names the place of damage', async (t) => {
  const folder = await temporaryFolder(t);
  const server = await startServer(t, { data: folder });
  await runCli(t, ['append', 'a:1', '"some payload {{n}}"', '--count', '50'], server);
  // Damage to the very last write looks like one that a crash cut off: there must be another behind it.
  await runCli(t, ['append', 'b:1', '1'], server);
  const busy = await runHere(['log', 'check', folder]);
  assert.equal(busy.exitCode, exitCodes.failed);
  assert.match(busy.stderr, /is in use by process/);
  await server.process.end('SIGTERM');

  const good = await runHere(['log', 'check', folder]);
  assert.equal(good.exitCode, exitCodes.ok, good.stdout);
  assert.match(good.stdout, /✓ log [\w-]{6}: \d+ records, [\d,]+ bytes in 1 segment\n✓ view: 51 records of 2 channels/);

  const segments = join(folder, 'segments');
  const file = join(segments, (await readdir(segments)).toSorted()[0] ?? '');
  const handle = await open(file, 'r+');
  const content = await handle.readFile();
  const at = content.indexOf('some payload 20');
  await handle.write('X', at);
  await handle.close();
  const bad = await runHere(['log', 'check', folder]);
  assert.equal(bad.exitCode, exitCodes.checkFailed);
  assert.match(bad.stdout, /✗ log [^]*segments.*:\d+: /);
  const json = JSON.parse((await runHere(['log', 'check', folder, '--json'])).stdout) as {
    readonly log: { readonly problems: readonly { readonly offset: number }[] };
  };
  const [problem] = json.log.problems;
  assert.ok(problem !== undefined && problem.offset <= at, 'the damaged batch begins at or before the byte');
  assert.equal((await runHere(['log', 'check'], { folder })).exitCode, exitCodes.usage);
});

test('where the log ends before what its view has applied, acknowledged records are missing', async (t) => {
  const folder = await temporaryFolder(t);
  const server = await startServer(t, { data: folder });
  for (const n of ['1', '2', '3']) await runCli(t, ['append', 'a:1', n], server);
  await server.process.end('SIGTERM');
  const segments = join(folder, 'segments');
  const file = join(segments, (await readdir(segments)).find((name) => name.endsWith('.seg')) ?? '');
  // As after kill -9: how far it was whole is not known, so the last write looks like one that was cut off.
  await rm(join(segments, 'known-end'));
  await truncate(file, (await stat(file)).size - 7);

  const { exitCode, stdout } = await runHere(['log', 'check', folder]);
  assert.equal(exitCode, exitCodes.checkFailed, stdout);
  assert.match(
    stdout,
    /✗ log .*\n {2}.*\.seg:\d+: acknowledged records are missing: the view has applied \d+, the log/,
  );
  assert.doesNotMatch(stdout, /no harm|No loss/);
  const { log } = JSON.parse((await runHere(['log', 'check', folder, '--json'])).stdout) as { readonly log: LogCheck };
  assert.equal(log.torn, undefined);
  assert.match(log.problems.map(({ problem }) => problem).join(), /^acknowledged records are missing/);

  // Without a view nobody can tell it from a write that was cut off.
  await rm(join(folder, 'view'), { recursive: true });
  const alone = await runHere(['log', 'check', folder]);
  assert.equal(alone.exitCode, exitCodes.ok, alone.stdout);
  assert.match(alone.stdout, /\d+ bytes of a write that a crash cut off/);
});
