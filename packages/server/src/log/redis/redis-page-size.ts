/** How many records are asked for at once, so that a page is about 1 MiB: Redis counts entries, not their bytes. */
import type { StoredRecord } from '../broker/broker-port.ts';

export const PAGE_BYTES = 1024 * 1024;
/** So many small records are one page. */
export const SMALL_RECORDS = 256;
const SMALL_BYTES = PAGE_BYTES / SMALL_RECORDS;
/** More are never asked for, however small they were: the next ones may be large. */
const PAGE_RECORDS_MAX = 512;
/** So many of any size can be asked for without knowing it. */
export const LARGE_RECORDS = 8;

/** Whether as many as `SMALL_RECORDS` may be asked for, after these. */
export function areSmall(records: readonly StoredRecord[]): boolean {
  return records.every(({ value }) => value.length <= SMALL_BYTES);
}

/** How many as large as the largest of these fill a page; `undefined` where they are not small. */
export function countInPage(records: readonly StoredRecord[]): number | undefined {
  if (records.length === 0 || !areSmall(records)) return undefined;
  const largest = records.reduce((most, { value }) => Math.max(most, value.length), 1);
  return Math.min(PAGE_RECORDS_MAX, Math.floor(PAGE_BYTES / largest));
}
