/**
 * Turns credentials into an identity: a JWT or an API key (in `hello` or `Authorization: Bearer`), else a session
 * cookie through the application's hook, else nobody. What was verified is remembered by hash, so that thousands who
 * reconnect at once are not verified twice.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { limits, TidewayError, timing } from '@tideway/protocol';
import type { Env } from '../env.ts';
import { parseAllow } from './allow.ts';
import { type ApiKey, createKeyRing, KEY_PREFIX } from './api-keys.ts';
import {
  type Allow,
  anonymous,
  anonymousDeveloper,
  describeRoles,
  type Identity,
  isRoles,
  isUser,
} from './identity.ts';
import type { OnJwksFailure } from './jwks.ts';
import { createJwtVerifier, type JwtOptions } from './jwt.ts';

export interface AuthOptions {
  readonly jwt?: JwtOptions | undefined;
  readonly keys?: readonly ApiKey[] | undefined;
  readonly session?: SessionHook | undefined;
  /** What tickets are signed with, at least 32 bytes. Default: made from `jwt.secret`, else a key in the data folder. */
  readonly ticketSecret?: string | undefined;
}

/** Looks up who a browser's cookie stands for; asked only where no token was given. */
export type SessionHook = (
  request: SessionRequest,
) => Promise<SessionIdentity | undefined> | SessionIdentity | undefined;

export interface SessionRequest {
  /** The `Cookie` header; absent where there is none, or the page that sends it may not use it. */
  readonly cookie: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string | undefined;
}

export interface SessionIdentity {
  readonly user: string;
  readonly roles?: readonly string[];
  readonly allow?: Allow;
  /** The session ends, or is looked up again with the next connection, after this long. Default 30 minutes. */
  readonly expiresInMs?: number;
}

export interface Credentials {
  /** Of `hello` or a `token` frame; wins over the headers. */
  readonly token?: string | undefined;
  /** The `Cookie` header, when the request's origin may use it. */
  readonly cookie?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress?: string | undefined;
}

export interface Authenticator {
  /** @throws TidewayError `unauthenticated`, `token_expired`; `internal` (retryable) when it could not be found out */
  authenticate(credentials: Credentials): Promise<Identity>;
}

/** Verified tokens that are remembered: 10,000 of about 300 bytes. */
const REMEMBERED_MAX = 10_000;
/** OWASP: a session's cookie is looked at again about every 30 minutes. */
const SESSION_MS = 1_800_000;
const SESSION_HOOK_MS = 5_000;

/** @param options.development every identity may do anything (`tideway dev`) */
export async function createAuthenticator(options: {
  readonly auth: AuthOptions;
  readonly env: Env;
  readonly development?: boolean;
  readonly onJwksFailure?: OnJwksFailure;
}): Promise<Authenticator> {
  const { auth, env } = options;
  const jwt = auth.jwt && (await createJwtVerifier(auth.jwt, env, options.onJwksFailure ?? (() => {})));
  const findKey = createKeyRing(auth.keys ?? []);
  const remembered = new Map<string, { readonly identity: Identity; readonly version: number }>();
  const verifying = new Map<string, Promise<Identity>>();

  async function fromToken(token: string): Promise<Identity> {
    if (token.startsWith(KEY_PREFIX)) {
      const identity = findKey(token);
      if (identity === undefined) throw new TidewayError('unauthenticated', 'no entry of auth.keys has this API key');
      return identity;
    }
    if (jwt === undefined)
      throw new TidewayError('unauthenticated', 'this server has no auth.jwt to verify a token with');
    await jwt.source.refresh();
    const hash = createHash('sha256').update(token).digest('base64');
    const known = remembered.get(hash);
    if (known !== undefined && known.version === jwt.source.version()) {
      if ((known.identity.expiresAtMs as number) > env.now()) return known.identity;
      throw new TidewayError('token_expired', 'the token has expired');
    }
    const running = verifying.get(hash) ?? jwt.verify(token).finally(() => verifying.delete(hash));
    verifying.set(hash, running);
    // The version from before: keys that change meanwhile make the entry worthless, not wrong.
    const version = jwt.source.version();
    const identity = await running;
    remembered.delete(hash);
    remembered.set(hash, { identity, version });
    if (remembered.size > REMEMBERED_MAX) remembered.delete(remembered.keys().next().value as string);
    return identity;
  }

  return {
    async authenticate(credentials) {
      const token = credentials.token ?? bearerOf(credentials.headers);
      const found = token === undefined ? await fromSession(auth.session, credentials, env) : await fromToken(token);
      if (options.development !== true) return found ?? anonymous;
      return found === undefined ? anonymousDeveloper : { ...found, development: true };
    },
  };
}

/** The token of an `Authorization: Bearer` header; other schemes are not ours to judge. */
function bearerOf(headers: IncomingHttpHeaders): string | undefined {
  const match = /^Bearer(?: +(.*))?$/i.exec(headers.authorization ?? '');
  return match === null ? undefined : (match[1] ?? '').trim();
}

async function fromSession(
  hook: SessionHook | undefined,
  credentials: Credentials,
  env: Env,
): Promise<Identity | undefined> {
  if (hook === undefined) return undefined;
  const { cookie, remoteAddress } = credentials;
  const headers: IncomingHttpHeaders = { ...credentials.headers };
  if (cookie === undefined) delete headers.cookie;
  const session = await withDeadline(env, async () => hook({ cookie, headers, remoteAddress }));
  if (session === undefined || session === null) return undefined;
  const { user, roles = [], allow, expiresInMs = SESSION_MS } = session;
  if (!isUser(user)) {
    throw hookFailed(new RangeError(`auth.session gave a user that is no text of 1–${limits.userBytes} bytes`));
  }
  if (!Number.isFinite(expiresInMs))
    throw hookFailed(new RangeError('auth.session gave an expiresInMs that is no number'));
  if (!isRoles(roles)) throw hookFailed(new RangeError(`auth.session gave wrong roles: ${describeRoles}`));
  try {
    return {
      kind: 'user',
      user,
      roles,
      expiresAtMs: env.now() + expiresInMs,
      ...(allow !== undefined && { allow: parseAllow(allow) }),
    };
  } catch (cause) {
    throw hookFailed(cause);
  }
}

function hookFailed(cause: unknown): TidewayError {
  return new TidewayError('internal', 'the session could not be looked up', { cause, retryMs: timing.retryMs });
}

/** The hook's own `TidewayError` is its answer; whatever else it throws, or being late, is a fault of the server. */
async function withDeadline<T>(env: Env, run: () => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = env.setTimer(SESSION_HOOK_MS, () =>
      reject(hookFailed(new Error(`auth.session took over ${SESSION_HOOK_MS} ms`))),
    );
    run()
      .then(resolve, (error: unknown) => reject(error instanceof TidewayError ? error : hookFailed(error)))
      .finally(stop);
  });
}
