/** What a broker's client pushes, in order, until it is taken. It says when it is full; to stop the client is the source's. */
import { type Message, sizeOf, TAKEN_MAX, WAITING_BYTES_MAX } from './message.ts';

export class Inbox<M extends Message> {
  readonly #waiting: M[] = [];
  #bytes = 0;
  #failure: Error | undefined;
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();
  #room: PromiseWithResolvers<void> | undefined;

  /** How many wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Of all that waits. */
  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#bytes >= WAITING_BYTES_MAX || this.#waiting.length >= TAKEN_MAX;
  }

  push(message: M): void {
    if (this.#failure !== undefined) return;
    this.#waiting.push(message);
    this.#bytes += sizeOf(message);
    this.#turn();
  }

  /** Resolves when it is not full: for a client that can wait. */
  async room(): Promise<void> {
    while (this.isFull) {
      this.#room ??= Promise.withResolvers();
      await this.#room.promise;
    }
  }

  /** Nothing more comes; the first failure counts. Who takes is told at once, and what waits is let go of. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting.length = 0;
    this.#bytes = 0;
    this.#turn();
    this.#makeRoom();
  }

  /** What waits, up to a bounded number and size; nothing only once the signal is aborted. Rejects with the failure. */
  async take(signal: AbortSignal): Promise<readonly M[]> {
    const onAbort = (): void => this.#turn();
    signal.addEventListener('abort', onAbort);
    try {
      while (this.#waiting.length === 0 && !signal.aborted && this.#failure === undefined) await this.#changed.promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (signal.aborted) return [];
    let bytes = 0;
    const end = this.#waiting.findIndex((message) => (bytes += sizeOf(message)) > WAITING_BYTES_MAX);
    // One that is larger goes alone.
    const taken = this.#waiting.splice(0, end < 0 ? TAKEN_MAX : Math.min(Math.max(end, 1), TAKEN_MAX));
    for (const message of taken) this.#bytes -= sizeOf(message);
    this.#makeRoom();
    return taken;
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #turn(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
