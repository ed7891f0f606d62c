import assert from 'node:assert/strict';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
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
