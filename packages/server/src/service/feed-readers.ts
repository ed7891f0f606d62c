/**
 * Reads the feed for the slots of a member. Slots that stand at the same place of a partition are read by one reader;
 * those that were taken over from elsewhere by one of their own, until it has caught up with the one ahead.
 */
import type { RecordLine } from '@tideway/protocol';
import { backoffMs, CALLS } from './backoff.ts';
import { pause, type ServiceEnv } from './env.ts';
import { OLDEST, slotOf } from './group-state.ts';
import type { FeedAnswer, NodeCalls } from './node-calls.ts';
import type { ServiceGap } from './options.ts';

/** Records of one page. */
const PAGE = 256;
const WAIT_SECONDS = 25;
/** Between two looks for whether the node has come as far as the reader ahead. */
const BEHIND_MS = 100;

export interface FeedReadersOptions {
  readonly env: ServiceEnv;
  readonly calls: NodeCalls;
  readonly globs: readonly string[];
  /** A record of a slot that is read, in log order. */
  readonly onRecord: (
    record: RecordLine,
    from: { readonly slot: number; readonly partition: number; readonly bytes: number },
  ) => void;
  /** Everything of the slots up to the place was given. */
  readonly onReached: (slots: Iterable<number>, partition: number, place: string) => void;
  /** What was given of these slots is of a history that is over: it begins again at the place. */
  readonly onRestart: (slots: Iterable<number>, partition: number, place: string) => void;
  readonly onGap: (gap: ServiceGap) => void;
  readonly onError: (error: unknown) => void;
  /** Resolves when there is room for another page. */
  readonly room: (signal: AbortSignal) => Promise<void>;
}

interface Reader {
  readonly partition: number;
  readonly slots: Set<number>;
  /** Behind it the next page begins. */
  place: string;
  lag: number;
  readonly end: AbortController;
}

export class FeedReaders {
  readonly #options: FeedReadersOptions;
  readonly #readers = new Set<Reader>();

  constructor(options: FeedReadersOptions) {
    this.#options = options;
  }

  /** Positions of the log in front of the readers: of each partition's last one. */
  get lag(): number {
    const byPartition = new Map<number, number>();
    for (const { partition, lag } of this.#readers)
      byPartition.set(partition, Math.max(lag, byPartition.get(partition) ?? 0));
    return [...byPartition.values()].reduce((sum, lag) => sum + lag, 0);
  }

  /** Reads for a slot, from its place in each partition on. */
  open(slot: number, places: readonly string[]): void {
    places.forEach((place, partition) => {
      const found = [...this.#readers].find((reader) => reader.partition === partition && reader.place === place);
      if (found !== undefined) return void found.slots.add(slot);
      const reader = { partition, place, slots: new Set([slot]), lag: 0, end: new AbortController() };
      this.#readers.add(reader);
      // Slots that are opened with it join it before it reads.
      queueMicrotask(() => void this.#run(reader));
    });
  }

  close(slot: number): void {
    for (const reader of this.#readers) if (reader.slots.delete(slot) && reader.slots.size === 0) this.#stop(reader);
  }

  stop(): void {
    for (const reader of this.#readers) this.#stop(reader);
  }

  #stop(reader: Reader): void {
    this.#readers.delete(reader);
    reader.end.abort();
  }

  async #run(reader: Reader): Promise<void> {
    const { env, calls, globs, onError, room } = this.#options;
    const { partition, end } = reader;
    for (let failures = 0; !end.signal.aborted;) {
      try {
        await room(end.signal);
        if (end.signal.aborted) return;
        const waitSeconds = this.#ahead(reader) === undefined ? WAIT_SECONDS : 0;
        const query = { channels: globs, partition, after: reader.place, limit: PAGE, waitSeconds };
        const page = await calls.feed(query, end.signal);
        if (end.signal.aborted) return;
        failures = 0;
        this.#take(reader, page);
        if (page.end && waitSeconds === 0 && !end.signal.aborted) await pause(env, BEHIND_MS, end.signal);
      } catch (error) {
        if (end.signal.aborted) return;
        onError(error);
        await pause(env, backoffMs(env, CALLS, ++failures), end.signal);
      }
    }
  }

  #take(reader: Reader, page: FeedAnswer): void {
    const { partition, slots } = reader;
    const { onReached } = this.#options;
    for (const gap of page.gaps ?? []) this.#tellGap(reader, gap);
    const ahead = this.#ahead(reader);
    // Up to the place of the one ahead, and that one reads on for both.
    const meets = ahead !== undefined && orderOf(page.next) >= orderOf(ahead.place) && page.gaps === undefined;
    const upTo = meets ? ahead.place : page.next;
    for (const record of page.records) {
      const slot = slotOf(record.channel);
      if (!slots.has(slot) || orderOf(record.cursor) > orderOf(upTo)) continue;
      this.#options.onRecord(record, { slot, partition, bytes: page.bytes / page.records.length });
    }
    onReached(slots, partition, upTo);
    reader.place = upTo;
    reader.lag = page.lag;
    if (!meets) return;
    for (const slot of slots) ahead.slots.add(slot);
    this.#stop(reader);
  }

  #tellGap({ partition, slots }: Reader, gap: NonNullable<FeedAnswer['gaps']>[number]): void {
    const { reason, place, channel } = gap;
    // A history that is over says nothing about what is done of this one.
    if (place !== undefined && reason !== 'trimmed') this.#options.onRestart(slots, partition, place);
    if (channel !== undefined && !slots.has(slotOf(channel))) return;
    this.#options.onGap({ reason, partition, ...(channel === undefined ? {} : { channel }) });
  }

  /** The nearest reader of the same partition and epoch that stands further on. */
  #ahead(reader: Reader): Reader | undefined {
    const others = [...this.#readers].filter(
      (other) =>
        other.partition === reader.partition &&
        isSameEpoch(other, reader) &&
        orderOf(other.place) > orderOf(reader.place),
    );
    return others.sort((a, b) => (orderOf(a.place) < orderOf(b.place) ? -1 : 1))[0];
  }
}

function isSameEpoch(a: Reader, b: Reader): boolean {
  return b.place === OLDEST || a.place.startsWith(b.place.slice(0, b.place.indexOf('.') + 1));
}

/** What compares in log order (PROTOCOL.md FEED-2): epoch and position. */
function orderOf(place: string): string {
  return place === OLDEST ? '' : place.slice(0, place.lastIndexOf('.'));
}
