import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ServerProcess } from '../raw/server-process.ts';
import { describeCheck, wireSuite, type CheckResult } from './suite.ts';

/**
 * The suite runs once, its checks side by side, as against any URL; here each check is a test of its own. Pings and the
 * append rate are set so that what they do can be seen in a short time.
 */
const FLAGS = ['--ping-ms', '1000', '--limits-appends-per-second', '3000'];

let server: ServerProcess | undefined;
let data: string | undefined;
let results: readonly CheckResult[] = [];

before(async () => {
  data = await mkdtemp(join(tmpdir(), 'tideway-wire-'));
  const running = new ServerProcess({ data, flags: FLAGS });
  server = running;
  await running.start();
  const restart = async (): Promise<void> => {
    await running.kill();
    await running.start();
  };
  results = await wireSuite({ url: running.url, restart, deadlineMs: 30_000 });
});

after(async () => {
  await server?.kill();
  if (data !== undefined) await rm(data, { recursive: true, force: true });
});

test('our server keeps every clause of PROTOCOL.md that can be seen from outside', async (context) => {
  assert.ok(results.length > 120, `only ${results.length} checks`);
  for (const { check, state, error } of results) {
    await context.test(describeCheck(check), (context) => {
      if (state === 'skipped') context.skip(error?.message ?? '');
      if (state === 'failed') throw error ?? new Error('failed');
    });
  }
});

test('our server stops cleanly when it is asked to', async () => {
  assert.equal(await server?.stop(), 0);
});
