/**
 * Where the keys that verify tokens come from: one secret, one public key, or a JWK set in a file or at a URL that may
 * change while the server runs. Never asks the other side more often than its limits say, whatever tokens arrive.
 */
import { createPublicKey, type KeyObject, createSecretKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { TidewayError, timing } from '@tideway/protocol';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Env } from '../env.ts';

export type JwtAlgorithm = 'HS256' | 'RS256' | 'ES256' | 'EdDSA';

/** The algorithms of key pairs; HS256 is for `secret` alone, so that no public key can ever be taken for a secret. */
const pairAlgorithms = ['RS256', 'ES256', 'EdDSA'] as const satisfies readonly JwtAlgorithm[];

/** Finds keys for `jwtVerify`, and says when they have changed. */
export interface KeySource {
  /** What this source can verify at all. */
  readonly algorithms: readonly JwtAlgorithm[];
  readonly key: JWTVerifyGetKey;
  /** Grows with every change of the keys: what was verified with other keys counts no longer. */
  version(): number;
  /** Looks for changed keys where it is time to; awaited before a remembered token is believed. */
  refresh(): Promise<void>;
}

/** How the file and the URL of a JWK set are watched. */
export const jwksTiming = {
  /** A file's time and size are looked at this often, when tokens arrive. */
  fileCheckMs: 2_000,
  /** A URL is asked again behind the back of arriving tokens: providers announce new keys well before they use them. */
  urlAgeMs: 600_000,
  /** An unknown `kid` makes a URL be asked, but no more often than this: anyone can invent a `kid`. */
  urlCooldownMs: 30_000,
  /** Keys this old are believed no longer, if the URL has not answered since. */
  urlStaleMs: 86_400_000,
  urlTimeoutMs: 5_000,
} as const;

/** A JWK set of 100 keys with certificates is below 300 KiB. */
const JWKS_BYTES_MAX = 1024 * 1024;
/** RFC 7518 §3.2: a key as long as the hash, at least. */
const SECRET_BYTES_MIN = 32;

export function secretSource(secret: string): KeySource {
  const bytes = Buffer.from(secret, 'utf8');
  if (bytes.length < SECRET_BYTES_MIN) {
    throw new RangeError(
      `auth.jwt.secret has ${bytes.length} bytes; HS256 needs at least ${SECRET_BYTES_MIN} (RFC 7518 §3.2)`,
    );
  }
  return fixed(createSecretKey(bytes), 'HS256');
}

/** @param pem an SPKI public key or an X.509 certificate */
export function publicKeySource(pem: string): KeySource {
  if (pem.includes('PRIVATE KEY')) {
    throw new RangeError('auth.jwt.publicKey is a private key; give the server the public one only');
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw new RangeError('auth.jwt.publicKey is not a PEM public key or certificate', { cause });
  }
  const type = key.asymmetricKeyType;
  if (type === 'rsa') {
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (bits < 2048) throw new RangeError(`auth.jwt.publicKey is RSA of ${bits} bits; RS256 needs at least 2,048`);
    return fixed(key, 'RS256');
  }
  if (type === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return fixed(key, 'ES256');
  if (type === 'ed25519') return fixed(key, 'EdDSA');
  throw new RangeError(`auth.jwt.publicKey is of type ${type ?? 'unknown'}; RSA, EC P-256 or Ed25519 are allowed`);
}

function fixed(key: KeyObject, algorithm: JwtAlgorithm): KeySource {
  return { algorithms: [algorithm], key: () => key, version: () => 1, refresh: async () => {} };
}

function readSet(text: string): JWTVerifyGetKey {
  // `createLocalJWKSet` checks the shape of the set.
  return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
}

/** Told when a set could not be read; the keys known before stay in use. */
export type OnJwksFailure = (failure: { readonly source: string; readonly message: string }) => void;

/** Reads the set at once; a file that is missing or wrong at start is an error. */
export async function jwksFileSource(path: string, env: Env, onFailure: OnJwksFailure): Promise<KeySource> {
  let mark = await fileMark(path);
  let keys = readSet(await readFile(path, 'utf8'));
  let version = 1;
  let checkedAtMs = env.monotonicMs();
  let running: Promise<void> | undefined;
  /** The last failure told: a file that stays wrong is told once. */
  let failure = '';

  async function check(): Promise<void> {
    try {
      const now = await fileMark(path);
      if (now === mark) return;
      keys = readSet(await readFile(path, 'utf8'));
      mark = now;
      failure = '';
      version++;
    } catch (error) {
      const message = messageOf(error);
      if (message !== failure) onFailure({ source: path, message });
      failure = message;
    }
  }

  function look(): Promise<void> {
    checkedAtMs = env.monotonicMs();
    running ??= check().finally(() => (running = undefined));
    return running;
  }

  return {
    algorithms: pairAlgorithms,
    version: () => version,
    async refresh() {
      if (env.monotonicMs() - checkedAtMs >= jwksTiming.fileCheckMs) await look();
      else await running;
    },
    async key(header, token) {
      try {
        return await keys(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        // One look at a file's date is cheaper than verifying a signature: no need to wait for its turn.
        await look();
        return keys(header, token);
      }
    },
  };
}

async function fileMark(path: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(path);
  if (size > JWKS_BYTES_MAX) throw new RangeError(`${path} has ${size} bytes; at most ${JWKS_BYTES_MAX} are allowed`);
  return `${mtimeMs}:${size}:${ino}`;
}

/** Asks the URL when the first token arrives, so that a provider that is down does not keep the server from starting. */
export function jwksUrlSource(url: string, env: Env, onFailure: OnJwksFailure): KeySource {
  let keys: JWTVerifyGetKey | undefined;
  let text = '';
  let version = 1;
  let fetchedAtMs = -Infinity;
  let triedAtMs = -Infinity;
  let running: Promise<void> | undefined;

  async function load(): Promise<void> {
    try {
      const answer = await fetchSet(url);
      const next = readSet(answer);
      fetchedAtMs = env.monotonicMs();
      if (answer === text) return;
      keys = next;
      text = answer;
      version++;
    } catch (error) {
      onFailure({ source: url, message: messageOf(error) });
    }
  }

  /** Everybody who needs the set meanwhile waits for the same answer. */
  function ask(cooldownMs: number): Promise<void> | undefined {
    if (running === undefined && env.monotonicMs() - triedAtMs >= cooldownMs) {
      triedAtMs = env.monotonicMs();
      running = load().finally(() => (running = undefined));
    }
    return running;
  }

  function believed(): JWTVerifyGetKey | undefined {
    return env.monotonicMs() - fetchedAtMs < jwksTiming.urlStaleMs ? keys : undefined;
  }

  return {
    algorithms: pairAlgorithms,
    version: () => version,
    async refresh() {
      // Behind its back where keys are there: nobody waits for a provider that is only being asked for news.
      if (env.monotonicMs() - fetchedAtMs >= jwksTiming.urlAgeMs) void ask(jwksTiming.urlCooldownMs);
    },
    async key(header, token) {
      // Without any keys a second between tries is enough: nobody gets in, so everybody is waiting for this.
      if (believed() === undefined) await ask(1_000);
      const known = believed();
      if (known === undefined) {
        throw new TidewayError('internal', 'the keys that verify tokens could not be fetched', {
          retryMs: timing.retryMs,
        });
      }
      try {
        return await known(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        await ask(jwksTiming.urlCooldownMs);
        return (believed() ?? known)(header, token);
      }
    },
  };
}

async function fetchSet(url: string): Promise<string> {
  const response = await fetch(url, {
    headers: { accept: 'application/json, application/jwk-set+json' },
    redirect: 'error',
    signal: AbortSignal.timeout(jwksTiming.urlTimeoutMs),
  });
  if (response.status !== 200) throw new Error(`answered ${response.status}; 200 is expected`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > JWKS_BYTES_MAX) throw new Error(`answered more than ${JWKS_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
