/** Declares the wire suite against a server of ours: it runs once, its checks side by side, and each is a test of its own. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from '../../raw/server-process.ts';
import { describeCheck, wireSuite, type CheckResult } from '../suite.ts';

/** What the server under test serves. */
const METHODS = fileURLToPath(new URL('./methods.config.ts', import.meta.url));

/**
 * @param what names the server in the tests' titles
 * @param flagsOf the flags of `tideway dev`, or what starts what they name, once
 */
export function wireTests(what: string, flagsOf: readonly string[] | (() => Promise<readonly string[]>)): void {
  let server: ServerProcess | undefined;
  let data: string | undefined;
  let results: readonly CheckResult[] = [];

  before(async () => {
    data = await mkdtemp(join(tmpdir(), 'tideway-wire-'));
    const flags = typeof flagsOf === 'function' ? await flagsOf() : flagsOf;
    const running = new ServerProcess({ data, flags: ['--config', METHODS, ...flags] });
    server = running;
    await running.start();
    const restart = async (): Promise<void> => {
      await running.kill();
      await running.start();
    };
    results = await wireSuite({ url: running.url, restart, deadlineMs: 60_000 });
  });

  after(async () => {
    await server?.kill();
    if (data !== undefined) await rm(data, { recursive: true, force: true });
  });

  test(`${what} keeps every clause of PROTOCOL.md that can be seen from outside`, async (context) => {
    assert.ok(results.length > 120, `only ${results.length} checks`);
    for (const { check, state, error } of results) {
      await context.test(describeCheck(check), (context) => {
        if (state === 'skipped') context.skip(error?.message ?? '');
        if (state === 'failed') throw error ?? new Error('failed');
      });
    }
  });

  test(`${what} stops cleanly when it is asked to`, async () => {
    assert.equal(await server?.stop(), 0);
  });
}
