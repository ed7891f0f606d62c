/** A store that fails when a test says so: before or after the write is there, for one write or while the disk is full. */
import { StoreError, type Store, type StoreKey, type StoreOp, type StoreRange, type StoreScan } from '../store.ts';

export class FaultyStore implements Store {
  readonly #store: Store;
  /** What the next writes do: nothing special where it is empty. */
  readonly faults: ('refuse' | 'write and fail')[] = [];
  /** While true writes are refused and there is no room. */
  isFull = false;
  /** While true it cannot be opened. */
  isStuck = false;
  /** Set by a failed write; a write before the next opening is what must never happen. */
  #poisoned = false;
  writesAfterFailure = 0;
  opened = 0;
  /** While an opening has begun and not ended. */
  isOpening = false;
  written = 0;
  /** Held back until released. */
  #gate: Promise<void> | undefined;
  #openGate: Promise<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Writes wait until the returned function is called. */
  holdWrites(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    return () => {
      this.#gate = undefined;
      resolve();
    };
  }

  /** Opening waits until the returned function is called. */
  holdOpening(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#openGate = promise;
    return () => {
      this.#openGate = undefined;
      resolve();
    };
  }

  async open(): Promise<void> {
    this.isOpening = true;
    await this.#openGate;
    this.isOpening = false;
    if (this.isStuck) throw new StoreError('failed', 'the disk says no');
    await this.#store.open();
    this.#poisoned = false;
    this.opened++;
  }

  getSync(key: StoreKey): Buffer | undefined {
    return this.#store.getSync(key);
  }

  scan(range: StoreRange): Promise<StoreScan> {
    return this.#store.scan(range);
  }

  async write(ops: readonly StoreOp[]): Promise<void> {
    if (this.#poisoned) this.writesAfterFailure++;
    await this.#gate;
    const fault = this.isFull ? 'refuse' : this.faults.shift();
    if (fault !== 'refuse') {
      await this.#store.write(ops);
      this.written++;
    }
    if (fault === undefined) return;
    this.#poisoned = true;
    throw new StoreError('failed', 'no space left on device');
  }

  hasRoom(): Promise<boolean> {
    return Promise.resolve(!this.isFull);
  }

  setAside(): Promise<string> {
    return this.#store.setAside();
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async remove(): Promise<void> {
    await this.#store.remove();
  }
}
