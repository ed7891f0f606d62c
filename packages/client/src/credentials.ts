/**
 * The token of one identity: fetched once for all who need it, kept until it is near its end or refused.
 */
import { TidewayError } from '@tideway/protocol';
import { ageMs, type Env, type Stamp, stampNow } from './env.ts';

/** Why a token is asked for: none yet, the old one ends soon, or the server refused it. */
export type TokenReason = 'first' | 'expiring' | 'rejected';

/** Gives the token of whoever uses the application now; `undefined` stands for nobody. */
export type TokenSource = (ask: {
  readonly reason: TokenReason;
  /** Aborted when the answer is no longer wanted. */
  readonly signal: AbortSignal;
}) => string | undefined | Promise<string | undefined>;

/** A token source that does not answer for so long has failed. */
const SOURCE_MS = 30_000;
/** A token is renewed when this much of its life is left … */
const MARGIN_MS = 60_000;
/** … or this part of it, where it is short-lived. */
const MARGIN_PART = 1 / 4;

/** How long before its end a token of this life is renewed. */
export function marginMs(expiresInMs: number): number {
  return Math.min(MARGIN_MS, expiresInMs * MARGIN_PART);
}

export class Credentials {
  readonly #env: Env;
  readonly #source: TokenSource | undefined;
  #token: string | undefined;
  #reason: TokenReason | undefined = 'first';
  #life: { readonly since: Stamp; readonly expiresInMs: number } | undefined;
  #pending: Promise<string | undefined> | undefined;
  #abort: AbortController | undefined;

  constructor(env: Env, source: TokenSource | undefined) {
    this.#env = env;
    this.#source = source;
  }

  /** True where another token can be had. */
  get isRenewable(): boolean {
    return this.#source !== undefined;
  }

  /** The token for the next request: the one at hand where it still serves. Rejects with what the source threw. */
  current(): Promise<string | undefined> {
    if (this.#pending !== undefined) return this.#pending;
    const life = this.#life;
    if (life !== undefined && ageMs(this.#env, life.since) >= life.expiresInMs - marginMs(life.expiresInMs)) {
      this.#reason ??= 'expiring';
    }
    return this.#reason === undefined ? Promise.resolve(this.#token) : this.renew(this.#reason);
  }

  /** Another token, however good the old one is; those who ask meanwhile get the same answer. */
  renew(reason: TokenReason): Promise<string | undefined> {
    const source = this.#source;
    if (source === undefined) return Promise.resolve(undefined);
    this.#reason = reason;
    this.#pending ??= this.#ask(source, reason).finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  /** The server takes the token and says how long it lives. */
  accepted(expiresInMs: number | undefined): void {
    this.#life = expiresInMs === undefined ? undefined : { since: stampNow(this.#env), expiresInMs };
  }

  /** The server refused the token: the next request needs another. */
  refused(): void {
    this.#reason ??= 'rejected';
  }

  close(): void {
    this.#abort?.abort();
  }

  async #ask(source: TokenSource, reason: TokenReason): Promise<string | undefined> {
    const abort = new AbortController();
    this.#abort = abort;
    const late = new Promise<never>((_, reject) => {
      const message = `the token function did not answer within ${SOURCE_MS} ms`;
      abort.signal.addEventListener('abort', () => reject(new TidewayError('unauthenticated', message)));
    });
    const cancel = this.#env.setTimer(SOURCE_MS, () => abort.abort());
    try {
      const token = await Promise.race([source({ reason, signal: abort.signal }), late]);
      this.#token = token;
      this.#reason = undefined;
      this.#life = undefined;
      return token;
    } finally {
      cancel();
    }
  }
}
