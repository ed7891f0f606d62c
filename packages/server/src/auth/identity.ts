/**
 * Who is speaking: what the authenticator finds out, what permissions judge. Never holds a token, a key or a cookie.
 */

import { limits } from '@tideway/protocol';

/** The permission words, the same in namespaces, tokens, errors and documents. */
export const permissionWords = ['subscribe', 'append', 'signal', 'history', 'presence', 'admin'] as const;

export type Permission = (typeof permissionWords)[number];

/** What `allow` may leave to a token: the permissions on channels, and `call`, under `*`, since methods are no channels. */
export const allowWords = [...permissionWords, 'call'] as const;

export type AllowWord = (typeof allowWords)[number];

/**
 * What a token narrows its bearer to: channel globs (`chat:42`, `chat:*`, `*`; the star only at the end) with the
 * permissions that remain there. It takes away; it never gives what the namespace does not.
 */
export type Allow = Readonly<Record<string, readonly AllowWord[]>>;

export interface Identity {
  readonly kind: 'anonymous' | 'user' | 'key';
  /** 1–255 bytes of UTF-8; never present on an anonymous identity, on a key only where its entry declares one. */
  readonly user?: string;
  readonly roles: readonly string[];
  /** Absent: not narrowed. */
  readonly allow?: Allow;
  /** Wall clock; from then on the session must refresh its token or end. Absent: does not expire. */
  readonly expiresAtMs?: number;
  /** The name of the API key's entry. */
  readonly keyName?: string;
  /** `tideway dev`: may do anything its `allow` does not take away. */
  readonly development?: true;
}

/** No credentials were given. */
export const anonymous: Identity = Object.freeze({ kind: 'anonymous', roles: Object.freeze([]) });

/** No credentials were given to a server in development mode. */
export const anonymousDeveloper: Identity = Object.freeze({ ...anonymous, development: true });

/** True when both speak for the same party: a refreshed token must not change who a session is. */
export function isSameParty(a: Identity, b: Identity): boolean {
  return a.kind === b.kind && a.user === b.user && a.keyName === b.keyName;
}

const ROLES_MAX = 64;
const ROLE_LENGTH_MAX = 128;
export const describeRoles = `a list of at most ${ROLES_MAX} texts of 1–${ROLE_LENGTH_MAX} characters is allowed`;

/** True for what may name a user: 1–255 bytes of well-formed text. */
export function isUser(user: unknown): user is string {
  return typeof user === 'string' && user !== '' && user.isWellFormed() && Buffer.byteLength(user) <= limits.userBytes;
}

/** True for what may be roles. */
export function isRoles(roles: unknown): roles is string[] {
  return (
    Array.isArray(roles) &&
    roles.length <= ROLES_MAX &&
    roles.every((role) => typeof role === 'string' && role !== '' && role.length <= ROLE_LENGTH_MAX)
  );
}
