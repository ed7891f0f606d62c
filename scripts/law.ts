/**
 * The house law as a program: import direction, determinism and the shape of files. `judge` is pure over a tree of
 * texts, so that its own test can feed it small trees that break each rule. Run as a program it judges this repository.
 */
import { styleText } from 'node:util';
import { judgeAmbient } from './law/ambient.ts';
import { judgeImports } from './law/imports.ts';
import { judgeShape } from './law/shape.ts';
import { parseTree, readTree, type Finding, type Tree } from './law/tree.ts';

export interface Judgement {
  /** Each of them fails the check. */
  readonly findings: readonly Finding[];
  /** Worth a look; they fail nothing. */
  readonly warnings: readonly Finding[];
}

export function judge(tree: Tree): Judgement {
  const parsed = parseTree(tree);
  const shape = judgeShape(tree, parsed.sources);
  const findings = [
    ...parsed.findings,
    ...judgeImports(tree, parsed.sources),
    ...judgeAmbient(parsed.sources),
    ...shape.findings,
  ];
  return { findings: findings.toSorted(byPlace), warnings: shape.warnings.toSorted(byPlace) };
}

/** One line for each finding, as an editor can follow it. */
export function describeJudgement(judgement: Judgement): string {
  const line = (one: Finding): string => `${one.file}:${one.line}: ${one.rule}: ${one.message}`;
  return [
    ...judgement.warnings.map((one) => styleText('yellow', `warning  ${line(one)}`)),
    ...judgement.findings.map((one) => styleText('red', `law      ${line(one)}`)),
  ].join('\n');
}

function byPlace(a: Finding, b: Finding): number {
  return a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1;
}

if (import.meta.main) {
  const judgement = judge(readTree(process.cwd()));
  const text = describeJudgement(judgement);
  if (text !== '') console.log(text);
  process.exitCode = judgement.findings.length > 0 ? 1 : 0;
}
