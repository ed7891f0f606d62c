/**
 * Writes the outbox's changes to its store, one call at a time, as many entries in each as have gathered.
 */
import type { OutboxEntry, OutboxStore } from './outbox-store.ts';

interface Change {
  readonly put: OutboxEntry[];
  readonly remove: string[];
  readonly onDone: (() => void)[];
}

export class OutboxKeeper {
  readonly #store: OutboxStore;
  readonly #onError: (error: unknown) => void;
  #next: Change | undefined;
  #isWriting = true;
  #isClosing = false;
  /** It could not be opened. */
  #isUseless = false;

  constructor(store: OutboxStore, onError: (error: unknown) => void) {
    this.#store = store;
    this.#onError = onError;
  }

  /** Reads what an earlier life left; nothing is written before that. */
  open(onFound: (entries: readonly OutboxEntry[]) => void, onOpen: () => void): void {
    this.#store
      .open(onFound)
      .then(onFound, (error: unknown) => {
        this.#isUseless = true;
        this.#onError(error);
      })
      .finally(() => {
        onOpen();
        this.#isWriting = false;
        this.#write();
      })
      .catch(this.#onError);
  }

  /** A store that fails is reported, and the entries go on without it: sending them is worth more than keeping them. */
  keep(entries: readonly OutboxEntry[], onKept: () => void): void {
    this.#plan((change) => {
      change.put.push(...entries);
      change.onDone.push(onKept);
    });
  }

  drop(rid: string): void {
    this.#plan((change) => change.remove.push(rid));
  }

  /** Once all that was planned is written. */
  close(): void {
    this.#isClosing = true;
    this.#write();
  }

  #plan(add: (change: Change) => void): void {
    this.#next ??= { put: [], remove: [], onDone: [] };
    add(this.#next);
    this.#write();
  }

  #write(): void {
    const change = this.#next;
    if (this.#isWriting || (change === undefined && !this.#isClosing)) return;
    this.#isWriting = true;
    if (change === undefined) {
      // And stays so: nothing is written any more.
      Promise.resolve(this.#store.close()).catch(this.#onError);
      return;
    }
    this.#next = undefined;
    this.#apply(change)
      .catch(this.#onError)
      .finally(() => {
        this.#isWriting = false;
        for (const onDone of change.onDone) onDone();
        this.#write();
      })
      .catch(this.#onError);
  }

  async #apply(change: Change): Promise<void> {
    if (this.#isUseless) return;
    const removed = new Set(change.remove);
    const put = change.put.filter((entry) => !removed.has(entry.rid));
    if (put.length > 0) await this.#store.put(put);
    if (removed.size > 0) await this.#store.remove([...removed]);
  }
}
