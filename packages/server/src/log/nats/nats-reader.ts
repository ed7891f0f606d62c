/**
 * Reads of one partition that its leader vouches for: bounds, the record at a number, a page behind a number. A page
 * comes through a consumer, which may stand on a replica that is behind: it is read up to where the leader says the
 * partition ends.
 */
import type { StoredRecord, PortBounds } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import { positionOf } from '../position.ts';
import { HoleError, NatsCursor } from './nats-cursor.ts';
import { storedRecord, type PullPlace } from './nats-pull.ts';

export class NatsReader {
  readonly #place: PullPlace;
  readonly #isSame: (partition: number, identity: string) => void;
  /** Of who catches up, at the end of the last page. */
  readonly #cursors = new Map<number, NatsCursor>();
  /** Each partition reaches at least as far as this. */
  readonly #newestKnown = new Map<number, number>();

  /** @param isSame throws where the stream with that identity is not the partition any more */
  constructor(place: PullPlace, isSame: (partition: number, identity: string) => void) {
    this.#place = place;
    this.#isSame = isSame;
  }

  async bounds(partition: number): Promise<PortBounds> {
    const { created, state } = await this.#place.manager.streams.info(this.#place.names.stream(partition));
    this.#isSame(partition, created);
    this.#newestKnown.set(partition, state.last_seq);
    return { oldest: Math.max(0, state.first_seq - 1), newest: state.last_seq };
  }

  async at(partition: number, number: number): Promise<StoredRecord | undefined> {
    if (number < 1) return undefined;
    const stream = this.#place.names.stream(partition);
    const message = await this.#place.manager.streams.getMessage(stream, { seq: number });
    if (message === null) return undefined;
    const { subject, data, header: headers, time } = message;
    return storedRecord(this.#place.names, partition, {
      number,
      time: time.getTime(),
      message: { subject, data, headers },
    });
  }

  async read(partition: number, after: number, limit: number): Promise<readonly StoredRecord[]> {
    const count = Math.min(limit, await this.#countBehind(partition, after, limit));
    if (count <= 0) return [];
    if (count > 1) {
      const page = await this.#readPage(partition, after, count);
      if (page.length > 0) return page;
    }
    const record = await this.at(partition, after + 1);
    if (record === undefined) throw await this.explainHole(partition, after);
    return [record];
  }

  /** How many records stand behind a number, at least; far behind what is known to be there, the end does not matter. */
  async #countBehind(partition: number, after: number, limit: number): Promise<number> {
    const known = (this.#newestKnown.get(partition) ?? 0) - after;
    if (known >= 2 * limit && this.#cursors.get(partition)?.after === after) return known;
    const { oldest, newest } = await this.bounds(partition);
    if (after < oldest) throw trimmed(this.#place.names.stream(partition), after, oldest);
    return newest - after;
  }

  /** Why the record behind a number is not there though the partition goes on. */
  async explainHole(partition: number, after: number): Promise<TailError> {
    const stream = this.#place.names.stream(partition);
    try {
      const { oldest } = await this.bounds(partition);
      if (after < oldest) return trimmed(stream, after, oldest);
    } catch (error) {
      return new TailError('unavailable', `${stream} has a hole behind ${after}, and does not say why`, {
        cause: error,
      });
    }
    return new TailError('damaged', `${stream} has a hole: the record ${after + 1} was removed from its middle`);
  }

  /** Fewer than `count` records where a page is full; none where the first alone is larger than a page. */
  async #readPage(partition: number, after: number, count: number): Promise<readonly StoredRecord[]> {
    let cursor = this.#cursors.get(partition);
    this.#cursors.delete(partition);
    if (cursor === undefined || cursor.isOver || cursor.after !== after) {
      cursor?.close();
      cursor = await NatsCursor.open(this.#place, partition, after);
    }
    try {
      const records = await cursor.page(count);
      this.#keep(partition, cursor);
      return records;
    } catch (error) {
      cursor.close();
      throw error instanceof HoleError ? await this.explainHole(partition, error.after) : error;
    }
  }

  /** In the place of that of another reader who came meanwhile. */
  #keep(partition: number, cursor: NatsCursor): void {
    this.#cursors.get(partition)?.close();
    this.#cursors.set(partition, cursor);
  }
}

export function trimmed(stream: string, after: number, oldest: number): TailError {
  const message = `${stream}: records behind ${after} were trimmed; the oldest kept follows ${oldest}`;
  return new TailError('trimmed', message, { oldest: positionOf(oldest) });
}
