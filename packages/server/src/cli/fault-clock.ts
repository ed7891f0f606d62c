/**
 * A clock that a test moves from outside: a file holds how many milliseconds the wall clock is off. Only where a server
 * was started with faults. Timers and durations are not touched; that is what a stepped clock is like.
 */
import { readFileSync } from 'node:fs';
import { type Env, nodeEnv } from '../env.ts';

export const FAULT_CLOCK_VARIABLE = 'TIDEWAY_FAULT_CLOCK_FILE';
/** How long a change of the file may take to count. */
const READ_AGAIN_MS = 50;

/** The real world with the wall clock of the file; a file that is missing or no number means no offset. */
export function createFaultClockEnv(file: string): Env {
  let offsetMs = 0;
  let readAtMs = -Infinity;
  return {
    ...nodeEnv,
    now() {
      const monotonicMs = nodeEnv.monotonicMs();
      if (monotonicMs - readAtMs >= READ_AGAIN_MS) {
        readAtMs = monotonicMs;
        offsetMs = readOffset(file);
      }
      return nodeEnv.now() + offsetMs;
    },
  };
}

function readOffset(file: string): number {
  try {
    const offsetMs = Number(readFileSync(file, 'utf8').trim());
    return Number.isSafeInteger(offsetMs) ? offsetMs : 0;
  } catch {
    return 0;
  }
}
