/** The newest place that a view and a log have in common, once the log holds something else at the view's newest one. */
import { TailError } from '../log/log.ts';
import type { Place } from './trail.ts';
import type { ViewLog } from './view-log.ts';

/**
 * @param places what the view applied, oldest first; the log has a beginning of it and nothing else
 * @returns `undefined` where none of them stands in the log
 */
export async function findCommonPlace(
  log: ViewLog,
  partition: number,
  places: readonly Place[],
): Promise<Place | undefined> {
  const { oldest, newest } = await log.bounds(partition);
  // What stands at the log's very beginning is not compared with anything.
  const held = places.filter(({ position }) => position > oldest && position <= newest);
  let common = -1;
  let other = held.length;
  while (other - common > 1) {
    const middle = (common + other) >> 1;
    if (await stands(log, partition, held[middle] as Place)) common = middle;
    else other = middle;
  }
  return held[common];
}

/** A tail starts only behind a record that stands where it is said to. */
async function stands(log: ViewLog, partition: number, place: Place): Promise<boolean> {
  try {
    const tail = await log.tail(
      partition,
      place,
      () => undefined,
      () => {},
    );
    await tail.stop();
    return true;
  } catch (error) {
    // Where the log's numbers have holes there may be nothing at all.
    if (error instanceof TailError && (error.reason === 'diverged' || error.reason === 'damaged')) return false;
    throw error;
  }
}
