/** The view of a whole log: one view per partition, each with a store of its own; a channel lives in one of them. */
import type { Position, Tag } from '../log/log.ts';
import { createView, type LogView, type ViewOptions } from './log-view.ts';
import type { Store } from './store.ts';
import type { ChannelState, Feed, Follower, Page, PageRequest, Verdict } from './view.ts';
import { UNWRITTEN_BYTES_MAX, UNWRITTEN_RECORDS_MAX } from './writer.ts';

/**
 * Opens the views of all partitions; resolves when each has applied what the log holds now. Rejects as soon as one of them
 * does, whatever the others wait for, with nothing left open.
 */
export async function createPartitionedView(
  options: Omit<ViewOptions, 'store' | 'forerunStore' | 'partition' | 'givenUp'> & {
    readonly createStore: (partition: number) => Store;
    readonly createForerunStore?: ((partition: number) => Store) | undefined;
  },
): Promise<LogView> {
  const { createStore, createForerunStore, ...shared } = options;
  const partitions = options.constants.epochs.length;
  const givenUp = new AbortController();
  const opening = Array.from({ length: partitions }, (_, partition) =>
    createView({
      // What waits for the stores is bounded for all of them together.
      unwrittenBytesMax: Math.ceil(UNWRITTEN_BYTES_MAX / partitions),
      unwrittenRecordsMax: Math.ceil(UNWRITTEN_RECORDS_MAX / partitions),
      ...shared,
      partition,
      store: createStore(partition),
      forerunStore: createForerunStore?.(partition),
      givenUp: givenUp.signal,
    }),
  );
  try {
    const views = await Promise.all(opening);
    return partitions === 1 ? (views[0] as LogView) : new PartitionedView(views, options.constants.partitionOf);
  } catch (error) {
    givenUp.abort();
    for (const one of await Promise.allSettled(opening)) if (one.status === 'fulfilled') await one.value.close();
    throw error;
  }
}

class PartitionedView implements LogView {
  readonly #views: readonly LogView[];
  readonly #partitionOf: (channel: string) => number;
  readonly feeds: readonly Feed[];

  constructor(views: readonly LogView[], partitionOf: (channel: string) => number) {
    this.#views = views;
    this.#partitionOf = partitionOf;
    this.feeds = views.flatMap((view) => view.feeds);
  }

  #of(channel: string): LogView {
    return this.#views[this.#partitionOf(channel)] as LogView;
  }

  ready(): undefined {
    return undefined;
  }

  life(channel: string): object | undefined {
    return this.#of(channel).life(channel);
  }

  state(channel: string): ChannelState {
    return this.#of(channel).state(channel);
  }

  tagAt(channel: string, position: Position): Promise<Tag | undefined> {
    return this.#of(channel).tagAt(channel, position);
  }

  read(channel: string, request: PageRequest): Promise<Page> {
    return this.#of(channel).read(channel, request);
  }

  follow(channel: string, follower: Follower): () => void {
    return this.#of(channel).follow(channel, follower);
  }

  findRid(channel: string, user: string | undefined, rid: string): Verdict | undefined {
    return this.#of(channel).findRid(channel, user, rid);
  }

  ridWindowMs(): number {
    return Math.min(...this.#views.map((view) => view.ridWindowMs()));
  }

  reach(channel: string, position: Position, deadlineMs: number): Promise<boolean> {
    return this.#of(channel).reach(channel, position, deadlineMs);
  }

  applied(channel: string): Position {
    return this.#of(channel).applied(channel);
  }

  logNewest(channel: string): Promise<Position | undefined> {
    return this.#of(channel).logNewest(channel);
  }

  get isStalled(): boolean {
    return this.#views.some((view) => view.isStalled);
  }

  get toFill(): number {
    return this.#views.reduce((sum, view) => sum + view.toFill, 0);
  }

  async flush(): Promise<boolean> {
    const flushed = await Promise.all(this.#views.map((view) => view.flush()));
    return flushed.every(Boolean);
  }

  async tidy(): Promise<void> {
    await Promise.all(this.#views.map((view) => view.tidy()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#views.map((view) => view.close()));
  }
}
