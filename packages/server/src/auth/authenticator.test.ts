import assert from 'node:assert/strict';
import { mkdtempDisposable, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import * as fc from 'fast-check';
import { createKey } from './api-keys.ts';
import { type AuthOptions, createAuthenticator, type Credentials, type SessionRequest } from './authenticator.ts';
import { jwksTiming } from './jwks.ts';
import { createHeldEnv } from './testing/held-env.ts';
import { startKeyServer } from './testing/key-server.ts';
import { createPairSigner, goodClaims, signWithSecret, TEST_SECRET } from './testing/signers.ts';

const backend = createKey();

function authenticator(
  auth: AuthOptions,
  more: { env?: ReturnType<typeof createHeldEnv>; development?: boolean } = {},
) {
  return createAuthenticator({ auth, env: more.env ?? createHeldEnv(), development: more.development ?? false });
}

function withHeader(authorization: string): Credentials {
  return { headers: { authorization } };
}

describe('credentials', () => {
  const auth: AuthOptions = { jwt: { secret: TEST_SECRET }, keys: [{ name: 'billing', sha256: backend.sha256 }] };

  test('none: the client is anonymous, and has no user', async () => {
    const { authenticate } = await authenticator(auth);
    assert.deepEqual(await authenticate({ headers: {} }), { kind: 'anonymous', roles: [] });
    assert.deepEqual(await authenticate({ headers: { cookie: 'sid=1' }, cookie: 'sid=1' }), {
      kind: 'anonymous',
      roles: [],
    });
  });

  test('a JWT in hello or as Authorization: Bearer is the same user', async () => {
    const { authenticate } = await authenticator(auth);
    const token = await signWithSecret(goodClaims);
    const inHello = await authenticate({ token, headers: {} });
    assert.equal(inHello.user, 'ann');
    assert.deepEqual(await authenticate(withHeader(`Bearer ${token}`)), inHello);
    assert.deepEqual(await authenticate(withHeader(`bearer  ${token} `)), inHello);
  });

  test('an API key in hello or as Authorization: Bearer is its back end', async () => {
    const { authenticate } = await authenticator(auth);
    const identity = await authenticate({ token: backend.key, headers: {} });
    assert.deepEqual(identity, { kind: 'key', keyName: 'billing', roles: [] });
    assert.deepEqual(await authenticate(withHeader(`Bearer ${backend.key}`)), identity);
  });

  test('the token of hello wins over the header of its connection', async () => {
    const { authenticate } = await authenticator(auth);
    const token = await signWithSecret(goodClaims);
    assert.equal((await authenticate({ token, headers: { authorization: `Bearer ${backend.key}` } })).user, 'ann');
  });

  test('that are wrong never fall back to anonymous', async () => {
    const { authenticate } = await authenticator(auth);
    const wrong: Credentials[] = [
      { token: '', headers: {} },
      { token: 'letmein', headers: {} },
      { token: createKey().key, headers: {} },
      { token: backend.sha256, headers: {} },
      withHeader('Bearer'),
      withHeader('Bearer '),
      withHeader(`Bearer ${createKey().key}`),
      { token: await signWithSecret(goodClaims, 'another secret, also of more than 32 bytes'), headers: {} },
    ];
    for (const credentials of wrong) await assert.rejects(authenticate(credentials), { code: 'unauthenticated' });
  });

  test('of another scheme than Bearer are for a proxy, not for us', async () => {
    const { authenticate } = await authenticator(auth);
    assert.equal((await authenticate(withHeader('Basic YTpi'))).kind, 'anonymous');
    assert.equal((await authenticate(withHeader('BearerX y'))).kind, 'anonymous');
  });

  test('are never in the error about them', async () => {
    const { authenticate } = await authenticator(auth);
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 12 }), async (secret) => {
        for (const token of [`tw_key_${secret}`, `eyJ${secret}.eyJ${secret}.${secret}`, secret]) {
          await assert.rejects(authenticate({ token, headers: {} }), (error: TidewayError) => {
            return error.code === 'unauthenticated' && !error.message.includes(secret);
          });
        }
      }),
    );
  });

  test('a JWT without auth.jwt is refused, and says what is missing', async () => {
    const { authenticate } = await authenticator({});
    await assert.rejects(authenticate({ token: await signWithSecret(goodClaims), headers: {} }), /no auth\.jwt/);
  });

  test('in development everybody may do anything, and is still who the token says', async () => {
    const { authenticate } = await authenticator(auth, { development: true });
    assert.deepEqual(await authenticate({ headers: {} }), { kind: 'anonymous', roles: [], development: true });
    const ann = await authenticate({ token: await signWithSecret(goodClaims), headers: {} });
    assert.equal(ann.user, 'ann');
    assert.equal(ann.development, true);
    await assert.rejects(authenticate({ token: 'wrong', headers: {} }), { code: 'unauthenticated' });
  });
});

describe('tokens verified before', () => {
  test('are remembered: the same identity, without verifying again', async () => {
    const { authenticate } = await authenticator({ jwt: { secret: TEST_SECRET } });
    const token = await signWithSecret(goodClaims);
    const [a, b] = await Promise.all([authenticate({ token, headers: {} }), authenticate({ token, headers: {} })]);
    assert.equal(a, b, 'two at once share one verification');
    assert.equal(await authenticate({ token, headers: {} }), a);
    const other = await signWithSecret({ ...goodClaims, jti: 'other' });
    assert.notEqual(await authenticate({ token: other, headers: {} }), a);
  });

  test('are forgotten when they expire', async () => {
    const env = createHeldEnv();
    const { authenticate } = await authenticator({ jwt: { secret: TEST_SECRET } }, { env });
    const token = await signWithSecret(goodClaims);
    const { expiresAtMs = 0 } = await authenticate({ token, headers: {} });
    env.advance(expiresAtMs - env.now() - 1);
    await authenticate({ token, headers: {} });
    env.advance(1);
    await assert.rejects(authenticate({ token, headers: {} }), { code: 'token_expired' });
    env.stepWallClock(-1_000);
    await authenticate({ token, headers: {} });
  });

  test('count no longer when their key has left the file', async (t) => {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-auth-'));
    t.after(() => folder.remove());
    const path = join(folder.path, 'jwks.json');
    const [old, fresh] = [createPairSigner('EdDSA', 'old'), createPairSigner('EdDSA', 'fresh')];
    await writeFile(path, JSON.stringify({ keys: [old.jwk, fresh.jwk] }));
    const env = createHeldEnv();
    const { authenticate } = await authenticator({ jwt: { jwks: path } }, { env });
    const token = await old.sign(goodClaims);
    await authenticate({ token, headers: {} });
    await writeFile(`${path}.new`, JSON.stringify({ keys: [fresh.jwk] }));
    await rename(`${path}.new`, path);
    env.advance(jwksTiming.fileCheckMs);
    await assert.rejects(authenticate({ token, headers: {} }), /no key of the JWK set fits/);
    await authenticate({ token: await fresh.sign(goodClaims), headers: {} });
  });

  test('still serve while the provider of the keys is down', async (t) => {
    const server = await startKeyServer();
    t.after(() => server.close());
    const signer = createPairSigner('RS256', 'k1');
    server.answer(JSON.stringify({ keys: [signer.jwk] }));
    const { authenticate } = await authenticator({ jwt: { jwks: server.url, audience: 'chat' } });
    const token = await signer.sign({ ...goodClaims, aud: 'chat' });
    await authenticate({ token, headers: {} });
    await server.close();
    assert.equal((await authenticate({ token, headers: {} })).user, 'ann');
  });
});

describe('the session hook', () => {
  test('is asked with cookie, headers and address, where there is no token', async () => {
    const asked: SessionRequest[] = [];
    const { authenticate } = await authenticator({
      jwt: { secret: TEST_SECRET },
      session: (request) => {
        asked.push(request);
        return { user: 'bob', roles: ['member'], allow: { 'chat:*': ['subscribe'] }, expiresInMs: 60_000 };
      },
    });
    const headers = { cookie: 'sid=1', 'x-forwarded-user': 'bob' };
    const identity = await authenticate({ cookie: 'sid=1', headers, remoteAddress: '192.0.2.1' });
    assert.deepEqual(asked, [{ cookie: 'sid=1', headers, remoteAddress: '192.0.2.1' }]);
    assert.deepEqual(
      { ...identity, allow: { ...identity.allow } },
      {
        kind: 'user',
        user: 'bob',
        roles: ['member'],
        allow: { 'chat:*': ['subscribe'] },
        expiresAtMs: createHeldEnv().now() + 60_000,
      },
    );
    await authenticate({ token: await signWithSecret(goodClaims), cookie: 'sid=1', headers });
    assert.equal(asked.length, 1, 'a token needs no session');
  });

  test('sees no cookie that the page behind the request may not use', async () => {
    const { authenticate } = await authenticator({
      session: ({ cookie, headers }) => ((cookie ?? headers.cookie) === undefined ? undefined : { user: 'bob' }),
    });
    assert.equal((await authenticate({ headers: { cookie: 'sid=1' } })).kind, 'anonymous');
    assert.equal((await authenticate({ cookie: 'sid=1', headers: { cookie: 'sid=1' } })).user, 'bob');
  });

  test('ends its sessions after half an hour where it does not say when', async () => {
    const { authenticate } = await authenticator({ session: () => ({ user: 'bob' }) });
    const { expiresAtMs = 0 } = await authenticate({ headers: {} });
    assert.equal(expiresAtMs - createHeldEnv().now(), 1_800_000);
  });

  test('that knows nobody leaves the client anonymous', async () => {
    for (const answer of [undefined, null]) {
      const { authenticate } = await authenticator({ session: async () => answer as undefined });
      assert.equal((await authenticate({ headers: {} })).kind, 'anonymous');
    }
  });

  test('may refuse with a code of its own', async () => {
    const session = () => Promise.reject(new TidewayError('forbidden', 'this account is locked'));
    const { authenticate } = await authenticator({ session });
    await assert.rejects(authenticate({ headers: {} }), { code: 'forbidden', message: 'this account is locked' });
  });

  test('that throws, or answers with nonsense, is a fault to be tried again, told without its words', async () => {
    const hooks: NonNullable<AuthOptions['session']>[] = [
      () => {
        throw new Error('password=hunter2');
      },
      () => Promise.reject(new Error('password=hunter2')),
      () => ({ user: '' }),
      () => ({ user: 42 as never }),
      () => ({ user: 'x'.repeat(256) }),
      () => ({ user: 'bob', roles: 'hunter2' as never }),
      () => ({ user: 'bob', allow: { '*': ['hunter2' as never] } }),
      () => ({ user: 'bob', expiresInMs: Number.NaN }),
    ];
    for (const session of hooks) {
      const { authenticate } = await authenticator({ session });
      await assert.rejects(authenticate({ headers: {} }), (error: TidewayError) => {
        return (
          error.code === 'internal' &&
          error.retryMs !== undefined &&
          !error.message.includes('hunter2') &&
          error.cause !== undefined
        );
      });
    }
  });

  test('that never answers is given up after five seconds', async () => {
    const env = createHeldEnv();
    const { authenticate } = await authenticator({ session: () => new Promise(() => {}) }, { env });
    const answer = authenticate({ headers: {} });
    const settled = assert.rejects(answer, { code: 'internal' });
    env.advance(5_000);
    await settled;
  });
});
