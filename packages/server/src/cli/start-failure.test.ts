import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { LogLine } from '../ops/logger.ts';
import { StoreError } from '../view/store.ts';
import { CliError } from './exit-codes.ts';
import { startFailure } from './start-failure.ts';
import { StartLines } from './start-lines.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: as the system says it, open '/data/ticket.key'`), { code, syscall: 'open' });
}

test('a folder that cannot be written is named, with the code, why, and what to do', () => {
  const cases = {
    EACCES:
      /^the data folder \/data cannot be written: this user may not \(EACCES\); let this user write there, or choose/,
    EROFS: /read-only \(EROFS\); make that writable/,
    ENOSPC: /its disk is full \(ENOSPC\); make room there/,
  };
  for (const [code, expected] of Object.entries(cases)) {
    const error = systemError(code);
    for (const one of [error, new StoreError('failed', 'the view cannot be opened', error)]) {
      const failure = startFailure(one, '/data');
      assert.ok(failure instanceof CliError);
      assert.match(failure.message, expected);
    }
  }
});

test('whatever says what is wrong by itself stays as it is', async () => {
  for (const error of [new Error('log.json is damaged'), new CliError(1, 'x'), systemError('ECONNREFUSED'), 'text']) {
    assert.equal(startFailure(error, '/data'), error);
  }
  const real = await writeFile('/nowhere/at/all', '').catch((error: unknown) => error);
  assert.equal(startFailure(real, '/data'), real);
});

test('what a server logs from its start on is held until it listens; what is wrong is not', () => {
  const written: string[] = [];
  const lines = new StartLines(({ event }) => written.push(event));
  const say = (event: LogLine['event'], level: LogLine['level']): void => lines.write({ time: '', level, event });
  say('log.up', 'info');
  say('server.started', 'info');
  say('log.down', 'error');
  assert.deepEqual(written, ['log.up', 'log.down']);
  lines.release();
  say('server.stopping', 'info');
  assert.deepEqual(written, ['log.up', 'log.down', 'server.started', 'server.stopping']);
});
