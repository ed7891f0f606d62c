/**
 * npm test: the house checks, then every test file, then one line with the figures. With patterns, only the test files
 * whose path contains one of them, and no checks: `npm test -- hub/ring`.
 */
import { globSync } from 'node:fs';
import { sep } from 'node:path';
import { parseArgs } from 'node:util';
import { runChecks } from './check.ts';
import { runTestFiles } from './test-files.ts';

const fileTimeoutMs = 5 * 60 * 1000;
const filesAtOnce = 2;
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
const totals = await runTestFiles({
  root,
  files,
  fileTimeoutMs: Number(values.timeout) * 1000,
  concurrency: filesAtOnce,
  write: (text) => process.stdout.write(text),
});

const failed = [...failedChecks.map((check) => `npm run check: ${check}`), ...totals.failed];
if (totals.passed + totals.failed.length === 0)
  failed.push(`no test ran (${files.length} of ${found.length} files chosen)`);

for (const line of totals.skipped) console.log(`skipped  ${line}`);
for (const line of failed) console.log(`failed   ${line}`);
const skipped = totals.skipped.length > 0 ? `, ${totals.skipped.length} skipped` : '';
console.log(`\n${totals.passed} passed, ${failed.length} failed${skipped}`);
process.exitCode = failed.length > 0 ? 1 : 0;
