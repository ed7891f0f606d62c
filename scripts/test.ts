/**
 * npm test: the house checks, then every test file, then one line with the figures. With patterns, only the test files
 * whose path contains one of them, and no checks: `npm test -- hub/ring`.
 */
import { globSync } from 'node:fs';
import { sep } from 'node:path';
import { parseArgs } from 'node:util';
import { runChecks } from './check.ts';
import { runTestFiles } from './test-files.ts';

const fileTimeoutMs = 10 * 60 * 1000;
const filesAtOnce = 2;
/** Brokers and clusters of processes: they measure who answers in time, and have the machine to themselves. */
const alone = /\/log\/(?:redis|nats|rabbitmq|kafka)\/|\/cluster\.test|\/faults\/|^scripts\/deploy|wire-suite|torture/;
const testFiles = [
  'packages/*/src/**/*.test.ts',
  'packages/*/test/**/*.test.ts',
  'scripts/**/*.test.ts',
  'bench/**/*.test.ts',
  'examples/**/*.test.ts',
];

const { positionals: patterns, values } = parseArgs({
  allowPositionals: true,
  options: { timeout: { type: 'string', default: String(fileTimeoutMs / 1000) } },
});

const root = process.cwd();
const found = globSync(testFiles, { cwd: root, exclude: (path) => path.includes('node_modules') })
  .map((path) => path.replaceAll(sep, '/'))
  .toSorted();
const files = found.filter((path) => patterns.length === 0 || patterns.some((pattern) => path.includes(pattern)));

const failedChecks = patterns.length === 0 ? await runChecks({ fix: false }) : [];
const run = (some: readonly string[], concurrency: number): ReturnType<typeof runTestFiles> =>
  runTestFiles({
    root,
    files: some,
    fileTimeoutMs: Number(values.timeout) * 1000,
    concurrency,
    write: (text) => process.stdout.write(text),
  });
const together = await run(
  files.filter((file) => !alone.test(file)),
  filesAtOnce,
);
const oneByOne = await run(
  files.filter((file) => alone.test(file)),
  1,
);
const passed = together.passed + oneByOne.passed;
const skippedTests = [...together.skipped, ...oneByOne.skipped];
const failedTests = [...together.failed, ...oneByOne.failed];

const failed = [...failedChecks.map((check) => `npm run check: ${check}`), ...failedTests];
if (passed + failedTests.length === 0) failed.push(`no test ran (${files.length} of ${found.length} files chosen)`);

for (const line of skippedTests) console.log(`skipped  ${line}`);
for (const line of failed) console.log(`failed   ${line}`);
const skipped = skippedTests.length > 0 ? `, ${skippedTests.length} skipped` : '';
console.log(`\n${passed} passed, ${failed.length} failed${skipped}`);
process.exitCode = failed.length > 0 ? 1 : 0;
