/** What `npm run bench -- …` takes. */
import { parseArgs } from 'node:util';
import { scenarios } from './scenarios/scenarios.ts';
import type { Scenario } from './scenario.ts';

export interface BenchOptions {
  readonly scenarios: readonly Scenario[];
  readonly pairs: number;
  readonly quick: boolean;
  /** A file for the results, beside or instead of the recorded one. */
  readonly json: string | undefined;
  /** Keep the results in bench/results, by date and commit. */
  readonly record: boolean;
  readonly help: boolean;
}

export class UsageError extends Error {}

export function helpText(): string {
  return `npm run bench -- [scenario…] [options]

Measures this checkout's server beside its peers and floors, in turns, and holds the medians against the bars (bars.ts).
Without a name all scenarios run; a name's beginning stands for all that begin with it.

${scenarios.map(({ name, title }) => `  ${name.padEnd(18)}${title}`).join('\n')}

  --pairs N     measurements of each contender (default 5; quick: 1)
  --quick       short runs: shows that everything works, figures mean little
  --json FILE   write the results to FILE
  --record      keep the results in bench/results (five pairs or more, not quick)
  --help        this text

Exit code: 0 all bars met or not measured, 1 something failed, 2 wrong usage, 3 a bar was missed.`;
}

/** @throws UsageError that says what is allowed */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parse(args);
  const quick = values.quick ?? false;
  const pairs = values.pairs === undefined ? (quick ? 1 : 5) : Number(values.pairs);
  if (!Number.isInteger(pairs) || pairs < 1) throw new UsageError(`--pairs must be 1 or more, got ${values.pairs}`);
  const record = values.record ?? false;
  if (record && (quick || pairs < 5)) throw new UsageError('--record needs five pairs or more, and no --quick');
  return {
    scenarios: positionals.length === 0 ? scenarios : select(positionals),
    pairs,
    quick,
    json: values.json,
    record,
    help: values.help ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        pairs: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'string' },
        record: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function select(names: readonly string[]): Scenario[] {
  for (const name of names) {
    if (scenarios.some((scenario) => scenario.name.startsWith(name))) continue;
    throw new UsageError(`no scenario "${name}"; there are ${scenarios.map((scenario) => scenario.name).join(', ')}`);
  }
  return scenarios.filter((scenario) =>
    names.some((name) => scenario.name === name || (!isExact(name) && scenario.name.startsWith(name))),
  );
}

function isExact(name: string): boolean {
  return scenarios.some((scenario) => scenario.name === name);
}
