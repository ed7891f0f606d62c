/** Kills the server again and again and starts it again: from outside at any moment, and inside the write of a batch. */
import { readFileSync } from 'node:fs';
import { within } from '../raw/deadline.ts';
import type { ServerProcess } from '../raw/server-process.ts';
import type { KillEvidence, KillMode } from './inside-message.ts';
import type { Random } from './random.ts';
import { rest } from './stage.ts';

export interface KillCounts {
  /** All of them. */
  kills: number;
  /** Of a server that was only just starting. */
  halfStarted: number;
  /** Starts that the server refused because the disk was full, and said so. */
  refusedStarts: number;
  /** Asked to die in the next write of a batch, and no write came in time. */
  missed: number;
  /** How long it took to be ready again, the longest. */
  slowestStartMs: number;
}

const MODES: readonly [KillMode, ...KillMode[]] = ['before', 'torn', 'torn', 'during', 'after'];
/** How long a write may let itself be waited for: writers append all the time. */
const WRITE_MS = 1_500;

export interface KillPlan {
  readonly random: Random;
  readonly signal: AbortSignal;
  /** How long the server lives between two kills, on average. */
  readonly lifeMs: number;
  /** So many of a hundred kills are inside a write. */
  readonly insidePercent: number;
  readonly counts: KillCounts;
}

export async function killAgain(
  server: ServerProcess,
  { random, signal, lifeMs, insidePercent, counts }: KillPlan,
): Promise<void> {
  while (!signal.aborted) {
    await rest(random.between(Math.min(100, lifeMs), 2 * lifeMs), signal);
    if (signal.aborted) return;
    if (server.hasEnded) throw new Error(`the server ended by itself:\n${server.lines.slice(-30).join('\n')}`);
    if (random.percent(insidePercent)) await killInside(server, random, counts);
    else await server.kill();
    counts.kills++;
    if (random.percent(8)) {
      const started = server.start();
      started.catch(() => {});
      await rest(random.between(20, 700));
      await server.kill();
      counts.kills++;
      counts.halfStarted++;
      await started.catch(() => {});
    }
    const startMs = performance.now();
    await startAgain(server, counts);
    counts.slowestStartMs = Math.max(counts.slowestStartMs, Math.round(performance.now() - startMs));
  }
}

/** Starts it, as whoever watches over a server does: a full disk may make it refuse, and room comes again. */
async function startAgain(server: ServerProcess, counts: KillCounts): Promise<void> {
  for (;;) {
    try {
      await server.start();
      return;
    } catch (error) {
      if (!server.lines.at(-1)?.includes('ENOSPC')) throw error;
      counts.refusedStarts++;
    }
  }
}

async function killInside(server: ServerProcess, random: Random, counts: KillCounts): Promise<void> {
  server.tell({ kill: random.pick(MODES), fraction: random.fraction() });
  try {
    await within(server.gone(), WRITE_MS, 'a write to die in');
  } catch {
    counts.missed++;
    await server.kill();
  }
}

/** What servers left behind when they died inside a write, one for each. */
export function readEvidence(path: string): readonly KillEvidence[] {
  try {
    const lines = readFileSync(path, 'utf8').trim().split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as KillEvidence);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
