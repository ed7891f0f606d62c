/**
 * Renews the token of a session while it lives, before the old one ends (HEL-4).
 */
import type { Answer, Request } from './answer.ts';
import { type Credentials, marginMs } from './credentials.ts';
import { type Env, randomFraction } from './env.ts';
import { errorOf } from './link.ts';

/** How long after a failure the next attempt comes. */
const AGAIN_MS = 5_000;

/** Where the session is. */
export interface RenewalOwner {
  request(request: Request, onAnswer: (answer: Answer) => void): void;
  restart(delayMs: number): void;
}

export class TokenRenewal {
  readonly #env: Env;
  readonly #credentials: Credentials;
  readonly #owner: RenewalOwner;
  readonly #events: { onError(error: unknown): void };
  /** Counts sessions: what was begun in an earlier one does not concern this one. */
  #session = 0;
  #cancel = () => {};

  constructor(env: Env, credentials: Credentials, owner: RenewalOwner, events: { onError(error: unknown): void }) {
    this.#env = env;
    this.#credentials = credentials;
    this.#owner = owner;
    this.#events = events;
  }

  /** The server took the token. */
  accepted(expiresInMs: number | undefined): void {
    this.#credentials.accepted(expiresInMs);
    if (expiresInMs === undefined || !this.#credentials.isRenewable) return;
    const margin = marginMs(expiresInMs);
    this.#renewIn(Math.max(0, expiresInMs - margin - randomFraction(this.#env) * margin));
  }

  stop(): void {
    this.#session++;
    this.#cancel();
  }

  renew(reason: 'expiring' | 'rejected'): void {
    const session = this.#session;
    this.#cancel();
    this.#credentials.renew(reason).then(
      (token) => {
        if (session !== this.#session || token === undefined) return;
        this.#owner.request({ op: 'token', token }, (answer) => this.#onAnswer(answer));
      },
      (error: unknown) => {
        this.#events.onError(error);
        if (session === this.#session) this.#renewIn(AGAIN_MS);
      },
    );
  }

  #onAnswer(answer: Answer): void {
    if (answer.op === 'ok') this.accepted(answer.expiresInMs);
    // The application speaks for somebody else now, which takes a session of its own.
    else if (answer.code === 'user_changed') this.#owner.restart(0);
    else {
      this.#credentials.refused();
      this.#events.onError(errorOf(answer));
    }
  }

  #renewIn(delayMs: number): void {
    this.#cancel();
    this.#cancel = this.#env.setTimer(delayMs, () => this.renew('expiring'));
  }
}
