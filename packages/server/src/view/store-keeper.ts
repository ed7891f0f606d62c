/**
 * Keeps the view's store open. After a failed write the open handle serves reads only, never a write again: what it
 * acknowledged afterwards could be gone (ARCHITECTURE.md, View). It is opened anew once there is room; meanwhile
 * readers wait.
 */
import { StoreError, type Store, type StoreKey, type StoreOp, type StoreRange, type StoreScan } from './store.ts';

/** A synchronous read came while the store was being opened anew. */
export class StoreAwayError extends Error {
  constructor() {
    super("the view's store is being opened anew");
    this.name = 'StoreAwayError';
  }
}

export class StoreKeeper {
  readonly #store: Store;
  #state: 'closed' | 'open' | 'readable' = 'closed';
  #reading = 0;
  #onIdle: (() => void) | undefined;
  #present = Promise.withResolvers<void>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** True while synchronous reads would throw. */
  get away(): boolean {
    return this.#state === 'closed';
  }

  /** Resolves when the store is open. */
  present(): Promise<void> {
    return this.#present.promise;
  }

  async open(): Promise<void> {
    await this.#store.open();
    this.#state = 'open';
    this.#present.resolve();
  }

  getSync(key: StoreKey): Buffer | undefined {
    if (this.#state === 'closed') throw new StoreAwayError();
    return this.#store.getSync(key);
  }

  async scan(range: StoreRange): Promise<StoreScan> {
    while (this.#state === 'closed') await this.#present.promise;
    this.#reading++;
    try {
      return await this.#store.scan(range);
    } finally {
      this.#reading--;
      if (this.#reading === 0) this.#onIdle?.();
    }
  }

  async write(ops: readonly StoreOp[]): Promise<void> {
    if (this.#state !== 'open') throw new StoreError('failed', 'the store takes no writes after a failed one');
    try {
      await this.#store.write(ops);
    } catch (error) {
      this.#state = 'readable';
      throw error;
    }
  }

  hasRoom(): Promise<boolean> {
    return this.#store.hasRoom();
  }

  /** Closes and opens: what is read now is what the disk holds. On failure it stays closed; call it again. */
  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  /** Lets readers finish, closes; new ones wait. */
  async close(): Promise<void> {
    if (this.#state !== 'closed') {
      this.#state = 'closed';
      this.#present = Promise.withResolvers();
    }
    if (this.#reading > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#onIdle = undefined;
    await this.#store.close();
  }

  /** Closes for good: who waits for it is told. */
  async end(): Promise<void> {
    await this.close();
    this.#present.promise.catch(() => {});
    this.#present.reject(new StoreError('failed', "the view's store is closed"));
  }

  /** Empties it: what was there is moved aside. Returns where it went. */
  async startEmpty(): Promise<string> {
    await this.close();
    const where = await this.#store.setAside();
    await this.open();
    return where;
  }
}
