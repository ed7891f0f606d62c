/**
 * A mark for each of the newest writes, in a ring. LevelDB drops what it cannot read of its write-ahead file and goes on
 * behind it, and begins anew where its CURRENT file is gone: the newest write may be there while one before it is not.
 * What a run lacks its chain shows; that a channel's head is an old one nothing would show but these.
 */
import { markKey, marksRange, WRITE_BYTES_MIN } from './store-keys.ts';
import { StoreError, type StoreOp, type StoreRange, type StoreScan } from './store.ts';

/** As many writes as LevelDB has outside its tables at most: two write buffers of 4 MiB. */
export const MARKS = (2 * 4 * 1024 * 1024) / WRITE_BYTES_MIN;

/** Part of the write of this serial. */
export function markOf(serial: number): StoreOp & { readonly type: 'put' } {
  const value = Buffer.allocUnsafe(8);
  value.writeDoubleLE(serial);
  return { type: 'put', key: markKey(serial % MARKS), value };
}

/** What is wrong where a write is missing before the newest one, the one of this serial. */
export async function findMissingWrite(
  serial: number,
  scan: (range: StoreRange) => Promise<StoreScan>,
): Promise<StoreError | undefined> {
  const expected = Math.min(serial, MARKS);
  let found = 0;
  for (let after = 's'; ;) {
    const { entries, end } = await scan(marksRange(after));
    for (const { key, value } of entries) {
      const marked = value.readDoubleLE();
      if (marked > serial - expected && marked <= serial) found++;
      after = key;
    }
    if (end) break;
  }
  if (found === expected) return undefined;
  return new StoreError('damaged', `the view's store lacks ${expected - found} of its last ${expected} writes`);
}
