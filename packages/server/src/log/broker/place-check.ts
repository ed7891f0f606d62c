/**
 * Whether a partition still holds, at a place, the record that stood there: a broker that came back with less, or with
 * other records under the same numbers, is found by it, always before anything behind the place is believed.
 */
import { tagsMatch } from '@tideway/protocol';
import { TailError } from '../log.ts';
import { positionOf } from '../position.ts';
import { recordTag } from '../record.ts';
import { BrokerError, type BrokerPort, type StoredRecord } from './broker-port.ts';
import { fromNative } from './native-record.ts';

/** A record's number and tag; without a tag only the number is compared. */
export interface NumberedPlace {
  readonly number: number;
  readonly tag: string | undefined;
}

/** Rejects with a `TailError` `trimmed`, `diverged` or `damaged`, or with what the port says. */
export async function checkPlace(port: BrokerPort, partition: number, place: NumberedPlace): Promise<void> {
  const { number, tag } = place;
  // What follows the place, and the place itself, may be trimmed between two questions: then they are asked again.
  for (let n = 0; n < 3; n++) {
    const { oldest, newest } = await port.bounds(partition);
    if (number > newest) {
      const message = `position ${number} is newer than the newest of ${port.place}, partition ${partition}: ${newest}`;
      throw new TailError('diverged', message);
    }
    if (number < oldest) throw trimmedError(port, partition, number, oldest);
    if (number === oldest) return;
    const found = await port.at(partition, number);
    if (found === undefined) continue;
    const known = tagOf(found);
    if (tag !== undefined && !tagsMatch(known, tag)) {
      const message = `at position ${number} of ${port.place}, partition ${partition}, stands ${known}, not ${tag}`;
      throw new TailError('diverged', message);
    }
    return;
  }
  throw new TailError('damaged', `${port.place}, partition ${partition}, has no record ${number} within its bounds`);
}

export function trimmedError(port: BrokerPort, partition: number, after: number, oldest: number): TailError {
  const message = `records after position ${after} of ${port.place}, partition ${partition}, are gone; the oldest kept follows ${oldest}`;
  return new TailError('trimmed', message, { oldest: positionOf(oldest) });
}

export function tagOf(stored: StoredRecord): string {
  return recordTag(fromNative(stored));
}

/** How many of the records follow a number, and each other, without a hole, as far as the port's numbers can tell. */
export function countContiguous(port: BrokerPort, after: number, records: readonly StoredRecord[]): number {
  let before = after;
  for (let n = 0; n < records.length; n++) {
    const { number } = records[n] as StoredRecord;
    if (port.countsDensely ? number !== before + 1 : number <= before) return n;
    before = number;
  }
  return records.length;
}

export function holeError(
  port: BrokerPort,
  partition: number,
  after: number,
  next: readonly StoredRecord[],
  cause?: unknown,
): TailError {
  const message = `${port.place}, partition ${partition}: behind record ${after} stands ${next[0]?.number}`;
  return new TailError('damaged', message, { cause });
}

/** What cannot be asked now, because of `cause`. */
export function unavailableError(message: string, cause: unknown): TailError {
  return new TailError('unavailable', message, { cause, isFinal: cause instanceof BrokerError && cause.isFinal });
}

/** True for what no further attempt changes. */
export function isFinal(error: unknown): error is TailError {
  return error instanceof TailError && error.reason !== 'unavailable';
}
