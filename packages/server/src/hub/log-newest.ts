/** Asks how far the log goes, for a place that this node has not applied (PROTOCOL.md SUB-6 and FEED-4, step 3). */
import { TailError, type Position } from '../log/log.ts';

/** `undefined` while the log cannot be asked: then nobody knows whether it has the place. */
export async function newestOfLog(asked: Promise<Position>): Promise<Position | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof TailError && error.reason === 'unavailable') return undefined;
    throw error;
  }
}
