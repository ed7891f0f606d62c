import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createJwtVerifier, type JwtOptions } from './jwt.ts';
import { createHeldEnv } from './testing/held-env.ts';
import { createPairSigner, goodClaims, TEST_SECRET } from './testing/signers.ts';

const [rsa, ec] = [createPairSigner('RS256', 'rsa'), createPairSigner('ES256', 'ec')];

function verifier(options: JwtOptions) {
  return createJwtVerifier(options, createHeldEnv(), () => {});
}

describe('options that are refused at start', () => {
  const spki = { type: 'spki', format: 'pem' } as const;
  const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).publicKey.export(spki);
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export(spki);
  const table: readonly [string, () => JwtOptions, RegExp][] = [
    ['no key at all', () => ({}), /exactly one of secret, publicKey and jwks/],
    ['two keys', () => ({ secret: TEST_SECRET, publicKey: rsa.publicPem }), /exactly one of/],
    ['a secret that is too short', () => ({ secret: 'x'.repeat(31) }), /31 bytes; HS256 needs at least 32/],
    ['a private key', () => ({ publicKey: rsa.privatePem }), /is a private key/],
    ['a curve that ES256 does not have', () => ({ publicKey: p384 }), /is of type ec/],
    ['RSA of 1,024 bits', () => ({ publicKey: weak }), /1024 bits; RS256 needs at least 2,048/],
    [
      'PEM that is none',
      () => ({ publicKey: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----' }),
      /not a PEM public key/,
    ],
    ['a file that is not there', () => ({ publicKey: './no-such-key.pem' }), /no-such-key\.pem.*cannot be read/],
    ['a JWK set that is not there', () => ({ jwks: './no-such-set.json' }), /no-such-set\.json is no readable JWK set/],
    [
      'HS256 with a public key',
      () => ({ publicKey: rsa.publicPem, algorithms: ['HS256'] }),
      /has HS256; with this key only RS256/,
    ],
    [
      'HS256 with a JWK set',
      () => ({ jwks: 'https://id.example/jwks', issuer: 'x', algorithms: ['HS256'] }),
      /has HS256/,
    ],
    [
      'RS256 with a secret',
      () => ({ secret: TEST_SECRET, algorithms: ['RS256'] }),
      /has RS256; with this key only HS256/,
    ],
    [
      'a JWK set on the network without TLS',
      () => ({ jwks: 'http://id.example/jwks', issuer: 'x' }),
      /https:\/\/ is needed/,
    ],
    [
      'a provider’s JWK set, and no issuer or audience',
      () => ({ jwks: 'https://id.example/jwks' }),
      /issuer or auth\.jwt\.audience is needed/,
    ],
  ];
  for (const [what, options, message] of table) {
    test(what, async () => {
      await assert.rejects(
        async () => verifier(options()),
        (error: Error) => {
          assert.match(error.message, message);
          assert.ok(error instanceof RangeError);
          assert.doesNotMatch(error.message, /PRIVATE|xxxx|a secret for tests/);
          return true;
        },
      );
    });
  }

  test('a public key may be the path of its file', async (t) => {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-jwt-'));
    t.after(() => folder.remove());
    const path = join(folder.path, 'key.pem');
    await writeFile(path, ec.publicPem);
    const jwt = await verifier({ publicKey: path });
    assert.equal((await jwt.verify(await ec.sign(goodClaims))).user, 'ann');
  });
});
