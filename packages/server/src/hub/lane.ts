/**
 * The order of one session's commands on one channel (PROTOCOL.md SUB-12, APP-3): appends may overlap each other; a
 * subscribe or unsubscribe waits for the appends before it and holds back what comes after it.
 */
import type { Code } from '@tideway/protocol';

export class Lane {
  /** Set by a retryable failure of an append: all later ones get the same code until one says `restart`. */
  refused: { readonly code: Code; readonly message: string } | undefined;
  #appends = 0;
  #exclusive = false;
  #queue: { readonly exclusive: boolean; readonly start: (done: () => void) => void }[] = [];

  /** True when nothing runs, waits or is remembered: the lane can be forgotten. */
  get idle(): boolean {
    return this.#appends === 0 && !this.#exclusive && this.#queue.length === 0 && this.refused === undefined;
  }

  /** Starts an append as soon as its turn comes; `start` must call `done` when the append has its outcome. */
  append(start: (done: () => void) => void): void {
    this.#add({ exclusive: false, start });
  }

  /** Starts a command that waits for all before it and holds back all after it until it calls `done`. */
  exclusive(start: (done: () => void) => void): void {
    this.#add({ exclusive: true, start });
  }

  #add(item: { readonly exclusive: boolean; readonly start: (done: () => void) => void }): void {
    if (this.#queue.length === 0 && !this.#exclusive && (!item.exclusive || this.#appends === 0)) this.#start(item);
    else this.#queue.push(item);
  }

  #start(item: { readonly exclusive: boolean; readonly start: (done: () => void) => void }): void {
    if (item.exclusive) this.#exclusive = true;
    else this.#appends++;
    let over = false;
    item.start(() => {
      if (over) return;
      over = true;
      if (item.exclusive) this.#exclusive = false;
      else this.#appends--;
      this.#next();
    });
  }

  #next(): void {
    for (;;) {
      const item = this.#queue[0];
      if (item === undefined || this.#exclusive || (item.exclusive && this.#appends > 0)) return;
      this.#queue.shift();
      this.#start(item);
    }
  }
}
