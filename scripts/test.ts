/**
 * npm test: the house checks, then every test file, then those that failed once more, then one line with the figures.
 * With patterns, only the test files whose path contains one of them, and no checks: `npm test -- hub/ring`.
 */
import { globSync } from 'node:fs';
import { sep } from 'node:path';
import { parseArgs } from 'node:util';
import { runChecks } from './check.ts';
import { runTestFiles, type TestTotals } from './test-files.ts';

const fileTimeoutMs = 10 * 60 * 1000;
const filesAtOnce = 2;
/** Brokers and clusters of processes: they measure who answers in time, and have the machine to themselves. */
const alone = /\/log\/(?:redis|nats|rabbitmq|kafka)\/|\/cluster\.test|\/faults\/|^scripts\/deploy|wire-suite|torture/;
/**
 * So many files that failed run once more, by themselves: real brokers, proxies and browsers on a machine that is busy
 * with something else miss a deadline at times. What passes then is listed as unsteady. More files are no accident.
 */
const againMax = 8;
/** A promise to users was broken, once: no second run makes that good. */
const broken = /: violation: /;
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
const isAlone = (file: string): boolean => alone.test(file);
const totals = new Map([
  ...(await run(
    files.filter((file) => !isAlone(file)),
    filesAtOnce,
  )),
  ...(await run(files.filter(isAlone), 1)),
]);
const unsteadyTests = await runAgain();

const passed = [...totals.values()].reduce((sum, file) => sum + file.passed, 0);
const skippedTests = [...totals.values()].flatMap((file) => file.skipped);
const failedTests = [...totals.values()].flatMap((file) => file.failed);

const failed = [...failedChecks.map((check) => `npm run check: ${check}`), ...failedTests];
if (passed + failedTests.length === 0) failed.push(`no test ran (${files.length} of ${found.length} files chosen)`);

for (const line of skippedTests) console.log(`skipped  ${line}`);
for (const line of unsteadyTests) console.log(`unsteady ${line}`);
for (const line of failed) console.log(`failed   ${line}`);
const skipped = skippedTests.length > 0 ? `, ${skippedTests.length} skipped` : '';
const unsteady = unsteadyTests.length > 0 ? `, ${unsteadyTests.length} unsteady` : '';
console.log(`\n${passed} passed, ${failed.length} failed${unsteady}${skipped}`);
process.exitCode = failed.length > 0 ? 1 : 0;

/** Gives files that failed a second run, and the failures of those that then pass; their totals become those of it. */
async function runAgain(): Promise<string[]> {
  const hasFailed = (file: TestTotals | undefined): boolean => (file?.failed.length ?? 0) > 0;
  const again = [...totals].filter(([, file]) => hasFailed(file) && !file.failed.some((line) => broken.test(line)));
  if (again.length > againMax) return [];
  const second = await run(
    again.map(([path]) => path),
    1,
  );
  const passing = again.filter(([path]) => !hasFailed(second.get(path)));
  for (const [path] of passing) totals.set(path, second.get(path)!);
  return passing.flatMap(([, file]) => file.failed);
}
