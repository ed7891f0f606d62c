/**
 * Verifies JWTs (RFC 7519, with the advice of RFC 8725): an explicit list of algorithms, each bound to its kind of key;
 * expiry and subject required. Turns claims into an identity; the token itself is not kept.
 */
import { readFile } from 'node:fs/promises';
import { limits, TidewayError } from '@tideway/protocol';
import { errors, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from 'jose';
import type { Env } from '../env.ts';
import { parseAllow } from './allow.ts';
import { describeRoles, type Identity, isRoles, isUser } from './identity.ts';
import {
  type JwtAlgorithm,
  jwksFileSource,
  jwksUrlSource,
  type KeySource,
  type OnJwksFailure,
  publicKeySource,
  secretSource,
} from './jwks.ts';
import { isLoopback } from './origin.ts';
import { createTurnstile } from './turnstile.ts';

export interface JwtOptions {
  /** HS256: a secret of at least 32 bytes, shared with whoever issues the tokens. One of these three is needed. */
  readonly secret?: string | undefined;
  /** RS256, ES256 or EdDSA, by its type: a public key or certificate in PEM. */
  readonly publicKey?: string | undefined;
  /** RS256, ES256 or EdDSA: the URL or the file of a JWK set. */
  readonly jwks?: string | undefined;
  /** Which of the algorithms that the key can have are accepted. Default: all of them. */
  readonly algorithms?: readonly JwtAlgorithm[] | undefined;
  /** `iss` must be this, or one of these. */
  readonly issuer?: string | readonly string[] | undefined;
  /** `aud` must have this, or one of these. */
  readonly audience?: string | readonly string[] | undefined;
  /** The header's `typ` must be this, such as `at+jwt` (RFC 9068). Default: not looked at. */
  readonly type?: string | undefined;
  /** How far the issuer's clock may be off. Default 5 s. */
  readonly clockToleranceMs?: number | undefined;
}

export interface JwtVerifier {
  readonly source: KeySource;
  /** @throws TidewayError `token_expired`, `unauthenticated`, or `internal` when there are no keys to verify with */
  verify(token: string): Promise<Identity & { readonly user: string; readonly expiresAtMs: number }>;
}

/** A header line of this size passes every common proxy. */
export const TOKEN_BYTES_MAX = 8 * 1024;
/**
 * Signatures that are verified at once. They use the threads that write the log; when thousands reconnect, those must
 * not stand in line behind thousands of signatures.
 */
const VERIFYING_MAX = 2;
const CLOCK_TOLERANCE_MS = 5_000;

export async function createJwtVerifier(options: JwtOptions, env: Env, onFailure: OnJwksFailure): Promise<JwtVerifier> {
  const source = await openSource(options, env, onFailure);
  const algorithms = options.algorithms ?? source.algorithms;
  const impossible = algorithms.find((algorithm) => !source.algorithms.includes(algorithm));
  if (impossible !== undefined) {
    throw new RangeError(
      `auth.jwt.algorithms has ${impossible}; with this key only ${source.algorithms.join(', ')} can be allowed`,
    );
  }
  const toleranceMs = options.clockToleranceMs ?? CLOCK_TOLERANCE_MS;
  const checks: JWTVerifyOptions = {
    algorithms: [...algorithms],
    clockTolerance: toleranceMs / 1000,
    requiredClaims: ['exp', 'sub'],
    ...(options.issuer !== undefined && { issuer: listOf(options.issuer) }),
    ...(options.audience !== undefined && { audience: listOf(options.audience) }),
    ...(options.type !== undefined && { typ: options.type }),
  };

  const turnstile = createTurnstile(VERIFYING_MAX);

  async function payloadOf(token: string): Promise<JWTPayload> {
    const now: JWTVerifyOptions = { ...checks, currentDate: new Date(env.now()) };
    let leave = (): void => {};
    const key: JWTVerifyGetKey = async (header, input) => {
      // Waiting for a provider's keys takes no place: only the signature does.
      const found = await source.key(header, input);
      leave = await turnstile.enter();
      return found;
    };
    try {
      return (await jwtVerify(token, key, now)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      leave = await turnstile.enter();
      return await anyOf(error, token, now);
    } finally {
      leave();
    }
  }

  return {
    source,
    async verify(token) {
      if (token.length > TOKEN_BYTES_MAX) {
        throw refused(`it has ${token.length} characters; at most ${TOKEN_BYTES_MAX} are allowed`);
      }
      try {
        return identityOf(await payloadOf(token), toleranceMs);
      } catch (error) {
        throw explain(error, algorithms);
      }
    },
  };
}

/** A token without `kid`: any of the keys that fit may have signed it. */
async function anyOf(
  keys: errors.JWKSMultipleMatchingKeys,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTPayload> {
  for await (const key of keys) {
    try {
      return (await jwtVerify(token, key, options)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

async function openSource(options: JwtOptions, env: Env, onFailure: OnJwksFailure): Promise<KeySource> {
  const { secret, publicKey, jwks } = options;
  if ([secret, publicKey, jwks].filter((value) => value !== undefined).length !== 1) {
    throw new RangeError('auth.jwt needs exactly one of secret, publicKey and jwks');
  }
  if (secret !== undefined) return secretSource(secret);
  if (publicKey !== undefined) return publicKeySource(await pemOf(publicKey));
  const place = jwks as string;
  if (!/^[a-z][a-z0-9+.-]+:\/\//i.test(place)) return fileSource(place, env, onFailure);
  checkUrl(place);
  if (options.issuer === undefined && options.audience === undefined) {
    throw new RangeError(
      'auth.jwt.issuer or auth.jwt.audience is needed with the JWK set of a provider: it signs for others too',
    );
  }
  return jwksUrlSource(place, env, onFailure);
}

async function pemOf(pemOrPath: string): Promise<string> {
  if (pemOrPath.includes('-----BEGIN')) return pemOrPath;
  try {
    return await readFile(pemOrPath, 'utf8');
  } catch (cause) {
    throw new RangeError(`auth.jwt.publicKey: ${pemOrPath} is no PEM text, and cannot be read as a file`, { cause });
  }
}

async function fileSource(path: string, env: Env, onFailure: OnJwksFailure): Promise<KeySource> {
  try {
    return await jwksFileSource(path, env, onFailure);
  } catch (cause) {
    throw new RangeError(`auth.jwt.jwks: ${path} is no readable JWK set`, { cause });
  }
}

/** Whoever can change the answer of the URL can sign for anybody. */
function checkUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))) return;
  throw new RangeError(`auth.jwt.jwks: ${text} is not allowed; https:// is needed (http:// on this machine only)`);
}

function listOf(value: string | readonly string[]): string[] {
  return typeof value === 'string' ? [value] : [...value];
}

function identityOf(
  payload: JWTPayload,
  toleranceMs: number,
): Identity & { readonly user: string; readonly expiresAtMs: number } {
  const { sub, exp, roles, allow } = payload;
  if (!isUser(sub)) throw refused(`"sub" must be a text of 1–${limits.userBytes} bytes`);
  if (roles !== undefined && !isRoles(roles)) throw refused(`"roles": ${describeRoles}`);
  return {
    kind: 'user',
    user: sub,
    roles: roles ?? [],
    // jwtVerify has seen to it that there is a number.
    expiresAtMs: (exp as number) * 1000 + toleranceMs,
    ...(allow !== undefined && { allow: readAllow(allow) }),
  };
}

function readAllow(claim: unknown): ReturnType<typeof parseAllow> {
  try {
    return parseAllow(claim);
  } catch (error) {
    throw refused((error as RangeError).message);
  }
}

function refused(why: string): TidewayError {
  return new TidewayError('unauthenticated', `the token is refused: ${why}`);
}

/** Says which check failed, never with which value: what stands in a token is the bearer's own. */
function explain(error: unknown, algorithms: readonly JwtAlgorithm[]): TidewayError {
  if (error instanceof TidewayError) return error;
  if (error instanceof errors.JWTExpired) return new TidewayError('token_expired', 'the token has expired');
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return refused(`"${error.claim}" is missing`);
    return refused(`"${error.claim}" is not what this server expects`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return refused(`its algorithm is not one of ${algorithms.join(', ')}`);
  if (error instanceof errors.JWKSNoMatchingKey) return refused('no key of the JWK set fits its "kid" and "alg"');
  if (error instanceof errors.JWSSignatureVerificationFailed) return refused('its signature is not valid');
  if (error instanceof errors.JOSEError || error instanceof TypeError)
    return refused('it is not a well-formed signed JWT');
  return new TidewayError('internal', 'the token could not be verified', { cause: error, retryMs: 1_000 });
}
