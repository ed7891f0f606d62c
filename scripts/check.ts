/** npm run check: format, lint, types and the house law. `npm run check -- --fix` formats first. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeJudgement, judge } from './law.ts';
import { readTree } from './law/tree.ts';

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

const root = join(import.meta.dirname, '..');
const formatter = 'oxfmt/bin/oxfmt';
const checks: Readonly<Record<string, () => Promise<Outcome>>> = {
  format: () => runTool(formatter, ['--check', '.']),
  lint: () => runTool('oxlint/bin/oxlint', ['--type-aware', '--deny-warnings', '.']),
  types: () => runTool('typescript/bin/tsc', ['-p', 'tsconfig.json']),
  // Without the types of DOM and Node, as the protocol must live everywhere.
  'protocol types': () => runTool('typescript/bin/tsc', ['-p', 'packages/protocol/tsconfig.build.json', '--noEmit']),
  law: async () => {
    const judgement = judge(readTree(root));
    return { ok: judgement.findings.length === 0, output: describeJudgement(judgement) };
  },
};

/** Runs all checks at once, prints what each has to say, and returns the names of those that failed. */
export async function runChecks(options: { fix: boolean }): Promise<string[]> {
  if (options.fix) await runTool(formatter, ['--write', '.']);
  const started = Object.entries(checks).map(([name, check]) => ({ name, outcome: check() }));
  const failed: string[] = [];
  for (const { name, outcome } of started) {
    const { ok, output } = await outcome;
    if (!ok) failed.push(name);
    console.log(`${ok ? '✔' : '✖'} ${name}`);
    if (output !== '' && (!ok || name === 'law')) console.log(output);
  }
  return failed;
}

/** Runs a tool of node_modules on this Node, so that it needs no shell and no shim. */
function runTool(script: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((done, fail) => {
    const tool = spawn(process.execPath, [join(root, 'node_modules', script), ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    tool.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    tool.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    tool.on('error', fail);
    tool.on('close', (code) => done({ ok: code === 0, output: output.trimEnd() }));
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { fix: { type: 'boolean', default: false } } });
  const failed = await runChecks(values);
  process.exitCode = failed.length > 0 ? 1 : 0;
}
