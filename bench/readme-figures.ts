/**
 * Takes the README's figures from the newest recorded run of the bench: what stands between `<!-- figures -->` and
 * `<!-- /figures -->` is made from bench/results and by nobody's hand. `node bench/readme-figures.ts` writes it;
 * readme-figures.test.ts fails when the two disagree.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { medianOf, valuesOf } from './figures.ts';
import { newestResults } from './record.ts';
import type { Recorded } from './scenario.ts';
import { median, ratios, shown } from './stats.ts';

const opening = '<!-- figures -->';
const closing = '<!-- /figures -->';

/** The scenarios that the figures come from. */
export const readmeScenarios = ['fan-out-1000', 'append', 'resume'];

function valueOf(recorded: Recorded, path: string): string {
  return shown(medianOf(recorded, path));
}

function ratioOf(recorded: Recorded, above: string, below: string): string {
  const values = ratios(valuesOf(recorded, above), valuesOf(recorded, below));
  if (values.length === 0) throw new Error(`the recorded run of ${recorded.date} has no ${above} and ${below}`);
  return shown(median(values));
}

function secondsOf(recorded: Recorded, path: string): string {
  return shown(medianOf(recorded, path) / 1_000);
}

/**
 * The lines for the README.
 *
 * @throws an Error that names the figure a run does not have
 */
export function figuresText(recorded: Recorded): string {
  const one = 'fan-out-1000 / 50 ticks/s';
  const ours = `${one} / tideway / cpuUs`;
  const saturated = 'append / saturated';
  const { machine } = recorded;
  return [
    `- A record to 1,000 subscribers costs ${valueOf(recorded, ours)} µs of CPU per delivery, stored on disk first: ` +
      `${ratioOf(recorded, ours, `${one} / C send / cpuUs`)}x a bare C \`send\` loop, ` +
      `${ratioOf(recorded, ours, `${one} / ws string / cpuUs`)}x a \`ws\` loop, ` +
      `${ratioOf(recorded, ours, `${one} / Socket.IO / cpuUs`)}x Socket.IO, neither of which stores anything.`,
    `- ${valueOf(recorded, `${saturated} / tideway / perSecond`)} durable appends a second over WebSocket, ` +
      `${ratioOf(recorded, `${saturated} / tideway / perSecond`, `${saturated} / floor / perSecond`)}x of a program ` +
      `that only parses, syncs and answers; a lone one takes ${valueOf(recorded, 'append / lone / tideway / p50Ms')} ms.`,
    `- 5,000 clients, each 100 records behind, are all live again ` +
      `${secondsOf(recorded, 'resume / one channel / tideway / allThereMs')} s after a restart.`,
    '',
    `Medians of ${recorded.pairs} alternating pairs on ${machine.cores} cores (${machine.cpu}), Node ${machine.node}, ` +
      `${recorded.date.slice(0, 10)}, commit ${recorded.commit.id}. Repeat them with \`npm run bench\`.`,
  ].join('\n');
}

/** The README with the figures of that run between its markers; `undefined` when it has no markers. */
export function withFigures(readme: string, recorded: Recorded): string | undefined {
  const from = readme.indexOf(opening);
  const to = readme.indexOf(closing);
  if (from < 0 || to < from) return undefined;
  return `${readme.slice(0, from + opening.length)}\n${figuresText(recorded)}\n${readme.slice(to)}`;
}

export const readmePath = join(import.meta.dirname, '..', 'README.md');

function main(): void {
  const recorded = newestResults(readmeScenarios);
  if (!recorded) throw new Error('no run is recorded: npm run bench -- --record');
  const written = withFigures(readFileSync(readmePath, 'utf8'), recorded);
  if (written === undefined) throw new Error(`README.md has no ${opening} … ${closing}`);
  writeFileSync(readmePath, written);
}

if (import.meta.main) main();
