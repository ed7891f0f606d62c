import assert from 'node:assert/strict';
import { mkdtempDisposable, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { errors } from 'jose';
import { jwksFileSource, jwksTiming, jwksUrlSource, type KeySource } from './jwks.ts';
import { createHeldEnv } from './testing/held-env.ts';
import { startKeyServer } from './testing/key-server.ts';
import { createPairSigner, type PairSigner } from './testing/signers.ts';

const [first, second, third] = [1, 2, 3].map((n) => createPairSigner('ES256', `k${n}`)) as [
  PairSigner,
  PairSigner,
  PairSigner,
];

function setOf(...signers: readonly PairSigner[]): string {
  return JSON.stringify({ keys: signers.map(({ jwk }) => jwk) });
}

function find(source: KeySource, { algorithm, kid }: { algorithm: string; kid: string }): Promise<unknown> {
  return (async () => source.key({ alg: algorithm, kid }, { payload: '', signature: '' }))();
}

async function withServer(t: TestContext) {
  const server = await startKeyServer();
  t.after(() => server.close());
  const env = createHeldEnv();
  const failures: string[] = [];
  const source = jwksUrlSource(server.url, env, ({ message }) => failures.push(message));
  return { server, env, failures, source };
}

describe('a JWK set at a URL', () => {
  test('is asked for with the first token, once for all who wait', async (t) => {
    const { server, source } = await withServer(t);
    const answer = Promise.withResolvers<string>();
    server.answer(() => answer.promise);
    assert.equal(server.asked, 0, 'a provider that is down does not keep the server from starting');
    const finds = Array.from({ length: 20 }, () => find(source, first));
    answer.resolve(setOf(first));
    await Promise.all(finds);
    assert.equal(server.asked, 1);
  });

  test('is asked again when an unknown kid appears: a new key serves at once', async (t) => {
    const { server, env, source } = await withServer(t);
    server.answer(setOf(first));
    await find(source, first);
    const version = source.version();
    server.answer(setOf(first, second));
    env.advance(jwksTiming.urlCooldownMs);
    await find(source, second);
    assert.equal(server.asked, 2);
    assert.ok(source.version() > version);
  });

  test('is not asked more often than its cooldown, whatever kids are invented', async (t) => {
    const { server, env, source } = await withServer(t);
    server.answer(setOf(first));
    await find(source, first);
    for (let n = 0; n < 50; n++) {
      await assert.rejects(find(source, { ...first, kid: `invented-${n}` }), errors.JWKSNoMatchingKey);
      await find(source, first);
    }
    assert.equal(server.asked, 1);
    env.advance(jwksTiming.urlCooldownMs);
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        assert.rejects(find(source, { ...first, kid: `x-${n}` }), errors.JWKSNoMatchingKey),
      ),
    );
    assert.equal(server.asked, 2);
  });

  test('is asked for news after ten minutes, behind the back of tokens, and drops a key that is gone', async (t) => {
    const { server, env, source } = await withServer(t);
    server.answer(setOf(first, second));
    await find(source, first);
    const answer = Promise.withResolvers<string>();
    server.answer(() => answer.promise);
    env.advance(jwksTiming.urlAgeMs);
    await source.refresh();
    await find(source, first);
    answer.resolve(setOf(second));
    const gone = { ...first, kid: 'invented' };
    // Waits for the question that is under way.
    await assert.rejects(find(source, gone), errors.JWKSNoMatchingKey);
    await assert.rejects(find(source, first), errors.JWKSNoMatchingKey);
    await find(source, second);
    assert.equal(server.asked, 2);
  });

  test('that answers the same again changes no version: nothing remembered is lost', async (t) => {
    const { server, env, source } = await withServer(t);
    server.answer(setOf(first));
    await find(source, first);
    const version = source.version();
    env.advance(jwksTiming.urlAgeMs);
    await assert.rejects(find(source, { ...first, kid: 'invented' }));
    assert.equal(server.asked, 2);
    assert.equal(source.version(), version);
  });

  test('that is down leaves the keys known before in use for a day, then none', async (t) => {
    const { server, env, failures, source } = await withServer(t);
    server.answer(setOf(first));
    await find(source, first);
    server.answer('down for maintenance', 503);
    env.advance(jwksTiming.urlStaleMs - 1_000);
    await assert.rejects(find(source, { ...first, kid: 'invented' }), errors.JWKSNoMatchingKey);
    await find(source, first);
    assert.match(failures[0] ?? '', /answered 503; 200 is expected/);
    env.advance(1_000);
    await assert.rejects(find(source, first), { code: 'internal' });
    server.answer(setOf(first));
    env.advance(1_000);
    await find(source, first);
  });

  test('that never answered is asked once a second at most; its tokens are to be tried again', async (t) => {
    const { server, env, source } = await withServer(t);
    server.answer('', 500);
    for (let n = 0; n < 10; n++) {
      await assert.rejects(find(source, first), (error: { code: string; retryMs?: number }) => {
        return error.code === 'internal' && error.retryMs !== undefined;
      });
    }
    assert.equal(server.asked, 1);
    server.answer(setOf(first));
    env.advance(1_000);
    await find(source, first);
  });

  test('that answers with something else is refused, and said so', async (t) => {
    const { server, env, failures, source } = await withServer(t);
    const answers: readonly [string | (() => Promise<string>), number, Record<string, string>, RegExp][] = [
      ['<html>', 200, {}, /JSON|token/i],
      ['{"keys":1}', 200, {}, /malformed|Key Set/i],
      ['[]', 200, {}, /malformed|Key Set/i],
      ['', 302, { location: 'http://127.0.0.1:1/' }, /redirect/i],
      ['x'.repeat(1024 * 1024 + 1), 200, {}, /more than 1048576 bytes/],
    ];
    for (const [body, status, headers, message] of answers) {
      server.answer(body, status, headers);
      env.advance(1_000);
      await assert.rejects(find(source, first), { code: 'internal' });
      assert.match(failures.at(-1) ?? '', message);
    }
    assert.equal(failures.length, answers.length);
  });
});

describe('a JWK set in a file', () => {
  async function withFile(t: TestContext) {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-jwks-'));
    t.after(() => folder.remove());
    const path = join(folder.path, 'jwks.json');
    await writeFile(path, setOf(first));
    const env = createHeldEnv();
    const failures: string[] = [];
    const source = await jwksFileSource(path, env, ({ message }) => failures.push(message));
    const replace = async (text: string): Promise<void> => {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
      env.advance(jwksTiming.fileCheckMs);
      await source.refresh();
    };
    return { path, env, failures, source, replace };
  }

  test('is read again when it changes: new keys serve, removed ones no longer', async (t) => {
    const { source, replace } = await withFile(t);
    const version = source.version();
    await replace(setOf(second, third));
    assert.ok(source.version() > version);
    await find(source, second);
    await assert.rejects(find(source, first), errors.JWKSNoMatchingKey);
  });

  test('is read at once for a kid that is not known yet', async (t) => {
    const { path, source } = await withFile(t);
    await writeFile(path, setOf(first, second));
    await find(source, second);
  });

  test('that is broken or gone later leaves the keys known before in use, and says so once', async (t) => {
    const { path, env, failures, source, replace } = await withFile(t);
    await replace('{');
    await find(source, first);
    assert.equal(failures.length, 1);
    env.advance(jwksTiming.fileCheckMs);
    await source.refresh();
    assert.equal(failures.length, 1, 'the same failure is told once');
    await rm(path);
    env.advance(jwksTiming.fileCheckMs);
    await source.refresh();
    await find(source, first);
    assert.match(failures[1] ?? '', /ENOENT/);
    await replace(setOf(second));
    await find(source, second);
  });

  test('that is no JWK set at start is an error', async (t) => {
    const { path } = await withFile(t);
    await writeFile(path, '{"keys":{}}');
    await assert.rejects(jwksFileSource(path, createHeldEnv(), () => {}));
    await writeFile(path, 'x'.repeat(1024 * 1024 + 1));
    await assert.rejects(
      jwksFileSource(path, createHeldEnv(), () => {}),
      /at most 1048576/,
    );
  });
});
