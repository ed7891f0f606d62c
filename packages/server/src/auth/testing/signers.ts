/**
 * Real keys and really signed tokens for tests: one signer per algorithm, with what a server needs to verify it.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type JWK, type JWTPayload, SignJWT } from 'jose';
import type { JwtAlgorithm } from '../jwks.ts';
import { HELD_START_MS } from './held-env.ts';

export interface PairSigner {
  readonly algorithm: JwtAlgorithm;
  readonly kid: string;
  readonly publicPem: string;
  readonly privatePem: string;
  readonly jwk: JWK;
  sign(claims: JWTPayload, header?: { readonly kid?: string | undefined; readonly typ?: string }): Promise<string>;
}

export const TEST_SECRET = 'a secret for tests, of more than 32 bytes';

/** Claims that every verifier accepts that does not ask for an issuer or audience: for `ann`, for ten minutes. */
export const goodClaims = { sub: 'ann', exp: HELD_START_MS / 1000 + 600 } as const;

export function signWithSecret(claims: JWTPayload, secret: string = TEST_SECRET): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
}

export function createPairSigner(algorithm: 'RS256' | 'ES256' | 'EdDSA', kid: string): PairSigner {
  const { privateKey, publicKey } = pairOf(algorithm);
  return {
    algorithm,
    kid,
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }),
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    jwk: { ...(createPublicKey(privateKey).export({ format: 'jwk' }) as JWK), kid, alg: algorithm, use: 'sig' },
    sign: (claims, header = { kid }) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: algorithm, ...(header as { kid?: string; typ?: string }) })
        .sign(privateKey),
  };
}

function pairOf(algorithm: 'RS256' | 'ES256' | 'EdDSA'): {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
} {
  if (algorithm === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return generateKeyPairSync('ed25519');
}
