/**
 * What `append` gives at once: a promise of the record's place, which nobody has to handle, with what is known meanwhile.
 */
import type { TidewayError } from '@tideway/protocol';

/** `waiting`: held here; `sent`: on its way, no answer yet; `stored`: durable; `failed`: it never will be, or nobody knows. */
export type ReceiptState = 'waiting' | 'sent' | 'stored' | 'failed';

/** Where a record is. */
export interface Stored {
  readonly cursor: string;
  /** True when the record was there already: an earlier attempt had arrived. */
  readonly duplicate: boolean;
}

/**
 * Resolves when the record is durable; rejects with a `TidewayError` when it was refused, or `unconfirmed` when nobody
 * can say. The rejection counts as handled: who does not await a receipt hears of it by `client.on('appendFailed')`.
 */
export interface Receipt extends Promise<Stored> {
  /** The id under which the record is known everywhere: `ChannelRecord.rid`. */
  readonly rid: string;
  readonly state: ReceiptState;
}

/** A promise that settles from outside; what `then` makes of it is a plain promise. */
export class AppendReceipt extends Promise<Stored> implements Receipt {
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  readonly rid: string;
  /** The life of the client that appended; `undefined` where nobody holds the receipt. */
  readonly owner: AbortSignal | undefined;
  state: ReceiptState = 'waiting';
  readonly #resolve: (stored: Stored) => void;
  readonly #reject: (error: TidewayError) => void;

  constructor(rid: string, owner?: AbortSignal) {
    // The executor runs at once.
    let resolve!: (stored: Stored) => void;
    let reject!: (error: TidewayError) => void;
    super((onStored, onFailed) => {
      resolve = onStored;
      reject = onFailed;
    });
    this.rid = rid;
    this.owner = owner;
    this.#resolve = resolve;
    this.#reject = reject;
    this.catch(() => {});
  }

  store(stored: Stored): void {
    this.state = 'stored';
    this.#resolve(stored);
  }

  fail(error: TidewayError): void {
    this.state = 'failed';
    this.#reject(error);
  }
}
