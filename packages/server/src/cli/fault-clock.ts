/**
 * A clock that a test can set from outside: the server's wall clock plus the milliseconds in a file. Only where faults
 * were asked for, and never the monotonic clock.
 */
import { readFileSync, watchFile } from 'node:fs';
import { nodeEnv } from '../env.ts';
import type { ServerOptions } from '../ops/config.ts';

const LOOK_MS = 100;

export function faultClock(
  options: ServerOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Pick<ServerOptions, 'env'> {
  const path = environment['TIDEWAY_FAULT_CLOCK_FILE'];
  if (path === undefined || options.faults !== true) return {};
  let offsetMs = read(path);
  watchFile(path, { interval: LOOK_MS, persistent: false }, () => (offsetMs = read(path)));
  return { env: { ...nodeEnv, now: () => nodeEnv.now() + offsetMs } };
}

function read(path: string): number {
  try {
    const value = Number(readFileSync(path, 'utf8'));
    return Number.isFinite(value) ? value : 0;
  } catch {
    return 0;
  }
}
