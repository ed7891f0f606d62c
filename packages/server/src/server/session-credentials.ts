/** By what a session says who it is: the token of its frame, the headers of the request that opened it, or being in process. */
import type { Authenticator } from '../auth/authenticator.ts';
import type { ReadClientSide } from '../auth/forwarded.ts';
import type { Identity } from '../auth/identity.ts';
import type { Session } from '../hub/session.ts';
import type { Request } from '../transport/exchange.ts';

export class SessionCredentials {
  readonly #authenticator: Authenticator;
  readonly #clientSide: ReadClientSide;
  readonly #inProcess: Identity;
  /** The requests that opened WebSockets: their headers may be the credentials. */
  readonly #requests = new WeakMap<Session, Request>();

  /** @param inProcess who the application is that made the server */
  constructor(authenticator: Authenticator, clientSide: ReadClientSide, inProcess: Identity) {
    this.#authenticator = authenticator;
    this.#clientSide = clientSide;
    this.#inProcess = inProcess;
  }

  opened(session: Session, request: Request): void {
    if (session.connection.transport === 'websocket') this.#requests.set(session, request);
  }

  /** @throws TidewayError where nobody is known by these */
  async identify(session: Session, token: string | undefined): Promise<Identity> {
    if (session.connection.transport === 'local') return this.#inProcess;
    const request = this.#requests.get(session);
    const headers = request?.headers ?? {};
    const { cookie } = headers;
    const remoteAddress = request && this.#clientSide(request).remoteAddress;
    const identity = await this.#authenticator.authenticate({ token, cookie, headers, remoteAddress });
    // From now on only a token of its own can change who it is: the request need not be kept for it.
    this.#requests.delete(session);
    return identity;
  }
}
