/**
 * Reads a partition in pages that are bounded by bytes. Redis itself only counts entries, so it is asked plainly where
 * the records seen last were small, and by a script that counts their bytes (five times the work) where they were not.
 */
import type { StoredRecord } from '../broker/broker-port.ts';
import { readEntries } from './redis-entries.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisLink } from './redis-link.ts';
import type { RedisPartition } from './redis-member-link.ts';
import { readScript } from './redis-scripts.ts';

const PAGE_BYTES = 1024 * 1024;
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
function countInPage(records: readonly StoredRecord[]): number | undefined {
  if (records.length === 0 || !areSmall(records)) return undefined;
  const largest = records.reduce((most, { value }) => Math.max(most, value.length), 1);
  return Math.min(PAGE_RECORDS_MAX, Math.floor(PAGE_BYTES / largest));
}

export class RedisPages {
  /** Of partitions whose last page was of small records: how many may be asked for. */
  readonly #small = new Map<number, number>();

  /** At most `limit` records from a number on, as they stand there; at least one where there is any. */
  async from(link: RedisLink, partition: number, number: number, limit: number): Promise<readonly StoredRecord[]> {
    const records: StoredRecord[] = [];
    let bytes = 0;
    while (records.length < limit && bytes < PAGE_BYTES) {
      const next = (records.at(-1)?.number ?? number - 1) + 1;
      const small = this.#small.get(partition);
      const wanted = Math.min(limit - records.length, small ?? limit);
      const page = await link
        .read(partition, (reader, one) => {
          return small !== undefined
            ? plainPage(reader, one, next, wanted)
            : reader.run(readScript, one.key, [one.group, next, wanted, PAGE_BYTES]);
        })
        .then(readEntries);
      for (const record of page) {
        records.push(record);
        bytes += record.value.length;
      }
      const count = countInPage(page);
      if (count === undefined) this.#small.delete(partition);
      else this.#small.set(partition, count);
      if (small === undefined || page.length < wanted) break;
    }
    return records;
  }
}

/** Asked for its life behind it: an epoch never comes back, so what was read is of that life, too. */
async function plainPage(
  reader: RedisConnection,
  { key, group }: RedisPartition,
  number: number,
  count: number,
): Promise<unknown> {
  const [page] = await Promise.all([
    reader.command('XRANGE', key, `0-${number}`, '+', 'COUNT', count),
    reader.command('XPENDING', key, group),
  ]);
  return page;
}
