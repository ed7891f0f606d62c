/** For whoever waits until something holds: woken at each change, and sent away at the end. */
import { TailError } from '../log.ts';

export class Changes {
  #next = Promise.withResolvers<void>();
  #areOver = false;

  get areOver(): boolean {
    return this.#areOver;
  }

  /** Resolves at the next change; rejects once there will be none. */
  async next(): Promise<void> {
    if (!this.#areOver) await this.#next.promise;
    if (this.#areOver) throw new TailError('unavailable', 'the log is closed');
  }

  wake(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  end(): void {
    this.#areOver = true;
    this.wake();
  }
}
