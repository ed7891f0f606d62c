/** Recorded results: one file a run in bench/results, named by date and commit. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Recorded } from './scenario.ts';

export const resultsFolder = join(import.meta.dirname, 'results');

export function writeResults(path: string, recorded: Recorded): void {
  writeFileSync(path, `${JSON.stringify(recorded, undefined, 1)}\n`);
}

/** Keeps a run for the record and returns its path. */
export function keepResults(recorded: Recorded): string {
  mkdirSync(resultsFolder, { recursive: true });
  // Another run of the same day and commit has measured other scenarios.
  const name = `${recorded.date.slice(0, 10)}-${recorded.commit.id}`;
  const others = readdirSync(resultsFolder).filter((one) => one.startsWith(name)).length;
  const path = join(resultsFolder, `${name}${others === 0 ? '' : `-${others + 1}`}.json`);
  writeResults(path, recorded);
  return path;
}

/** All recorded runs in a folder, oldest first. */
export function recordedRuns(folder = resultsFolder): readonly Recorded[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Recorded)
    .sort((a, b) => a.date.localeCompare(b.date));
}

/** The newest recorded run that has these scenarios; `undefined` where there is none yet. */
export function newestResults(scenarios: readonly string[] = [], folder = resultsFolder): Recorded | undefined {
  return recordedRuns(folder).findLast((run) =>
    scenarios.every((wanted) => run.scenarios.some(({ name }) => name === wanted)),
  );
}
