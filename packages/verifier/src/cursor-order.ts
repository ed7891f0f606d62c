/** Cursors as the checker compares them: in byte order inside an epoch, taken apart no further than their dots. */
import { isUnknownTag } from '@tideway/protocol';

interface Placed {
  readonly cursor: string;
}

/** The index of the first item whose cursor is ≥ `cursor`; the end is tried first, because logs grow there. */
export function lowerBound(items: readonly Placed[], cursor: string): number {
  let high = items.length;
  if (high === 0 || (items[high - 1] as Placed).cursor < cursor) return high;
  let low = 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((items[middle] as Placed).cursor < cursor) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `epoch.position`, without the tag. */
export function positionOf(cursor: string): string {
  return cursor.slice(0, cursor.lastIndexOf('.'));
}

export function epochOf(cursor: string): string {
  return cursor.slice(0, cursor.indexOf('.'));
}

/** True when the cursor names a record for certain: its tag is known, and it is not the place before everything. */
export function namesRecord(cursor: string): boolean {
  return !isUnknownTag(cursor.slice(cursor.lastIndexOf('.') + 1));
}
