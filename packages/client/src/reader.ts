/**
 * How an application reads a channel: two iterators over one `Unread`, written by hand, because the `return` of an
 * async generator waits behind its pending `next` and so would never stop a quiet channel.
 */
import {
  describeIssues,
  type RecordHeader,
  type SchemaIssue,
  type StandardSchema,
  TidewayError,
  validate,
} from '@tideway/protocol';
import type { Core } from './core.ts';
import { decodePayload } from './payload.ts';
import { type ChannelItem, type ChannelReader, type ChannelRecord, GapError, type ReadOptions } from './record.ts';
import { Unread, type UnreadItem } from './unread.ts';

/** What a reader needs of its channel. */
export interface ReaderSource {
  readonly channel: string;
  readonly core: Core;
  /** Aborted when the client is closed. */
  readonly life: AbortSignal;
  /** Only with a run-time contract. */
  readonly schema: StandardSchema | undefined;
}

type Next<Item> = IteratorResult<Item, undefined>;
const DONE = { done: true, value: undefined } as const;

export class RecordReader<Data> implements ChannelReader<Data> {
  readonly #source: ReaderSource;
  readonly #options: ReadOptions;
  /** Each of them ends the reading. */
  readonly #signals: readonly (AbortSignal | undefined)[];
  #unread: Unread | undefined;
  #isStopped = false;

  constructor(source: ReaderSource, options: ReadOptions) {
    this.#source = source;
    this.#options = options;
    this.#signals = [source.life, options.signal];
  }

  readonly stop = (): void => {
    for (const signal of this.#signals) signal?.removeEventListener('abort', this.stop);
    this.#isStopped = true;
    const unread = this.#unread;
    if (unread === undefined) return;
    unread.clear();
    unread.end();
    this.#source.core.subscriptions.of(this.#source.channel).remove(unread);
  };

  async next(): Promise<Next<ChannelRecord<Data>>> {
    for (;;) {
      const { done, value } = await this.#pull();
      if (done === true) return DONE;
      if (value.type === 'record') return { done: false, value: value.record };
      if (value.type === 'gap') await this.#onGap(value);
      if (value.type === 'invalid') {
        const { channel, cursor } = value.record;
        const message = `the record ${cursor} of ${channel} was left out: ${describeIssues(value.issues)}`;
        this.#source.core.report(new TidewayError('invalid', message));
      }
    }
  }

  return(): Promise<Next<never>> {
    this.stop();
    return Promise.resolve(DONE);
  }

  items(): AsyncIterableIterator<ChannelItem<Data>, undefined> {
    const iterator: AsyncIterableIterator<ChannelItem<Data>, undefined> = {
      next: () => this.#pull(),
      return: () => this.return(),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #pull(): Promise<Next<ChannelItem<Data>>> {
    if (this.#isStopped || this.#signals.some((signal) => signal?.aborted)) return DONE;
    const item = await this.#begin().pull();
    if (item === undefined) {
      this.stop();
      return DONE;
    }
    try {
      return { done: false, value: this.#itemOf(item) };
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Lazily: who never asks for a record has no subscription. */
  #begin(): Unread {
    if (this.#unread === undefined) {
      const { channel, core } = this.#source;
      const { subscriptions } = core;
      const unread = new Unread(this.#options.from ?? 'now', () => subscriptions.onWanting(subscriptions.of(channel)));
      this.#unread = unread;
      for (const signal of this.#signals) signal?.addEventListener('abort', this.stop);
      subscriptions.of(channel).add(unread);
    }
    return this.#unread;
  }

  async #onGap({ gap }: Extract<ChannelItem, { type: 'gap' }>): Promise<void> {
    const { onGap } = this.#options;
    if (onGap === 'continue') return;
    try {
      if (onGap === 'throw') throw new GapError(gap);
      await onGap(gap);
    } catch (error) {
      // A loop ends with what its iterator throws, and nobody asks for more.
      this.stop();
      throw error;
    }
  }

  #itemOf(item: UnreadItem): ChannelItem<Data> {
    if (item.type !== 'record') return item;
    const { header } = item;
    let data: unknown;
    let issues: readonly SchemaIssue[] | undefined;
    try {
      data = decodePayload(item.payload);
    } catch (error) {
      issues = [{ message: String(error) }];
    }
    if (issues === undefined && this.#source.schema !== undefined) {
      const result = validate(this.#source.schema, data, this.#source.channel);
      if (result.issues === undefined) data = result.value;
      else ({ issues } = result);
    }
    const record = recordOf(header, data);
    // What fits the contract has its type; without one the type is the server's promise.
    return issues === undefined
      ? { type: 'record', record: record as ChannelRecord<Data> }
      : { type: 'invalid', record, issues };
  }
}

/** A record without what belongs to the frame. */
export function recordOf(
  header: RecordHeader & { readonly op?: string; readonly encoding?: string },
  data: unknown,
): ChannelRecord {
  const { op: _op, encoding: _encoding, ...record } = header;
  return { ...record, data };
}
