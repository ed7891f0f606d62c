/** The unanswered appends of one session to one channel, and the rule for sending them again (APP-3, APP-4), by hand. */
import { rest } from './stage.ts';

export interface PendingAppend {
  readonly rid: string;
  readonly payload: string;
  /** The request it is under way with, on this connection. */
  id: number | undefined;
  /** It went out before: its record may be there already, and come before its `ok` (APP-5). */
  wasSent: boolean;
}

export class AppendQueue {
  readonly #signal: AbortSignal;
  readonly #send: (append: PendingAppend, restart: boolean) => void;
  readonly #pending: PendingAppend[] = [];
  #sequence = 0;
  #connection = 0;
  /** After a retryable error nothing is sent until all answers are in; then the oldest goes first, with `restart`. */
  #isStalled = false;
  #delayMs = 0;

  constructor(signal: AbortSignal, send: (append: PendingAppend, restart: boolean) => void) {
    this.#signal = signal;
    this.#send = send;
  }

  get length(): number {
    return this.#pending.length;
  }

  nextSequence(): number {
    return ++this.#sequence;
  }

  add(append: PendingAppend): void {
    this.#pending.push(append);
    if (!this.#isStalled) this.#send(append, false);
  }

  /** A new connection: all of them again, in order. */
  startAgain(): void {
    this.#connection++;
    this.#isStalled = false;
    for (const append of this.#pending) append.id = undefined;
    for (const append of this.#pending) this.#send(append, false);
  }

  /** It has its outcome. */
  settle(append: PendingAppend): void {
    const at = this.#pending.indexOf(append);
    if (at >= 0) this.#pending.splice(at, 1);
    append.id = undefined;
    this.#restart();
  }

  /** It was refused for now. */
  goBack(append: PendingAppend, delayMs: number): void {
    append.id = undefined;
    this.#isStalled = true;
    this.#delayMs = delayMs;
    this.#restart();
  }

  #restart(): void {
    if (!this.#isStalled || this.#pending.some((append) => append.id !== undefined)) return;
    const connection = this.#connection;
    void rest(this.#delayMs, this.#signal).then(() => {
      if (connection !== this.#connection || !this.#isStalled) return;
      this.#isStalled = false;
      for (const [index, append] of [...this.#pending].entries()) this.#send(append, index === 0);
    });
  }
}
