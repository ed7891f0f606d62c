/**
 * What a scenario is: cases, in each of which contenders are measured in turns. Everything that bars, tables and
 * recorded results know of a measurement is a name and a number.
 */
import type { Commit, Machine, OtherLoad } from './machine.ts';

/** One measurement of one contender; metric names carry their unit (`cpuUs`, `p99Ms`, `perSecond`). */
export type Sample = Readonly<Record<string, number>>;

export interface Contender {
  readonly name: string;
  /** Why it cannot be measured here; it is then skipped, visibly. */
  readonly missing?: string | undefined;
  /** Starts what it needs, measures once, stops it. */
  measure(): Promise<Sample>;
}

export interface Case {
  readonly name: string;
  readonly contenders: readonly Contender[];
}

/** What a run of a scenario needs to keep while its cases run. */
export interface OpenScenario {
  readonly cases: readonly Case[];
  close?(): Promise<void>;
}

export interface Settings {
  readonly pairs: number;
  /** Short runs that show that everything works; their figures mean little. */
  readonly quick: boolean;
  /** One line for whoever watches. */
  progress(line: string): void;
}

export interface Scenario {
  readonly name: string;
  /** One line: what is measured, and of what size. */
  readonly title: string;
  /** The metrics of the table, in this order; the recorded result has all. */
  readonly columns: readonly string[];
  open(settings: Settings): Promise<OpenScenario>;
}

export interface ContenderResult {
  readonly name: string;
  /** Why there is no sample. */
  readonly missing?: string;
  /** What went wrong in measurements that gave no sample. */
  readonly failures?: readonly string[];
  /** One value per pair. */
  readonly metrics: Readonly<Record<string, readonly number[]>>;
}

export interface CaseResult {
  readonly name: string;
  readonly contenders: readonly ContenderResult[];
}

export interface ScenarioResult {
  readonly name: string;
  readonly title: string;
  readonly columns: readonly string[];
  readonly cases: readonly CaseResult[];
  readonly loadBefore: OtherLoad;
  readonly loadAfter: OtherLoad;
  readonly tookSeconds: number;
}

/** A recorded run: what bench/results holds. */
export interface Recorded {
  readonly format: 1;
  readonly date: string;
  readonly commit: Commit;
  readonly machine: Machine;
  readonly pairs: number;
  readonly quick: boolean;
  readonly scenarios: readonly ScenarioResult[];
  readonly bars: readonly RecordedBar[];
}

export interface RecordedBar {
  readonly scenario: string;
  readonly text: string;
  /** `too quick`: the run was shorter and smaller than what the bar speaks of. */
  readonly verdict: 'met' | 'missed' | 'not measured' | 'too quick';
  /** The value that decided, with its spread over the pairs. */
  readonly value?: { readonly median: number; readonly min: number; readonly max: number };
  readonly limit: number;
}
