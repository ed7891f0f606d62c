/**
 * Reads a partition in pages that are bounded by bytes. Redis itself only counts entries, so it is asked plainly where
 * the records seen last were small, and by a script that counts their bytes (five times the work) where they were not.
 */
import type { StoredRecord } from '../broker/broker-port.ts';
import type { RedisConnection } from './redis-connection.ts';
import { readEntries } from './redis-entries.ts';
import type { RedisLink } from './redis-link.ts';
import type { RedisPartition } from './redis-member-link.ts';
import { countInPage, PAGE_BYTES } from './redis-page-size.ts';
import { readScript } from './redis-scripts.ts';

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
