/** The machine a result belongs to, and what else was running on it: no figure means anything without both. */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { setTimeout as after } from 'node:timers/promises';
import { compilerVersion, missingCompiler } from './floors/compile.ts';
import { loadAverage, machineCpu } from './proc.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly compiler: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: `${process.platform} ${release()}`,
    node: process.version,
    compiler: missingCompiler() ?? `gcc ${compilerVersion()}`,
  };
}

export interface Commit {
  readonly id: string;
  /** True when the checkout held changes that are in no commit: such a result is for nobody else to repeat. */
  readonly dirty: boolean;
}

export function describeCommit(): Commit {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8', cwd: import.meta.dirname });
  try {
    const changed = git('status', '--porcelain', '--', '..', ':!results');
    return { id: git('rev-parse', '--short=10', 'HEAD').trim(), dirty: changed.trim() !== '' };
  } catch {
    return { id: 'none', dirty: true };
  }
}

export interface OtherLoad {
  /** Busy share of all cores while the bench did nothing. */
  readonly busyPercent: number;
  /** Of the last minute; after a scenario it still shows the bench's own work. */
  readonly loadAverage: number;
}

/** Looks at the machine for a second, in which the bench itself does nothing. */
export async function otherLoad(): Promise<OtherLoad> {
  const before = machineCpu();
  await after(1_000);
  const now = machineCpu();
  const busyPercent = (100 * (now.busyMs - before.busyMs)) / Math.max(1, now.totalMs - before.totalMs);
  return { busyPercent: Math.round(busyPercent * 10) / 10, loadAverage: loadAverage() };
}

/** Above it, results say that the machine was not ours alone. */
export const quietPercent = 5;
