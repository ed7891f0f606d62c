/** A session's identity: `hello`, `token`, and the end of credentials (PROTOCOL.md HEL-1 to HEL-5). */
import { TidewayError, type ClientFrame, type Decoded, type HelloOk } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { authorize } from './admission.ts';
import type { Hub } from './hub.ts';
import { errorRefusal, UNDECIDED, type Refusal } from './refusal.ts';
import type { Replies } from './replies.ts';
import type { Session } from './session.ts';

/** What the server tells about itself in the `ok` of `hello`, besides what changes. */
export type About = Pick<HelloOk, 'pingMs' | 'server'> & {
  readonly limits: Omit<HelloOk['limits'], 'recordBytes' | 'ridWindowMs'>;
};

export interface SignInHost {
  /** Throws a `TidewayError`: `unauthenticated`, `token_expired`, `internal`. */
  authenticate(session: Session, token: string | undefined): Promise<Identity>;
  isSameParty(a: Identity, b: Identity): boolean;
  /** A session has an identity now; a refusal turns it away (a limit on sessions of one user). */
  admit(session: Session, identity: Identity): Refusal | undefined;
  readonly about: About;
}

/** A frame that came before the answer to `hello`. */
export interface EarlyFrame {
  readonly decoded: Decoded;
  readonly payload: Buffer | undefined;
  readonly binary: boolean;
}

/** A client that resumes 1,000 channels one by one sends as many frames behind its `hello`. */
const EARLY_MAX = 1_100;
/** And no more than this: they are held in memory for somebody not yet known. */
const EARLY_BYTES_MAX = 1024 * 1024;
/** The longest a Node timer can run. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export class SignIn {
  readonly #hub: Hub;
  readonly #host: SignInHost;
  readonly #replies: Replies;
  readonly #receive: (session: Session, early: EarlyFrame) => void;
  readonly #early = new WeakMap<Session, { readonly frames: EarlyFrame[]; bytes: number }>();
  readonly #expiry = new WeakMap<Session, () => void>();

  constructor(hub: Hub, host: SignInHost, replies: Replies, receive: (session: Session, early: EarlyFrame) => void) {
    this.#hub = hub;
    this.#host = host;
    this.#replies = replies;
    this.#receive = receive;
  }

  /** Keeps a frame until `hello` is answered; false when there is nothing to wait for. */
  hold(session: Session, frame: EarlyFrame): boolean {
    const early = this.#early.get(session);
    if (early === undefined) return false;
    const { payload, decoded } = frame;
    early.bytes += payload?.length ?? (decoded.ok ? Buffer.byteLength(decoded.data ?? '') : 0);
    if (early.frames.length < EARLY_MAX && early.bytes <= EARLY_BYTES_MAX) early.frames.push(frame);
    else this.#replies.close(session, 'overloaded', 'too much was sent before the answer to hello');
    return true;
  }

  hello(session: Session, frame: Extract<ClientFrame, { op: 'hello' }>): void {
    if (session.identity !== undefined) {
      this.#replies.error(
        session,
        frame.id,
        { code: 'bad_frame', message: 'hello was said already; "token" refreshes it' },
        'hello',
      );
      return;
    }
    const early = { frames: [] as EarlyFrame[], bytes: 0 };
    this.#early.set(session, early);
    /** Answers in a slice of a tick: of a crowd that says hello each has its turn. */
    const answer = (say: () => void): void =>
      this.#hub.slices.add(() => {
        if (session.ended) return;
        say();
        this.#early.delete(session);
        for (const held of early.frames) this.#receive(session, held);
        session.flush();
      });
    const welcome = (identity: Identity): void => {
      const refusal = this.#host.admit(session, identity);
      if (refusal !== undefined) return this.#replies.error(session, frame.id, refusal, 'hello');
      session.instance = frame.instance;
      this.begin(session, identity);
      this.#replies.ok(session, frame.id, this.about(session));
      this.#hub.log.look(session);
    };
    this.#host.authenticate(session, frame.token).then(
      (identity) => answer(() => welcome(identity)),
      (error: unknown) => answer(() => this.#replies.error(session, frame.id, refusalOf(error), 'hello')),
    );
  }

  /** The session is somebody from now on. */
  begin(session: Session, identity: Identity): void {
    this.#hub.identified(session, identity);
    this.#watchExpiry(session, identity);
  }

  /** The members of the `ok` of `hello`, and of `ready` on a stream (HEL-2, SSE-3). */
  about(session: Session): Record<string, unknown> {
    return { session: session.id, ...(session.identity === undefined ? {} : this.describe(session.identity)) };
  }

  /** What the server says to somebody about them and itself. */
  describe(identity: Identity): Record<string, unknown> {
    const { about } = this.#host;
    const expiresInMs = this.#expiresInMs(identity);
    return {
      ...(identity.user === undefined ? {} : { user: identity.user }),
      pingMs: about.pingMs,
      ...(expiresInMs === undefined ? {} : { expiresInMs }),
      server: about.server,
      limits: {
        recordBytes: this.#hub.recordLimit.largest,
        ...about.limits,
        ridWindowMs: this.#hub.backbones.ridWindowMs(),
      },
    };
  }

  token(session: Session, id: number, token: string): void {
    this.#host.authenticate(session, token).then(
      (identity) => {
        if (session.ended || session.identity === undefined) return;
        if (!this.#host.isSameParty(session.identity, identity)) {
          const message = 'the new token is for another user; open a new connection for it';
          this.#replies.error(session, id, { code: 'user_changed', message }, 'token');
          return;
        }
        this.begin(session, identity);
        this.#hub.figures.tokenRefreshes++;
        const expiresInMs = this.#expiresInMs(identity);
        this.#replies.ok(session, id, expiresInMs === undefined ? {} : { expiresInMs });
        void this.#recheck(session, identity);
      },
      (error: unknown) => this.#replies.error(session, id, refusalOf(error), 'token'),
    );
  }

  /** The session is over: no timer of it stays. */
  ended(session: Session): void {
    this.#expiry.get(session)?.();
    this.#expiry.delete(session);
    this.#early.delete(session);
  }

  /** Narrower credentials end what they no longer permit (HEL-4). */
  async #recheck(session: Session, identity: Identity): Promise<void> {
    for (const channel of [...session.subscriptions.keys()]) {
      const refusal = await Promise.resolve(authorize(this.#hub.policy, identity, 'subscribe', channel)).catch(
        () => UNDECIDED,
      );
      if (refusal === undefined || session.ended || !session.subscriptions.has(channel)) continue;
      this.#hub.unsubscribe(session, channel);
      session.send({ op: 'unsubscribed', channel, code: 'forbidden' });
    }
  }

  #expiresInMs(identity: Identity): number | undefined {
    return identity.expiresAtMs === undefined
      ? undefined
      : Math.max(0, Math.floor(identity.expiresAtMs - this.#hub.env.now()));
  }

  /** A session does not outlive its credentials. */
  #watchExpiry(session: Session, identity: Identity): void {
    this.#expiry.get(session)?.();
    this.#expiry.delete(session);
    const check = (): void => {
      const leftMs = this.#expiresInMs(identity);
      if (leftMs === undefined || session.ended) return;
      if (leftMs === 0) this.#replies.close(session, 'token_expired', 'the credentials have run out');
      else this.#expiry.set(session, this.#hub.env.setTimer(Math.min(leftMs, TIMER_MAX_MS), check));
    };
    if (identity.expiresAtMs !== undefined) check();
  }
}

function refusalOf(error: unknown): Refusal {
  return error instanceof TidewayError ? errorRefusal(error) : UNDECIDED;
}
