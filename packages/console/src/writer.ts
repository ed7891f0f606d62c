/** The page's own writer: a bot's records and the visitor's words, each with a receipt that says what became of it. */
import type { Channel } from '@tideway/client';

/** A record of the proof's channel. */
export interface Line {
  readonly n: number;
  readonly text: string;
  /** Typed by the visitor. */
  readonly yours?: boolean;
}

export interface WriterEvents {
  onWritten(rid: string, line: Line): void;
  onStored(rid: string, line: Line, stored: { readonly cursor: string; readonly duplicate: boolean }): void;
  onFailed(rid: string, error: { readonly code: string; readonly message: string }): void;
}

const BOT_MS = 50;

export class Writer {
  written = 0;
  stored = 0;
  failed = 0;
  readonly #channel: Channel;
  readonly #events: WriterEvents;

  constructor(channel: Channel, events: WriterEvents) {
    this.#channel = channel;
    this.#events = events;
  }

  /** Written here and not answered yet. */
  get waiting(): number {
    return this.written - this.stored - this.failed;
  }

  /** Writes twenty lines a second while it may. */
  startBot(mayWrite: () => boolean): void {
    window.setInterval(() => {
      if (mayWrite()) this.write('tide', false);
    }, BOT_MS);
  }

  write(text: string, yours: boolean): void {
    const line: Line = { n: ++this.written, text, ...(yours && { yours }) };
    const receipt = this.#channel.append(line);
    this.#events.onWritten(receipt.rid, line);
    receipt.then(
      (stored) => {
        this.stored++;
        this.#events.onStored(receipt.rid, line, stored);
      },
      (error: { readonly code?: string; readonly message: string }) => {
        this.failed++;
        this.#events.onFailed(receipt.rid, { code: error.code ?? 'internal', message: error.message });
      },
    );
  }
}
