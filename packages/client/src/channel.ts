/**
 * A channel as the application sees it: read, append, signal, look back.
 */
import {
  isRid,
  type SchemaIssue,
  type StandardSchema,
  describeIssues,
  TidewayError,
  validate,
} from '@tideway/protocol';
import type { Core } from './core.ts';
import { callUser, randomId } from './env.ts';
import { readHistory } from './history.ts';
import { isLargerThan, type Payload } from './link.ts';
import { decodePayload, encodePayload } from './payload.ts';
import type { SignalListener } from './subscription.ts';
import { AppendReceipt, type Receipt } from './receipt.ts';
import { RecordReader } from './reader.ts';
import type {
  ChannelReader,
  ChannelRecord,
  ChannelSignal,
  Gap,
  HistoryOptions,
  HistoryPage,
  ReadOptions,
} from './record.ts';
import { type Stoppable, stoppable } from './stoppable.ts';

/** LIM-1. Checked here, because a message that is far too large would end the connection. */
const SIGNAL_BYTES_MAX = 16 * 1024;

export interface AppendOptions {
  /** What the record is about: `expect` goes by it, and who wants the newest of each; ≤ 128 bytes. */
  readonly key?: string;
  /**
   * The cursor at which the writer last read; needs `key`. Refused with `conflict` when a record of that key lies behind
   * it, or when it is too old to tell.
   */
  readonly expect?: string;
  /** The record's id, 1–64 printable characters; made at random where absent. */
  readonly rid?: string;
  /** W3C traceparent. */
  readonly trace?: string;
}

/** `Data`: what reading gives; `Input`: what can be appended; `Signal`, `SignalInput`: the same for signals. */
export interface Channel<Data = unknown, Input = Data, Signal = unknown, SignalInput = Signal> {
  readonly name: string;
  /** Reads from a place on: what there is, then what comes, without a seam. Nothing happens before the first `next`. */
  read(options: ReadOptions): ChannelReader<Data>;
  /** Calls back with one record at a time and waits for it; what the callback throws is reported and the next comes. */
  on(options: ReadOptions, onRecord: (record: ChannelRecord<Data>) => void | Promise<void>): Stoppable;
  /** Appends JSON, or bytes where the data is a `Uint8Array`; kept and sent again until there is an outcome. */
  append(data: Input, options?: AppendOptions): Receipt;
  /** Sends to all who follow the channel now; dropped where there is no connection. */
  signal(data: SignalInput, options?: { readonly key?: string; readonly to?: string }): void;
  onSignal(onSignal: (signal: ChannelSignal<Signal>) => void): Stoppable;
  /** One page of what was, by HTTP. */
  history(options?: HistoryOptions): Promise<HistoryPage<Data>>;
}

export class LiveChannel implements Channel {
  readonly name: string;
  readonly #core: Core;
  /** Aborted when the client is closed, with what is refused then. */
  readonly #life: AbortSignal;
  readonly #record: StandardSchema | undefined;
  readonly #signal: StandardSchema | undefined;

  constructor(
    name: string,
    core: Core,
    life: AbortSignal,
    schemas: { readonly record?: StandardSchema; readonly signal?: StandardSchema },
  ) {
    this.name = name;
    this.#core = core;
    this.#life = life;
    this.#record = schemas.record;
    this.#signal = schemas.signal;
  }

  read(options: ReadOptions): ChannelReader {
    const source = { channel: this.name, core: this.#core, life: this.#life, schema: this.#record };
    return new RecordReader(source, options);
  }

  on(options: ReadOptions, onRecord: (record: ChannelRecord) => void | Promise<void>): Stoppable {
    const { onGap } = options;
    // What it throws ends no handler, as what `onRecord` throws does not.
    const told = typeof onGap === 'string' ? onGap : (gap: Gap) => this.#try(() => onGap(gap));
    const reader = this.read({ ...options, onGap: told });
    void this.#deliver(reader, onRecord);
    return stoppable(() => reader.stop());
  }

  append(data: unknown, options: AppendOptions = {}): Receipt {
    const rid = options.rid ?? randomId(this.#core.env);
    try {
      this.#life.throwIfAborted();
      if (!isRid(rid)) throw new TidewayError('bad_frame', `rid must be 1–64 printable ASCII characters`);
      return this.#core.outbox.add({ ...options, rid, channel: this.name, payload: encodePayload(data) }, this.#life);
    } catch (error) {
      if (!(error instanceof TidewayError)) throw error;
      const receipt = new AppendReceipt(rid);
      receipt.fail(error);
      return receipt;
    }
  }

  signal(data: unknown, options: { readonly key?: string; readonly to?: string } = {}): void {
    try {
      const payload = encodePayload(data);
      if (isLargerThan(payload, SIGNAL_BYTES_MAX)) {
        throw new TidewayError('too_large', `a signal holds at most ${SIGNAL_BYTES_MAX} bytes`);
      }
      if (this.#life.aborted) return;
      this.#core.connection.send({ ...options, op: 'signal', channel: this.name }, payload);
    } catch (error) {
      this.#core.report(error);
    }
  }

  onSignal(onSignal: (signal: ChannelSignal) => void): Stoppable {
    const { subscriptions } = this.#core;
    const listener: SignalListener = ({ op: _op, ...signal }, payload = 'null') =>
      callUser(this.#core.report, () => onSignal({ ...signal, data: this.#parse(payload) }));
    const subscription = subscriptions.of(this.name);
    const stop = () => {
      this.#life.removeEventListener('abort', stop);
      subscription.unlisten(listener);
    };
    this.#life.addEventListener('abort', stop);
    if (!this.#life.aborted) subscription.listen(listener);
    return stoppable(stop);
  }

  async history(options: HistoryOptions = {}): Promise<HistoryPage> {
    this.#life.throwIfAborted();
    return readHistory(this.#core.http, this.name, options);
  }

  async #deliver(reader: ChannelReader, onRecord: (record: ChannelRecord) => void | Promise<void>): Promise<void> {
    await this.#try(async () => {
      for await (const record of reader) await this.#try(() => onRecord(record));
    });
  }

  /** What it throws is reported. */
  async #try(call: () => void | Promise<void>): Promise<void> {
    try {
      await call();
    } catch (error) {
      this.#core.report(error);
    }
  }

  #parse(payload: Payload): unknown {
    const data = decodePayload(payload);
    if (this.#signal === undefined) return data;
    const { issues, ...result }: { issues?: readonly SchemaIssue[] | undefined; value?: unknown } = validate(
      this.#signal,
      data,
      this.name,
    );
    if (issues !== undefined) throw new TidewayError('invalid', `a signal on ${this.name}: ${describeIssues(issues)}`);
    return result.value;
  }
}
