/**
 * The bench: runs the scenarios, prints their tables on stdout and its progress on stderr, judges the bars, and keeps
 * the results. What it starts, it ends, also when it is interrupted.
 */
import { alternate } from './alternate.ts';
import { bars } from './bars.ts';
import { killChildren } from './child.ts';
import { describeCommit, describeMachine, otherLoad } from './machine.ts';
import { type BenchOptions, helpText, parseOptions, UsageError } from './options.ts';
import { keepResults, writeResults } from './record.ts';
import { barsText, loadText, scenarioText } from './report.ts';
import type { CaseResult, Recorded, Scenario, ScenarioResult, Settings } from './scenario.ts';
import { removeDataFolders } from './tideway.ts';
import { judge } from './verdict.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_MISSED = 3;
const EXIT_INTERRUPTED = 130;

async function runScenario(scenario: Scenario, settings: Settings): Promise<ScenarioResult> {
  const loadBefore = await otherLoad();
  settings.progress(`${scenario.name}: the machine is ${loadText(loadBefore)}`);
  const startedMs = performance.now();
  const open = await scenario.open(settings);
  const cases: CaseResult[] = [];
  try {
    for (const one of open.cases) {
      cases.push(await alternate(one, settings));
    }
  } finally {
    await open.close?.();
  }
  const { name, title, columns } = scenario;
  const tookSeconds = (performance.now() - startedMs) / 1_000;
  return { name, title, columns, cases, loadBefore, loadAfter: await otherLoad(), tookSeconds };
}

async function runAll(options: BenchOptions): Promise<Recorded> {
  const startedMs = performance.now();
  const settings: Settings = {
    pairs: options.pairs,
    quick: options.quick,
    progress(line) {
      const seconds = Math.round((performance.now() - startedMs) / 1_000);
      process.stderr.write(`[${seconds} s] ${line}\n`);
    },
  };
  const date = new Date().toISOString();
  const commit = describeCommit();
  const results: ScenarioResult[] = [];
  for (const scenario of options.scenarios) {
    const result = await runScenario(scenario, settings);
    results.push(result);
    console.log(`${scenarioText(result)}\n`);
  }
  const after = describeCommit();
  const names = new Set(results.map(({ name }) => name));
  return {
    format: 1,
    date,
    // Sources that changed meanwhile belong to no one commit.
    commit: { ...commit, dirty: commit.dirty || after.dirty || after.id !== commit.id },
    machine: describeMachine(),
    pairs: options.pairs,
    quick: options.quick,
    scenarios: results,
    bars: bars.filter((bar) => names.has(bar.scenario)).map((bar) => judge(bar, results, options.quick)),
  };
}

function exitCodeOf(recorded: Recorded): number {
  const contenders = recorded.scenarios.flatMap(({ cases }) => cases.flatMap((one) => one.contenders));
  if (contenders.some(({ failures }) => failures !== undefined)) return EXIT_FAILED;
  return recorded.bars.some(({ verdict }) => verdict === 'missed') ? EXIT_MISSED : 0;
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    console.log(helpText());
    return;
  }
  const recorded = await runAll(options);
  if (recorded.bars.length > 0) console.log(barsText(recorded.bars));
  const { commit, machine } = recorded;
  console.log(`\n${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}, commit ${commit.id}`);
  if (commit.dirty) console.log('The checkout holds changes that are in no commit.');
  if (options.json !== undefined) writeResults(options.json, recorded);
  if (options.record) console.log(`recorded: ${keepResults(recorded)}`);
  process.exitCode = exitCodeOf(recorded);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => process.exit(EXIT_INTERRUPTED));
}
process.once('exit', () => {
  killChildren();
  removeDataFolders();
});

try {
  await main();
} catch (error) {
  const usage = error instanceof UsageError;
  console.error(usage ? `${error.message}\nnpm run bench -- --help` : error);
  process.exitCode = usage ? EXIT_USAGE : EXIT_FAILED;
}
