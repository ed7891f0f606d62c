/** Waiting for something, but not for ever: every wait of the suites has a name and a deadline. */

/** What was waited for did not come in time. */
class DeadlineError extends Error {
  constructor(what: string, deadlineMs: number) {
    super(`waited ${deadlineMs} ms for ${what}`);
    this.name = 'DeadlineError';
  }
}

/**
 * The promise's value, or a `DeadlineError` that names what was waited for. It names what it was called for, too: the
 * stack is taken here, where the wait begins.
 */
export function within<T>(promise: Promise<T>, deadlineMs: number, what: string): Promise<T> {
  const late = new DeadlineError(what, deadlineMs);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late), deadlineMs);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

/** Things that arrive one by one, and those who wait for the next that fits: the first waiter is served first. */
export class Arrivals<T> {
  /** Everything that came, in order. */
  readonly all: T[] = [];
  #taken = 0;
  #look: (() => void) | undefined;
  #ended: Error | undefined;

  push(item: T): void {
    this.all.push(item);
    this.#look?.();
  }

  /** Nothing more will come: whoever waits is told why. */
  end(reason: Error): void {
    this.#ended ??= reason;
    this.#look?.();
  }

  /**
   * The next item that fits, from where the last `next` stopped; what is passed over on the way counts as seen. One
   * wait at a time.
   */
  async next(fits: (item: T) => boolean, deadlineMs: number, what: string): Promise<T> {
    let found: T | undefined;
    const arrived = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        while (this.#taken < this.all.length) {
          const item = this.all[this.#taken++] as T;
          if (!fits(item)) continue;
          found = item;
          // What comes before the waiter has gone on is for the next one.
          this.#look = undefined;
          resolve();
          return;
        }
        if (this.#ended !== undefined) reject(this.#ended);
      };
      this.#look = look;
      look();
    });
    try {
      await within(arrived, deadlineMs, what);
    } finally {
      this.#look = undefined;
    }
    return found as T;
  }

  /** What came and no `next` has looked at. */
  get unseen(): readonly T[] {
    return this.all.slice(this.#taken);
  }
}
