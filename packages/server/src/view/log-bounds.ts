/** What a partition of the log holds; what the store knew of it where the log cannot be asked now. */
import { POSITION_ZERO } from '@tideway/protocol';
import { TailError, type Bounds, type Position } from '../log/log.ts';
import type { Applied } from './store-keys.ts';
import type { ViewLog } from './view-log.ts';

export async function boundsOrFound(log: ViewLog, partition: number, found: Applied | undefined): Promise<Bounds> {
  try {
    return await log.bounds(partition);
  } catch (error) {
    if (found === undefined || !(error instanceof TailError) || error.reason !== 'unavailable') throw error;
    return { oldest: found.base, newest: found.position, fromGenesis: found.start === undefined };
  }
}

/** The position of the log's newest record; `undefined` while it cannot be asked. */
export async function newestOfLog(log: ViewLog, partition: number): Promise<Position | undefined> {
  try {
    return (await log.bounds(partition)).newest;
  } catch (error) {
    if (error instanceof TailError && error.reason === 'unavailable') return undefined;
    throw error;
  }
}

/** Behind which an empty view begins. */
export function firstBase({ fromGenesis, oldest }: Bounds): Position {
  return fromGenesis ? POSITION_ZERO : oldest;
}
