import assert from 'node:assert/strict';
import { readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { createDevCertificate } from '../auth/dev-certificate.ts';
import type { ServerOptions } from '../ops/config.ts';
import { ConfigError } from '../ops/config-values.ts';
import { createServer } from '../server.ts';
import { exitCodes } from './exit-codes.ts';
import { runHere, temporaryFolder } from './testing/cli-rig.ts';

async function folderWith(t: TestContext, config: string): Promise<string> {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'tideway.config.mjs'), config);
  return folder;
}

test('config print shows each value with its origin, and no secret', async (t) => {
  const folder = await folderWith(t, `export default { port: 7000, pingMs: 5_000, auth: { jwt: { issuer: 'i' } } };`);
  const environment = {
    TIDEWAY_PING_MS: '6s',
    TIDEWAY_AUTH_JWT_SECRET: 'hunter2hunter2hunter2hunter2hunter2',
    TIDEWAY_LOG: 'nats://ann:hunter2@broker/tideway',
  };
  const call = ['config', 'print', '--drain-ms', '7s'];
  const { exitCode, stdout } = await runHere(call, { folder, environment });
  assert.equal(exitCode, exitCodes.ok);
  assert.match(stdout, /^host +127\.0\.0\.1 +default$/m);
  assert.match(stdout, /^port +7000 +.*tideway\.config\.mjs$/m);
  assert.match(stdout, /^pingMs +6 s +TIDEWAY_PING_MS$/m);
  assert.match(stdout, /^drainMs +7 s +--drain-ms$/m);
  assert.match(stdout, /^auth\.jwt\.secret +\(set, not shown\) +TIDEWAY_AUTH_JWT_SECRET$/m);
  assert.match(stdout, /^log +nats:\/\/\*\*\*@broker\/tideway +TIDEWAY_LOG$/m);
  assert.doesNotMatch(stdout, /hunter2/);
  const json = await runHere([...call, '--json'], { folder, environment });
  const lines = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, string>);
  assert.deepEqual(
    lines.find(({ key }) => key === 'pingMs'),
    { key: 'pingMs', value: '6 s', origin: 'TIDEWAY_PING_MS' },
  );
  assert.doesNotMatch(json.stdout, /hunter2/);
});

describe('config check', () => {
  test('takes what is right, with its certificate', async (t) => {
    const folder = await folderWith(
      t,
      `export default { tls: { cert: new URL('./dev-cert.pem', import.meta.url).pathname, key: new URL('./dev-key.pem', import.meta.url).pathname },
        namespaces: { chat: { subscribe: 'user' } } };`,
    );
    const missing = await runHere(['config', 'check'], { folder });
    assert.equal(missing.exitCode, exitCodes.usage);
    assert.match(missing.stderr, /dev-(cert|key)\.pem/);
    await createDevCertificate(folder);
    const { exitCode, stdout } = await runHere(['config', 'check'], { folder });
    assert.equal(exitCode, exitCodes.ok);
    assert.match(stdout, /is right; namespaces: chat$/m);
  });

  const wrong: readonly [config: string, messages: readonly RegExp[]][] = [
    [
      `{ pingMs: 1, namespaces: { chat: { subscribe: 'users' }, $x: {} }, limits: { records: 1 } }`,
      [
        /pingMs: 1 is/,
        /namespaces\.chat\.subscribe: "users"/,
        /namespaces\.\$x/,
        /limits\.records: there is no such setting/,
      ],
    ],
    [
      `{ auth: { keys: [{ name: 'a', sha256: 'tw_key_x' }] } }`,
      [/auth\.keys\[0\]\.sha256: the SHA-256 of the key is needed/],
    ],
    [`{ auth: { jwt: { secret: 5 } } }`, [/auth\.jwt\.secret: the value given \(not shown\) is not allowed/]],
    [`{ auth: { jwt: { secret: 'short' } } }`, [/^error: auth\.jwt\.secret has 5 bytes; HS256 needs at least 32/m]],
    [`{ auth: { jwt: { secret: 'x'.repeat(32), jwks: 'https://a' } } }`, [/exactly one of secret, publicKey and jwks/]],
    [`{ auth: { jwt: { jwks: 'http://a.example', issuer: 'a' } } }`, [/jwks: http:\/\/a\.example is not allowed/]],
    [`{ auth: { jwt: { jwks: 'https://a.example' } } }`, [/auth\.jwt\.issuer or auth\.jwt\.audience is needed/]],
    [
      `{ auth: { jwt: { publicKey: './none.pem' } }, tls: { cert: 'c.pem', key: 'k.pem' }, data: '/dev/null' }`,
      [
        /publicKey: \.\/none\.pem is no PEM text/,
        /tls\.cert: c\.pem cannot be read/,
        /data: "\/dev\/null" is not allowed/,
      ],
    ],
  ];
  for (const [config, messages] of wrong) {
    test(`tells all that is wrong with ${config}`, async (t) => {
      const folder = await folderWith(t, `export default ${config};`);
      const { exitCode, stderr } = await runHere(['config', 'check'], { folder });
      assert.equal(exitCode, exitCodes.usage);
      for (const message of messages) assert.match(stderr, message);
    });

    test(`as a server that is to be made with it does: ${config}`, async () => {
      // What stands here is what the file would hold.
      const { default: options } = (await import(
        `data:text/javascript,export default ${encodeURIComponent(config)}`
      )) as {
        readonly default: ServerOptions;
      };
      await assert.rejects(createServer(options), (error: Error) => {
        assert.ok(error instanceof ConfigError);
        for (const message of messages) assert.match(`error: ${error.message}`, message);
        return true;
      });
    });
  }

  test('without a file says that there is none, and that the rest is right', async (t) => {
    const folder = await temporaryFolder(t);
    const nothing = await runHere(['config', 'check'], { folder });
    assert.equal(nothing.exitCode, exitCodes.ok);
    assert.match(nothing.stdout, /^✓ there is no configuration file, and the defaults are right; namespaces: none, so/);
    const flag = await runHere(['config', 'check', '--port', '1'], { folder });
    assert.match(flag.stdout, /^✓ there is no configuration file, and variables and flags are right; namespaces: none/);
    assert.deepEqual(JSON.parse((await runHere(['config', 'check', '--json'], { folder })).stdout), {
      ok: true,
      namespaces: [],
    });
  });

  test('says what cannot be the data folder, and makes none', async (t) => {
    const folder = await temporaryFolder(t);
    const path = (name: string): string => join(folder, name);
    await writeFile(path('file'), '');
    await symlink('nowhere', path('link'));
    const table: readonly [given: readonly string[], message: RegExp][] = [
      [['--data', path('file')], /data: ".*file" is not allowed, it is a file; a folder is, or a place where one can/],
      [['--data', path('file/below')], /data: ".*below" is not allowed, it cannot be made \(ENOTDIR: /],
      [['--data', path('link')], /data: ".*link" is not allowed, it is a link that leads nowhere; a folder is/],
      [['--log', path('file')], /log: ".*file" is not allowed, it is a file/],
      [['--log', `file:${path('file')}`, '--data', path('new')], /log: ".*file" is not allowed, it is a file/],
    ];
    for (const [given, message] of table) {
      const { exitCode, stderr } = await runHere(['config', 'check', ...given], { folder });
      assert.equal(exitCode, exitCodes.usage);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split('\n').length, 1);
    }
    assert.equal((await runHere(['config', 'check', '--data', path('new')], { folder })).exitCode, exitCodes.ok);
    assert.deepEqual((await readdir(folder)).sort(), ['file', 'link']);
  });
});
