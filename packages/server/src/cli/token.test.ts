import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { hashKey } from '../auth/api-keys.ts';
import { createJwtVerifier } from '../auth/jwt.ts';
import { nodeEnv } from '../env.ts';
import { exitCodes } from './exit-codes.ts';
import { runHere } from './testing/cli-rig.ts';

const secret = 'a secret of the tests, of 32 bytes or more';
const environment = { TIDEWAY_SECRET: secret };

describe('token', () => {
  test('makes one that a server takes, with what it was asked for', async () => {
    const { exitCode, stdout, stderr } = await runHere(
      [
        'token',
        '--user',
        'ann',
        '--ttl',
        '15m',
        '--role',
        'mod',
        '--allow',
        'chat:*:subscribe,append',
        '--allow',
        '*:history',
      ],
      { environment },
    );
    assert.equal(exitCode, exitCodes.ok);
    const token = stdout.trim();
    const verifier = await createJwtVerifier({ secret }, nodeEnv, () => {});
    const { user, roles, allow, expiresAtMs } = await verifier.verify(token);
    assert.deepEqual({ user, roles }, { user: 'ann', roles: ['mod'] });
    assert.deepEqual({ ...allow }, { 'chat:*': ['subscribe', 'append'], '*': ['history'] });
    const leftMs = expiresAtMs - Date.now();
    assert.ok(leftMs > 10 * 60_000 && leftMs < 16 * 60_000);
    assert.ok(!stderr.includes(token) && !stderr.includes(secret));
  });

  for (const [algorithm, make] of [
    ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['EdDSA', () => generateKeyPairSync('ed25519')],
    ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ] as const) {
    test(`signs with ${algorithm} where the key on stdin is one for it`, async () => {
      const { privateKey, publicKey } = make();
      const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
      const args = [
        'token',
        '--user',
        'ann',
        '--kid',
        'k1',
        '--issuer',
        'i',
        '--audience',
        'a',
        '--secret-stdin',
        '--json',
      ];
      const { stdout } = await runHere(args, { stdin: pem });
      const { token } = JSON.parse(stdout) as { readonly token: string };
      assert.deepEqual(decodeProtectedHeader(token), { alg: algorithm, typ: 'JWT', kid: 'k1' });
      const verifier = await createJwtVerifier(
        { publicKey: publicKey.export({ type: 'spki', format: 'pem' }), issuer: 'i', audience: 'a' },
        nodeEnv,
        () => {},
      );
      assert.equal((await verifier.verify(token)).user, 'ann');
    });
  }

  const refused: readonly [args: string, environment: Record<string, string>, message: RegExp][] = [
    ['--user ann', { TIDEWAY_SECRET: 'hunter2' }, /the secret has 7 bytes; HS256 needs 32 or more/],
    ['--user ann', { TIDEWAY_SECRET: '-----BEGIN NONSENSE-----' }, /no private key that can be read/],
    [
      '--user ann --allow bad',
      environment,
      /--allow: "bad" is not allowed; channels, a colon and permissions are\ntry: --al/,
    ],
    ['--user ann --allow A:append', environment, /--allow: "A:append" is not allowed; "A" is no channel glob: /],
    [
      '--user ann --allow chat:*:read',
      environment,
      /--allow: "chat:\*:read" is not allowed; "chat:\*" must have a list of subscribe, append/,
    ],
    ['--user ann --ttl 1ms', environment, /--ttl: 1ms is not allowed; a duration/],
    ['--user ann --ttl 0s', environment, /--ttl: 0s is not allowed; a duration/],
  ];
  for (const [args, variables, message] of refused) {
    test(`refuses ${args} with ${Object.values(variables)[0]?.slice(0, 12)}…`, async () => {
      const { exitCode, stdout, stderr } = await runHere(['token', ...args.split(' ')], { environment: variables });
      assert.equal(exitCode, exitCodes.usage);
      assert.equal(stdout, '');
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /hunter2/);
    });
  }
});

describe('token inspect', () => {
  const make = async (...args: string[]) =>
    (await runHere(['token', '--user', 'ann', ...args], { environment })).stdout;

  test('prints the claims, and says whether a server with this secret takes it', async () => {
    const token = await make();
    const good = await runHere(['token', 'inspect', '-'], { stdin: token, environment });
    assert.equal(good.exitCode, exitCodes.ok);
    assert.deepEqual(JSON.parse(good.stdout), decodeJwt(token.trim()));
    assert.match(good.stderr, /✓ the signature is good/);
    const other = { TIDEWAY_SECRET: 'another secret, also of 32 bytes or more' };
    const bad = await runHere(['token', 'inspect', '-', '--json'], { stdin: token, environment: other });
    assert.equal(bad.exitCode, exitCodes.checkFailed);
    assert.match(bad.stderr, /✗ /);
    assert.equal(JSON.parse(bad.stdout).claims.sub, 'ann');
    const unchecked = await runHere(['token', 'inspect', '-'], { stdin: token });
    assert.match(unchecked.stderr, /the signature was not checked/);
  });

  test('tells an expired one, and what is none', async () => {
    const parts = (await make()).trim().split('.');
    const claims = Buffer.from(JSON.stringify({ sub: 'ann', exp: 1 })).toString('base64url');
    const expired = await runHere(['token', 'inspect', '-'], { stdin: [parts[0], claims, parts[2]].join('.') });
    assert.equal(expired.exitCode, exitCodes.checkFailed);
    assert.match(expired.stderr, /✗ expired 1970-/);
    const none = await runHere(['token', 'inspect', '-'], { stdin: 'abc' });
    assert.equal(none.exitCode, exitCodes.failed);
  });
});

test('token key makes a key and the line of the configuration that knows it by its hash', async () => {
  const { stdout, stderr } = await runHere(['token', 'key', '--name', 'billing']);
  const key = stdout.trim();
  assert.match(key, /^tw_key_[\w-]{43}$/);
  assert.ok(stderr.includes(hashKey(key)) && stderr.includes('billing') && !stderr.includes(key));
});
