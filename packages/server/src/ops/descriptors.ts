/**
 * File descriptors: how many this process may have, how many it has, and how many of them connections may take. Without
 * a descriptor left Node turns connections away and tells nobody, so it must not come to that.
 */
import { readdirSync, statSync } from 'node:fs';
import type { Env } from '../env.ts';
import type { Logger } from './logger.ts';

export interface Descriptors {
  /** `undefined` where this system does not say. */
  readonly open: number | undefined;
  /** `Infinity` where there is no limit; `undefined` where this system does not say. */
  readonly max: number | undefined;
}

/** Kept free of connections: files of log and view, calls to identity providers, whatever else runs in this process. */
const RESERVE_SHARE = 1 / 8;
const RESERVE_MIN = 16;
const RESERVE_MAX = 1_024;
const LOOK_MS = 10_000;
/** Said once at the first share, and again only after it was below the second. */
const LOW_SHARE = 0.9;
const FINE_SHARE = 0.8;

/** Needs no descriptor itself on Linux 6.2 and newer. */
export function countDescriptors(): Descriptors {
  return { open: countOpen(), max: (maxKnown ??= readMax()) };
}

/** The limit does not change: Node raises it as far as it may when it starts. */
let maxKnown: number | undefined;

function countOpen(): number | undefined {
  try {
    // Since Linux 6.2 the size of this folder is how many there are.
    const size = statSync('/proc/self/fd', { throwIfNoEntry: false })?.size ?? 0;
    return size > 0 ? size : readdirSync('/dev/fd').length;
  } catch {
    return undefined;
  }
}

function readMax(): number | undefined {
  // Missing in Node's types. Without it the names of all peers would be looked up.
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  const { excludeNetwork = false } = report;
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft: number | 'unlimited' } };
  };
  report.excludeNetwork = excludeNetwork;
  const soft = userLimits?.open_files?.soft;
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : soft;
}

/** How many connections a server that begins to listen now may have; `undefined`: as many as come. */
export function connectionsMax({ open, max }: Descriptors): number | undefined {
  if (open === undefined || max === undefined || max === Number.POSITIVE_INFINITY) return undefined;
  const reserve = Math.min(RESERVE_MAX, Math.max(RESERVE_MIN, Math.floor(max * RESERVE_SHARE)));
  return Math.max(1, max - open - reserve);
}

/** Warns before the last descriptor is taken, by whomever. */
export function watchDescriptors(parts: {
  readonly env: Env;
  readonly logger: Logger;
  readonly count?: () => Descriptors;
}): () => void {
  const { env, logger, count = countDescriptors } = parts;
  let isTold = false;
  let stopTimer = env.setTimer(LOOK_MS, look);

  function look(): void {
    stopTimer = env.setTimer(LOOK_MS, look);
    const { open, max } = count();
    if (open === undefined || max === undefined) return;
    if (open < max * FINE_SHARE) isTold = false;
    if (open < max * LOW_SHARE || isTold) return;
    isTold = true;
    logger.log('descriptors.low', {
      count: open,
      message: `${open} of the ${max} file descriptors of this process are in use; raise its limit (ulimit -n, LimitNOFILE)`,
    });
  }

  return () => stopTimer();
}
