import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { createDevCertificate } from '../auth/dev-certificate.ts';
import { exitCodes } from './exit-codes.ts';
import { runHere, temporaryFolder } from './testing/cli-rig.ts';

async function folderWith(t: TestContext, config: string): Promise<string> {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'tideway.config.mjs'), config);
  return folder;
}

test('config print shows each value with its origin, and no secret', async (t) => {
  const folder = await folderWith(t, `export default { port: 7000, pingMs: 5_000, auth: { jwt: { issuer: 'i' } } };`);
  const environment = { TIDEWAY_PING_MS: '6s', TIDEWAY_AUTH_JWT_SECRET: 'hunter2hunter2hunter2hunter2hunter2' };
  const call = ['config', 'print', '--drain-ms', '7s'];
  const { exitCode, stdout } = await runHere(call, { folder, environment });
  assert.equal(exitCode, exitCodes.ok);
  assert.match(stdout, /^host +127\.0\.0\.1 +default$/m);
  assert.match(stdout, /^port +7000 +.*tideway\.config\.mjs$/m);
  assert.match(stdout, /^pingMs +6 s +TIDEWAY_PING_MS$/m);
  assert.match(stdout, /^drainMs +7 s +--drain-ms$/m);
  assert.match(stdout, /^auth\.jwt\.secret +\(set, not shown\) +TIDEWAY_AUTH_JWT_SECRET$/m);
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
  ];
  for (const [config, messages] of wrong) {
    test(`tells all that is wrong with ${config}`, async (t) => {
      const folder = await folderWith(t, `export default ${config};`);
      const { exitCode, stderr } = await runHere(['config', 'check'], { folder });
      assert.equal(exitCode, exitCodes.usage);
      for (const message of messages) assert.match(stderr, message);
    });
  }
});
