import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isCode, TidewayError } from '@tideway/protocol';
import * as fc from 'fast-check';
import { base64url, CompactSign, UnsecuredJWT } from 'jose';
import { createJwtVerifier, type JwtOptions, TOKEN_BYTES_MAX } from './jwt.ts';
import { createHeldEnv, HELD_START_MS } from './testing/held-env.ts';
import { createPairSigner, goodClaims, signWithSecret, TEST_SECRET } from './testing/signers.ts';

const signers = (['RS256', 'ES256', 'EdDSA'] as const).map((algorithm) =>
  createPairSigner(algorithm, `k-${algorithm}`),
);
const [rsa, ec] = signers as [ReturnType<typeof createPairSigner>, ReturnType<typeof createPairSigner>];
const START_S = HELD_START_MS / 1000;

function verifier(options: JwtOptions, env = createHeldEnv()) {
  return createJwtVerifier(options, env, () => {});
}

async function refuses(options: JwtOptions, token: string, message: RegExp, code = 'unauthenticated'): Promise<void> {
  const jwt = await verifier(options);
  await assert.rejects(jwt.verify(token), (error: TidewayError) => {
    assert.ok(error instanceof TidewayError);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.ok(token.length < 10 || !error.message.includes(token.slice(0, 30)), 'the message holds the token');
    return true;
  });
}

describe('tokens that are accepted', () => {
  test('HS256 by its secret', async () => {
    const jwt = await verifier({ secret: TEST_SECRET });
    const identity = await jwt.verify(
      await signWithSecret({ ...goodClaims, roles: ['member'], allow: { 'chat:*': ['append'] } }),
    );
    assert.equal(identity.kind, 'user');
    assert.equal(identity.user, 'ann');
    assert.deepEqual(identity.roles, ['member']);
    assert.deepEqual({ ...identity.allow }, { 'chat:*': ['append'] });
    assert.equal(identity.expiresAtMs, goodClaims.exp * 1000 + 5_000, 'expiry and the clock tolerance');
  });

  for (const signer of signers) {
    test(`${signer.algorithm} by its public key in PEM, and by a JWK set`, async (t) => {
      const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-jwt-'));
      t.after(() => folder.remove());
      const jwks = join(folder.path, 'jwks.json');
      await writeFile(jwks, JSON.stringify({ keys: [signer.jwk] }));
      const token = await signer.sign(goodClaims);
      for (const options of [{ publicKey: signer.publicPem }, { jwks }]) {
        const jwt = await verifier(options);
        assert.equal((await jwt.verify(token)).user, 'ann');
      }
    });
  }

  test('without kid, when one of several keys of the set has signed it', async (t) => {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-jwt-'));
    t.after(() => folder.remove());
    const others = [createPairSigner('ES256', 'a'), createPairSigner('ES256', 'b'), ec];
    const jwks = join(folder.path, 'jwks.json');
    await writeFile(jwks, JSON.stringify({ keys: others.map(({ jwk }) => jwk) }));
    const jwt = await verifier({ jwks });
    for (const signer of others) assert.equal((await jwt.verify(await signer.sign(goodClaims, {}))).user, 'ann');
    const stranger = createPairSigner('ES256', 'stranger');
    await assert.rejects(jwt.verify(await stranger.sign(goodClaims, {})), /its signature is not valid/);
  });

  test('of one of several issuers, for one of several audiences', async () => {
    const options = {
      secret: TEST_SECRET,
      issuer: ['https://a.example', 'https://b.example'],
      audience: ['chat', 'feed'],
    };
    const jwt = await verifier(options);
    const claims = { ...goodClaims, iss: 'https://b.example', aud: ['else', 'feed'] };
    assert.equal((await jwt.verify(await signWithSecret(claims))).user, 'ann');
  });

  test('with the typ that is asked for', async () => {
    const jwt = await verifier({ publicKey: ec.publicPem, type: 'at+jwt' });
    assert.equal((await jwt.verify(await ec.sign(goodClaims, { typ: 'at+jwt' }))).user, 'ann');
  });

  test('within the clock tolerance, before nbf and after exp', async () => {
    const jwt = await verifier({ secret: TEST_SECRET, clockToleranceMs: 10_000 });
    const token = await signWithSecret({ sub: 'ann', nbf: START_S + 9, exp: START_S - 9 });
    assert.equal((await jwt.verify(token)).expiresAtMs, HELD_START_MS - 9_000 + 10_000);
  });
});

describe('tokens that are refused', () => {
  const byPem = { publicKey: rsa.publicPem };
  const table: readonly [string, JwtOptions, () => Promise<string> | string, RegExp, string?][] = [
    ['expired', byPem, () => rsa.sign({ sub: 'ann', exp: START_S - 6 }), /has expired/, 'token_expired'],
    ['not valid yet', byPem, () => rsa.sign({ ...goodClaims, nbf: START_S + 6 }), /"nbf"/],
    ['without exp', byPem, () => rsa.sign({ sub: 'ann' }), /"exp" is missing/],
    ['without sub', byPem, () => rsa.sign({ exp: goodClaims.exp }), /"sub" is missing/],
    ['with an empty sub', byPem, () => rsa.sign({ ...goodClaims, sub: '' }), /"sub" must be a text of 1–255 bytes/],
    ['with a sub of 256 bytes', byPem, () => rsa.sign({ ...goodClaims, sub: 'é'.repeat(128) }), /"sub" must be/],
    ['with half a character in sub', byPem, () => rsa.sign({ ...goodClaims, sub: '\ud800' }), /"sub" must be/],
    ['with roles that are a text', byPem, () => rsa.sign({ ...goodClaims, roles: 'admin' }), /"roles": a list/],
    [
      'with an allow that is a list',
      byPem,
      () => rsa.sign({ ...goodClaims, allow: ['chat:*'] }),
      /allow must be an object/,
    ],
    ['with an allow of null', byPem, () => rsa.sign({ ...goodClaims, allow: null }), /allow must be an object/],
    [
      'with an unknown permission',
      byPem,
      () => rsa.sign({ ...goodClaims, allow: { '*': ['read'] } }),
      /must have a list of/,
    ],
    [
      'of another issuer',
      { ...byPem, issuer: 'https://a.example' },
      () => rsa.sign({ ...goodClaims, iss: 'https://a.example.evil' }),
      /"iss" is not/,
    ],
    ['without issuer', { ...byPem, issuer: 'https://a.example' }, () => rsa.sign(goodClaims), /"iss" is missing/],
    [
      'for another audience',
      { ...byPem, audience: 'chat' },
      () => rsa.sign({ ...goodClaims, aud: ['mail', 'chatter'] }),
      /"aud" is not/,
    ],
    ['without audience', { ...byPem, audience: 'chat' }, () => rsa.sign(goodClaims), /"aud" is missing/],
    ['of another typ', { ...byPem, type: 'at+jwt' }, () => rsa.sign(goodClaims, { typ: 'JWT' }), /"typ" is not/],
    [
      'of a key that is not ours',
      byPem,
      () => createPairSigner('RS256', rsa.kid).sign(goodClaims),
      /signature is not valid/,
    ],
    ['of another algorithm', byPem, () => ec.sign(goodClaims), /algorithm is not one of RS256/],
    [
      'of an algorithm that is not listed',
      { ...byPem, algorithms: ['RS256'] },
      () => ec.sign(goodClaims),
      /not one of RS256/,
    ],
    [
      'signed by nobody (alg none)',
      byPem,
      () => new UnsecuredJWT(goodClaims).encode(),
      /not one of RS256|not a well-formed/,
    ],
    ['that are empty', byPem, () => '', /not a well-formed/],
    ['that are no JWT', byPem, () => 'letmein', /not a well-formed/],
    ['too long', byPem, () => 'x'.repeat(TOKEN_BYTES_MAX + 1), /at most 8192/],
  ];
  for (const [what, options, make, message, code] of table) {
    test(what, async () => refuses(options, await make(), message, code));
  }

  test('whose public key was used as an HS256 secret (algorithm confusion), by PEM, DER and JWK', async (t) => {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-jwt-'));
    t.after(() => folder.remove());
    const jwks = join(folder.path, 'jwks.json');
    await writeFile(jwks, JSON.stringify({ keys: [rsa.jwk] }));
    const der = Buffer.from(rsa.publicPem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    for (const secret of [rsa.publicPem, rsa.publicPem.trim(), der, JSON.stringify(rsa.jwk), rsa.jwk.n as string]) {
      const forged = await new CompactSign(Buffer.from(JSON.stringify(goodClaims)))
        .setProtectedHeader({ alg: 'HS256', kid: rsa.kid })
        .sign(Buffer.from(secret));
      await refuses({ publicKey: rsa.publicPem }, forged, /algorithm is not one of RS256/);
      await refuses({ jwks }, forged, /algorithm is not one of RS256, ES256, EdDSA/);
    }
  });

  test('that bring their own key, by jwk, jku or x5u in the header', async () => {
    const stranger = createPairSigner('RS256', 'stranger');
    const header = { alg: 'RS256', jwk: stranger.jwk, jku: 'http://127.0.0.1:1/keys', x5u: 'http://127.0.0.1:1/cert' };
    const forged = await new CompactSign(Buffer.from(JSON.stringify(goodClaims)))
      .setProtectedHeader(header)
      .sign(createPrivateKey(stranger.privatePem));
    await refuses({ publicKey: rsa.publicPem }, forged, /signature is not valid/);
  });

  test('with a critical header that nobody here understands', async () => {
    const token = await new CompactSign(Buffer.from(JSON.stringify(goodClaims)))
      .setProtectedHeader({ alg: 'RS256', crit: ['b64'], b64: true })
      .sign(createPrivateKey(rsa.privatePem), { crit: { b64: true } });
    await refuses(
      { publicKey: rsa.publicPem },
      token.replace(/^[^.]+/, base64url.encode('{"alg":"RS256","crit":["x"],"x":1}')),
      /not a well-formed/,
    );
  });

  test('changed in any one place', async () => {
    const jwt = await verifier({ secret: TEST_SECRET });
    const token = await signWithSecret(goodClaims);
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(...Array.from('AZaz09-_.')), async (at, character) => {
        fc.pre(token[at] !== character);
        const changed = token.slice(0, at) + character + token.slice(at + 1);
        // The last character of a base64url text may have bits that no byte of the signature has.
        const isSameBytes = base64urlBytes(changed) === base64urlBytes(token);
        fc.pre(!isSameBytes);
        await assert.rejects(jwt.verify(changed), { code: 'unauthenticated' });
      }),
    );
  });

  test('whatever they are: the answer is always a code of the table', async () => {
    const jwt = await verifier({ publicKey: ec.publicPem });
    const header = fc.jsonValue().map((value) => base64url.encode(JSON.stringify(value)));
    const shaped = fc
      .tuple(fc.oneof(header, fc.string()), fc.oneof(header, fc.string()), fc.string())
      .map((parts) => parts.join('.'));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), shaped), async (token) => {
        await assert.rejects(
          jwt.verify(token),
          (error: TidewayError) =>
            error instanceof TidewayError && isCode(error.code) && error.code === 'unauthenticated',
        );
      }),
    );
  });
});

function base64urlBytes(token: string): string {
  return token
    .split('.')
    .map((part) => Buffer.from(part, 'base64url').toString('hex'))
    .join('.');
}
