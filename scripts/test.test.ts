import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const runner = join(import.meta.dirname, 'test.ts');
/** Tells the first run of a file from the second. */
const onFirst =
  "import { existsSync, writeFileSync } from 'node:fs';\nconst isSecond = existsSync('was'); writeFileSync('was', '');";
const imports = "import { test, describe, before } from 'node:test';\n";

interface Outcome {
  readonly lines: string[];
  readonly last: string;
  readonly exitCode: number | null;
}

/** What `npm test` says about a repository that holds just these test files. */
function testRun(files: Record<string, string>, ...args: string[]): Outcome {
  const root = mkdtempSync(join(tmpdir(), 'tideway-test-'));
  try {
    mkdirSync(join(root, 'scripts'));
    for (const [file, text] of Object.entries(files)) writeFileSync(join(root, 'scripts', file), imports + text);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const options = { cwd: root, env, encoding: 'utf8', timeout: 60_000 } as const;
    const ended = spawnSync(process.execPath, [runner, ...args, 'scripts/'], options);
    const lines = ended.stdout.trimEnd().split('\n');
    return { lines, last: lines.at(-1) ?? '', exitCode: ended.status };
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** The closing list: what failed, what was skipped. */
function closing(outcome: Outcome): string[] {
  return outcome.lines
    .filter((line) => /^(failed|skipped|unsteady) +/.test(line))
    .map((line) => line.replace(/ +/, ' '));
}

describe('npm test', () => {
  test('passes when every test passes, and its last line says how many', () => {
    const outcome = testRun({ 'a.test.ts': "test('a', () => {}); test('b', (t) => t.test('c', () => {}));" });
    assert.equal(outcome.last, '3 passed, 0 failed');
    assert.equal(outcome.exitCode, 0);
  });

  test('counts a failing test, a failing hook and a rejected promise', () => {
    const outcome = testRun({
      'a.test.ts': "test('good', () => {}); test('bad', () => { throw new Error('x'); });",
      'b.test.ts': "describe('group', () => { before(() => { throw new Error('hook'); }); });",
      'c.test.ts': "test('late', async () => { void Promise.reject(new Error('y')); });",
    });
    assert.deepEqual(closing(outcome).toSorted(), [
      'failed scripts/a.test.ts: bad: x',
      'failed scripts/b.test.ts: group: hook',
      'failed scripts/c.test.ts: its process failed',
    ]);
    assert.equal(outcome.last, '2 passed, 3 failed');
    assert.equal(outcome.exitCode, 1);
  });

  test('counts a file that cannot be parsed, or holds no test', () => {
    const outcome = testRun({ 'a.test.ts': 'const x: = 1;', 'b.test.ts': 'void [test, describe, before];' });
    assert.deepEqual(closing(outcome).toSorted(), [
      'failed scripts/a.test.ts: its process failed',
      'failed scripts/b.test.ts: it holds no test',
    ]);
    assert.equal(outcome.last, '0 passed, 2 failed');
    assert.equal(outcome.exitCode, 1);
  });

  test('counts a test that hangs, blocks or leaves something running, and goes on', () => {
    const outcome = testRun(
      {
        'a.test.ts': "test('hangs', () => new Promise(() => setInterval(() => {}, 1000)));",
        'b.test.ts': "test('blocks', () => { for (;;); });",
        'c.test.ts': "test('leaves a timer', () => { setInterval(() => {}, 1000); });",
        'd.test.ts': "test('good', () => {});",
      },
      '--timeout=2',
    );
    assert.deepEqual(closing(outcome).toSorted(), [
      'failed scripts/a.test.ts: hangs (still running)',
      'failed scripts/a.test.ts: not done after 2 s',
      'failed scripts/b.test.ts: not done after 2 s',
      'failed scripts/c.test.ts: not done after 2 s',
    ]);
    assert.match(outcome.last, /^2 passed, 4 failed$/);
    assert.equal(outcome.exitCode, 1);
  });

  test('counts a test whose process ends early, even when it says that all is well', () => {
    const outcome = testRun({ 'a.test.ts': "test('exits', () => process.exit(0)); test('never', () => {});" });
    assert.equal(outcome.exitCode, 1);
    assert.match(outcome.last, /^0 passed, [1-9]\d* failed$/);
  });

  test('runs once more what failed, and lists as unsteady what passes then', () => {
    const outcome = testRun({
      'a.test.ts': `${onFirst} test('a', () => {}); test('b', () => { if (!isSecond) throw new Error('late'); });`,
    });
    assert.deepEqual(closing(outcome), ['unsteady scripts/a.test.ts: b: late']);
    assert.equal(outcome.last, '2 passed, 0 failed, 1 unsteady');
    assert.equal(outcome.exitCode, 0);
  });

  test('gives no second run to a guarantee that was broken', () => {
    const outcome = testRun({
      'a.test.ts': `${onFirst} test('b', () => { if (!isSecond) throw new Error('violation: lost'); });`,
    });
    assert.deepEqual(closing(outcome), ['failed scripts/a.test.ts: b: violation: lost']);
    assert.equal(outcome.exitCode, 1);
  });

  test('shows what was skipped and why', () => {
    const outcome = testRun({
      'a.test.ts': "test('a', () => {}); test('b', (t) => t.skip('no chromium')); describe.skip('c', () => {});",
    });
    assert.deepEqual(closing(outcome), [
      'skipped scripts/a.test.ts: b: no chromium',
      'skipped scripts/a.test.ts: c: no reason given',
    ]);
    assert.equal(outcome.last, '1 passed, 0 failed, 2 skipped');
    assert.equal(outcome.exitCode, 0);
  });

  test('fails when nothing ran', () => {
    assert.equal(testRun({}).exitCode, 1);
    const skipped = testRun({ 'a.test.ts': "test('a', (t) => t.skip('none'));" });
    assert.equal(skipped.last, '0 passed, 1 failed, 1 skipped');
    assert.equal(skipped.exitCode, 1);
  });
});
