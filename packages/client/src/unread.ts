/**
 * One reader's records that the server has sent and the application has not taken: bounded, in order, pulled one by
 * one. It holds the reader's place; which records belong to it is the subscription's business.
 */
import type { RecordHeader } from '@tideway/protocol';
import type { Payload } from './link.ts';
import type { Gap } from './record.ts';

/** More than this unread, and the reader lets go of its channel until half of it is taken. */
const UNREAD_RECORDS_MAX = 256;
const UNREAD_BYTES_MAX = 1024 * 1024;

export type UnreadItem =
  | { readonly type: 'record'; readonly header: RecordHeader; readonly payload: Payload }
  | { readonly type: 'live' }
  | { readonly type: 'gap'; readonly gap: Gap };

/**
 * `wanting`: to be asked for at the next chance; `asked`: the server's `ok` is awaited; `attached`: records come;
 * `full`: let go of; `ended`.
 */
export type UnreadState = 'wanting' | 'asked' | 'attached' | 'full' | 'ended';

export class Unread {
  /** Where reading is: at first what the application named, then always a cursor. */
  from: string;
  /** True once `from` is a place and not a wish. */
  hasPlace = false;
  state: UnreadState = 'wanting';
  isLive = false;
  /** The newest record when the subscription began: at this place the reader is live. */
  head = '';
  /** Called when there is room again. */
  readonly #onRoom: () => void;
  #items: UnreadItem[] = [];
  #records = 0;
  #bytes = 0;
  #error: Error | undefined;
  #waiting: { resolve(item: UnreadItem | undefined): void; reject(error: Error): void } | undefined;

  constructor(from: string, onRoom: () => void) {
    this.from = from;
    this.#onRoom = onRoom;
  }

  /** The next item; `undefined` at the end. Rejects with what ended the reading, after all that came before it. */
  pull(): Promise<UnreadItem | undefined> {
    if (this.#waiting !== undefined) {
      return Promise.reject(new TypeError('a reader has one consumer, who waits for next()'));
    }
    const item = this.#items.shift();
    if (item !== undefined) {
      this.#taken(item);
      return Promise.resolve(item);
    }
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.state === 'ended') return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  /** True when there is no room for another. */
  push(item: UnreadItem): boolean {
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting.resolve(item);
      return false;
    }
    this.#items.push(item);
    if (item.type !== 'record') return false;
    this.#records++;
    this.#bytes += item.payload.length;
    if (this.#records <= UNREAD_RECORDS_MAX && this.#bytes <= UNREAD_BYTES_MAX) return false;
    this.state = 'full';
    this.isLive = false;
    return true;
  }

  /** Nothing follows; what is unread stays readable. */
  end(error?: Error): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#error = error;
    else if (error === undefined) waiting.resolve(undefined);
    else waiting.reject(error);
  }

  /** Forgets what is unread. */
  clear(): void {
    this.#items = [];
    this.#error = undefined;
  }

  #taken(item: UnreadItem): void {
    if (item.type !== 'record') return;
    this.#records--;
    this.#bytes -= item.payload.length;
    if (this.state !== 'full') return;
    if (this.#records > UNREAD_RECORDS_MAX / 2 || this.#bytes > UNREAD_BYTES_MAX / 2) return;
    this.state = 'wanting';
    this.#onRoom();
  }
}
