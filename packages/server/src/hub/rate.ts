/** What a session may do in a second: for each a bucket that holds one second's worth. */
import type { Session } from './session.ts';

export class Rate {
  readonly #perSecond: number;
  readonly #buckets = new WeakMap<Session, { left: number; atMs: number }>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes one out of the session's allowance; false when there is none left. */
  take(session: Session, nowMs: number): boolean {
    let bucket = this.#buckets.get(session);
    if (bucket === undefined) {
      bucket = { left: this.#perSecond, atMs: nowMs };
      this.#buckets.set(session, bucket);
    }
    const seconds = (nowMs - bucket.atMs) / 1_000;
    bucket.atMs = nowMs;
    bucket.left = Math.min(this.#perSecond, bucket.left + seconds * this.#perSecond);
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }
}
