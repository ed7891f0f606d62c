/**
 * API keys of back ends: made once, shown once, kept as a hash. A key has 256 random bits, so one plain SHA-256 is
 * enough at rest; comparing takes the same time wherever it differs.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Env, nodeEnv } from '../env.ts';
import type { Allow, Identity } from './identity.ts';

/** By this a key is told from a JWT, and found by scanners of leaked secrets. */
export const KEY_PREFIX = 'tw_key_';

/** One back end's key as it stands in the configuration. */
export interface ApiKey {
  /** Names the back end in logs and errors. */
  readonly name: string;
  /** SHA-256 of the whole key, in hex; `tideway token key` prints it. */
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

/** Finds the identity of a presented key; `undefined` when no entry has it. */
export function createKeyRing(keys: readonly ApiKey[]): (key: string) => Identity | undefined {
  const entries = keys.map((entry) => ({ hash: Buffer.from(entry.sha256, 'hex'), identity: identityOf(entry) }));
  return (key) => {
    const presented = createHash('sha256').update(key).digest();
    let found: Identity | undefined;
    for (const { hash, identity } of entries) if (timingSafeEqual(hash, presented)) found = identity;
    return found;
  };
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
