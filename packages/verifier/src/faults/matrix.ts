/** The matrix of log × fault as a page: what was done, and what came of it, with date and versions. */
import { execFileSync } from 'node:child_process';
import type { FaultReport } from './fault-run.ts';
import { faults, type Fault } from './faults.ts';

export interface MatrixRow {
  readonly log: string;
  readonly fault: string;
  readonly result: 'nothing lost' | 'told' | 'wrong';
  readonly figures: string;
  /** YYYY-MM-DD and the commit. */
  readonly run: string;
}

export function rowOf(
  log: string,
  fault: Fault,
  report: Pick<FaultReport, 'ok' | 'verdict' | 'failures' | 'longestSilenceMs'>,
): MatrixRow {
  const { verdict, failures, longestSilenceMs } = report;
  const { stored, refused, unconfirmed } = verdict.appends;
  const gaps = Object.entries(verdict.gaps).filter(([, count]) => count > 0);
  const told = gaps.map(([reason, count]) => `${count} × ${reason}`).join(', ');
  return {
    log,
    fault: fault.name,
    result: !report.ok ? 'wrong' : gaps.length > 0 ? 'told' : 'nothing lost',
    figures: [
      `${stored} stored`,
      ...(refused > 0 ? [`${refused} refused`] : []),
      ...(unconfirmed > 0 ? [`${unconfirmed} unconfirmed`] : []),
      ...(verdict.unjudged > 0 ? [`${verdict.unjudged} unjudged`] : []),
      `${verdict.delivered} delivered`,
      ...(told === '' ? [] : [`gaps told: ${told}`]),
      `${(longestSilenceMs / 1_000).toFixed(1)} s without a record at most`,
      ...(verdict.violationCount + failures.length > 0
        ? [`${verdict.violationCount} violations, ${failures.length} failures`]
        : []),
    ].join('; '),
    run: `${new Date().toISOString().slice(0, 10)}, ${commit()}`,
  };
}

function commit(): string {
  return execFileSync('git', ['rev-parse', '--short=10', 'HEAD'], { cwd: import.meta.dirname })
    .toString()
    .trim();
}

const HEAD = `# Faults

What was done to each broker and to the nodes on it, while writers and readers on WebSocket, SSE and HTTP went on, three nodes, no affinity; and what the [history checker](../../packages/verifier/src/checker.ts) found afterwards. Made by \`npm run faults -- --write\`, on real brokers. Times are of two cores that had other work as well, and include how long a broker takes to start there.

**nothing lost**: every acknowledged record was delivered to every reader, once, in one order, and no gap was told. **told**: records were lost with the broker's data, and every reader of their channels was told so; readers of a quiet channel, whose record is older than the fault, were told nothing, unless the broker came back as another log. **wrong**: anything else.

**unjudged**, counted since 2026-11-29: records acknowledged while some reader was not told yet, and seen by nobody; they went with the old log, or were lost. More than 5 % of what was stored is wrong.

The embedded log has one node and no broker: \`npm run torture\` does to it what can be done, and [how Tideway is built](../../ARCHITECTURE.md#when-something-fails) says what comes of it.

| log | fault | result | figures | run |
| --- | --- | --- | --- | --- |
`;

/** The first row of a log and fault counts. */
export function matrixPage(rows: readonly MatrixRow[]): string {
  const order = (row: MatrixRow): number => faults.findIndex(({ name }) => name === row.fault);
  const newest = new Map<string, MatrixRow>();
  for (const row of rows) if (!newest.has(`${row.log}\n${row.fault}`)) newest.set(`${row.log}\n${row.fault}`, row);
  const sorted = [...newest.values()].sort((a, b) => a.log.localeCompare(b.log) || order(a) - order(b));
  const lines = sorted.map(
    ({ log, fault, result, figures, run }) => `| ${log} | ${fault} | ${result} | ${figures} | ${run} |\n`,
  );
  const what = faults.map(({ name, what: done }) => `- **${name}**: ${done}.\n`);
  return `${HEAD}${lines.join('')}\n## What is done\n\n${what.join('')}`;
}

export function readRows(page: string): MatrixRow[] {
  return page.split('\n').flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim());
    const [, log, fault, result, figures, run] = cells;
    if (cells.length !== 7 || log === 'log' || log === '---' || !faults.some(({ name }) => name === fault)) return [];
    if (result !== 'nothing lost' && result !== 'told' && result !== 'wrong') return [];
    return [{ log: log as string, fault: fault as string, result, figures: figures as string, run: run as string }];
  });
}
