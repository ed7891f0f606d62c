/** The results as text for a terminal: a table for each case, the load beside it, and the bars. */
import { generatorPercentMax } from './meter.ts';
import { quietPercent, type OtherLoad } from './machine.ts';
import type { CaseResult, ContenderResult, RecordedBar, ScenarioResult } from './scenario.ts';
import { shown, spreadOf, type Spread } from './stats.ts';

function cell(values: readonly number[] | undefined): string {
  return values === undefined || values.length === 0 ? '–' : spreadText(spreadOf(values));
}

function spreadText({ median, min, max }: Spread): string {
  return min === max ? shown(median) : `${shown(median)} (${shown(min)}–${shown(max)})`;
}

/** Columns as wide as their widest cell; the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((most, row) => row.map((text, i) => Math.max(most[i] ?? 0, text.length)), []);
  return rows
    .map((row) => row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  '))
    .join('\n');
}

function caseText(one: CaseResult, columns: readonly string[]): string {
  const measured = one.contenders.filter(({ metrics }) => Object.keys(metrics).length > 0);
  const used = columns.filter((column) => measured.some(({ metrics }) => metrics[column] !== undefined));
  const rows = measured.map(({ name, metrics }) => [name, ...used.map((column) => cell(metrics[column]))]);
  const lines = [`  ${one.name}`];
  if (rows.length > 0) lines.push(table([['', ...used], ...rows]).replace(/^/gm, '    '));
  for (const contender of one.contenders) lines.push(...remarks(contender).map((text) => `    ${text}`));
  return lines.join('\n');
}

function remarks({ name, missing, failures, metrics }: ContenderResult): string[] {
  const lines: string[] = [];
  if (missing !== undefined) lines.push(`${name}: skipped: ${missing}`);
  for (const failure of failures ?? []) lines.push(`${name}: FAILED: ${failure}`);
  const generator = Math.max(0, ...(metrics['generatorPercent'] ?? []));
  if (generator > generatorPercentMax) {
    lines.push(`${name}: the generator was ${shown(generator)} % busy: it may be what was measured`);
  }
  const other = Math.max(0, ...(metrics['otherPercent'] ?? []));
  if (other > quietPercent) lines.push(`${name}: other programs took up to ${shown(other)} % of the machine meanwhile`);
  return lines;
}

export function loadText(load: OtherLoad): string {
  const noise = load.busyPercent > quietPercent ? ': NOT QUIET' : '';
  return `${shown(load.busyPercent)} % busy with other programs, load average ${load.loadAverage}${noise}`;
}

export function scenarioText(result: ScenarioResult): string {
  return [
    `${result.name}: ${result.title} (${Math.round(result.tookSeconds)} s)`,
    ...result.cases.map((one) => caseText(one, result.columns)),
    `  machine before: ${loadText(result.loadBefore)}; after: ${loadText(result.loadAfter)}`,
  ].join('\n');
}

export function barsText(bars: readonly RecordedBar[]): string {
  const rows = bars.map((bar) => [
    `${bar.scenario}: ${bar.text}`,
    bar.value === undefined ? '–' : spreadText(bar.value),
    shown(bar.limit),
    bar.verdict,
  ]);
  return table([['bar', 'value', 'limit', 'verdict'], ...rows]);
}
