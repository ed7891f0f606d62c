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
  const path = join(resultsFolder, `${recorded.date.slice(0, 10)}-${recorded.commit.id}.json`);
  writeResults(path, recorded);
  return path;
}

/** The newest recorded run in a folder; `undefined` where nothing is recorded yet. */
export function newestResults(folder = resultsFolder): Recorded | undefined {
  if (!existsSync(folder)) return undefined;
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Recorded)
    .sort((a, b) => a.date.localeCompare(b.date))
    .at(-1);
}
