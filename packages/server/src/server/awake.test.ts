import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const url = JSON.stringify(new URL('./awake.ts', import.meta.url).href);

/** A program that waits for a timer which keeps nothing alive, as those of a log do. */
const program = (waiting: string): string =>
  `import { awake } from ${url}; await ${waiting}(new Promise((done) => setTimeout(done, 20).unref())); console.log('there');`;

const run = (waiting: string): Promise<{ readonly stdout: string }> =>
  promisify(execFile)(process.execPath, ['--input-type=module', '-e', program(waiting)]);

test('a process that waits for a timer of the log stays alive, and ends once that has come', async () => {
  assert.equal((await run('awake')).stdout, 'there\n');
  await assert.rejects(run(''), { code: 13 }, 'without it the process ends before');
});
