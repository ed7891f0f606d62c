/**
 * API keys of back ends: made once, shown once, kept as a hash. A key has 256 random bits, so one plain SHA-256 is
 * enough at rest; comparing takes the same time wherever it differs.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { limits } from '@tideway/protocol';
import { type Env, nodeEnv } from '../env.ts';
import { parseAllow } from './allow.ts';
import { type Allow, describeRoles, type Identity, isRoles, isUser } from './identity.ts';

/** By this a key is told from a JWT, and found by scanners of leaked secrets. */
export const KEY_PREFIX = 'tw_key_';

/** One back end's key as it stands in the configuration. */
export interface ApiKey {
  /** Names the back end in logs and errors. */
  readonly name: string;
  /** SHA-256 of the whole key, in hex; `createKey` makes both. */
  readonly sha256: string;
  /** The user its records are stored under; absent: none. */
  readonly user?: string;
  readonly roles?: readonly string[];
  readonly allow?: Allow;
}

/** SHA-256 of a key, in hex: what the configuration keeps. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** A new key of 256 random bits, and what to keep of it. The key itself is never seen again. */
export function createKey(env: Env = nodeEnv): { readonly key: string; readonly sha256: string } {
  const key = KEY_PREFIX + Buffer.from(env.randomBytes(32)).toString('base64url');
  return { key, sha256: hashKey(key) };
}

/**
 * Finds the identity of a presented key; `undefined` when no entry has it.
 *
 * @throws RangeError in words when an entry cannot be one
 */
export function createKeyRing(keys: readonly ApiKey[]): (key: string) => Identity | undefined {
  if (!Array.isArray(keys))
    throw new RangeError('auth.keys: a list of { name, sha256, user?, roles?, allow? } is allowed');
  const entries = keys.map((entry: ApiKey, at) => {
    checkEntry(entry, at, keys);
    return { hash: Buffer.from(entry.sha256, 'hex'), identity: identityOf(entry) };
  });
  return (key) => {
    const presented = createHash('sha256').update(key).digest();
    let found: Identity | undefined;
    for (const { hash, identity } of entries) if (timingSafeEqual(hash, presented)) found = identity;
    return found;
  };
}

const MEMBERS = ['name', 'sha256', 'user', 'roles', 'allow'];

function checkEntry(entry: ApiKey, at: number, keys: readonly ApiKey[]): void {
  const key = `auth.keys[${at}]`;
  const wrong = (member: string, message: string): RangeError => new RangeError(`${key}.${member}: ${message}`);
  if (typeof entry !== 'object' || entry === null) {
    throw new RangeError(`${key}: an object { name, sha256, user?, roles?, allow? } is allowed`);
  }
  const unknown = Object.keys(entry).find((member) => !MEMBERS.includes(member));
  if (unknown !== undefined) throw wrong(unknown, `there is no such setting; there are: ${MEMBERS.join(', ')}`);
  const { name, sha256, user, roles, allow } = entry;
  if (typeof name !== 'string' || name === '') throw wrong('name', 'a text that names the back end is needed');
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/i.test(sha256)) {
    throw wrong('sha256', 'the SHA-256 of the key is needed, 64 hex digits; never the key itself');
  }
  const others = keys.slice(0, at);
  if (others.some((other) => other.name === name)) throw wrong('name', `${JSON.stringify(name)} is there twice`);
  if (others.some((other) => other.sha256.toLowerCase() === sha256.toLowerCase())) {
    throw wrong('sha256', 'the same key has another name already');
  }
  if (user !== undefined && !isUser(user)) throw wrong('user', `a text of 1–${limits.userBytes} bytes is allowed`);
  if (roles !== undefined && !isRoles(roles)) throw wrong('roles', describeRoles);
  if (allow === undefined) return;
  try {
    parseAllow(allow);
  } catch (cause) {
    throw wrong('allow', (cause as RangeError).message);
  }
}

function identityOf(entry: ApiKey): Identity {
  return {
    kind: 'key',
    keyName: entry.name,
    roles: entry.roles ?? [],
    ...(entry.user !== undefined && { user: entry.user }),
    ...(entry.allow !== undefined && { allow: entry.allow }),
  };
}
