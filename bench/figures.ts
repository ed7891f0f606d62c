/** Figures out of recorded runs, by path: `scenario / case / contender / metric`. */
import { resultsFolder, recordedRuns } from './record.ts';
import type { Recorded } from './scenario.ts';
import { median } from './stats.ts';

/** One value for each pair; empty where it was not measured. */
export function valuesOf(recorded: Recorded, path: string): readonly number[] {
  const [scenario, inCase, contender, metric] = path.split(' / ');
  return (
    recorded.scenarios
      .find(({ name }) => name === scenario)
      ?.cases.find(({ name }) => name === inCase)
      ?.contenders.find(({ name }) => name === contender)?.metrics[metric ?? ''] ?? []
  );
}

/** @throws an Error that names the figure a run does not have */
export function medianOf(recorded: Recorded, path: string): number {
  const values = valuesOf(recorded, path);
  if (values.length === 0) throw new Error(`the recorded run of ${recorded.date} has no ${path}`);
  return median(values);
}

/** Figures of which each comes from the newest recorded run that has its scenario. */
export class Figures {
  readonly #runs: readonly Recorded[];
  readonly #used = new Set<Recorded>();

  constructor(runs: readonly Recorded[]) {
    this.#runs = runs;
  }

  static recorded(folder = resultsFolder): Figures {
    return new Figures(recordedRuns(folder));
  }

  /** @throws an Error that names a figure that no run has */
  of(path: string): number {
    const run = this.#runOf(path);
    if (run === undefined) throw new Error(`no recorded run has ${path}: npm run bench -- --record`);
    this.#used.add(run);
    return medianOf(run, path);
  }

  /** The runs that figures were taken from, oldest first. */
  get used(): readonly Recorded[] {
    return this.#runs.filter((run) => this.#used.has(run));
  }

  #runOf(path: string): Recorded | undefined {
    const [scenario] = path.split(' / ');
    const run = this.#runs.findLast(({ scenarios }) => scenarios.some(({ name }) => name === scenario));
    return run !== undefined && valuesOf(run, path).length > 0 ? run : undefined;
  }
}
