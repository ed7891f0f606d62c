/** What a bridge asks of a broker that it writes to, and how it keeps a connection to it. */
import type { NativeRecord } from '../log/broker/native-record.ts';

/** A record on its way to a broker. */
export interface Outgoing extends NativeRecord {
  readonly channel: string;
  /** The record's cursor: no other record's, and the same each time this one is written. */
  readonly id: string;
}

/** Several records of different channels may be put at the same time; of one channel one at a time. */
export interface Sink {
  /** Resolves when the broker has stored it. Rejects with `Unwritable`, or with any other error for what may pass. */
  put(record: Outgoing): Promise<void>;
  /** Never rejects. */
  close(): Promise<void>;
}

/** Opens a connection. Rejects in words, with a final `BrokerError` where somebody must act first. */
export type OpenSink = () => Promise<Sink>;

/** The broker will never take this record, in words. */
export class Unwritable extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'Unwritable';
  }
}

/** The header by which consumers know a record that is written twice. */
export const CURSOR_HEADER = 'tideway-cursor';
/** Where the channel is neither key nor subject. */
export const CHANNEL_HEADER = 'tideway-channel';

/** One connection for all who write; one that failed is replaced when it is next wanted. */
export class SinkKeeper {
  readonly #open: OpenSink;
  #sink: Promise<Sink> | undefined;

  constructor(open: OpenSink) {
    this.#open = open;
  }

  get(): Promise<Sink> {
    this.#sink ??= this.#open().catch((error: unknown) => {
      this.#sink = undefined;
      throw error;
    });
    return this.#sink;
  }

  async put(record: Outgoing): Promise<void> {
    const opening = this.get();
    const sink = await opening;
    try {
      await sink.put(record);
    } catch (error) {
      if (!(error instanceof Unwritable) && this.#sink === opening) {
        this.#sink = undefined;
        void sink.close();
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    await (await this.#sink?.catch(() => undefined))?.close();
  }
}
