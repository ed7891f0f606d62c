import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempDisposable, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { createDevCertificate } from './dev-certificate.ts';
import { createHeldEnv, type HeldEnv } from './testing/held-env.ts';
import { loadTls, TLS_CHECK_MS, type TlsFiles, watchTls } from './tls.ts';

interface Told {
  readonly event: string;
  readonly message: string;
}

async function start(t: TestContext) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-tls-'));
  // The clock of certificates is the real one: TLS has no other.
  const env = createHeldEnv(Date.now());
  const files = await createDevCertificate(join(folder.path, 'in-use'), env);
  const first = await loadTls(files);
  const server = createServer(first, (_, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const told: Told[] = [];
  const stop = watchTls({
    files,
    first,
    server,
    env,
    onEvent: (event, { message }) => void told.push({ event, message }),
  });
  t.after(async () => {
    stop();
    server.close();
    server.closeAllConnections();
    await folder.remove();
  });
  return {
    folder: folder.path,
    files,
    first,
    port: (server.address() as AddressInfo).port,
    env,
    told,
    stop,
    /** Lets the files be looked at, and waits until that has ended: the next look is scheduled then. */
    async look() {
      env.advance(TLS_CHECK_MS);
      await t.waitFor(() => assert.equal(env.timers, 1), { timeout: 60_000, interval: 5 });
    },
  };
}

/** A TLS connection that trusts one certificate. */
async function open(port: number, ca: string): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  return socket;
}

async function ask(socket: TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  let text = '';
  while (!text.endsWith('hello')) text += String((await once(socket, 'data'))[0]);
  return text;
}

async function replace(files: TlsFiles, by: TlsFiles): Promise<void> {
  const { cert, key } = await loadTls(by);
  await writeFile(files.cert, cert);
  await writeFile(files.key, key);
}

async function other(folder: string, env: HeldEnv, name = 'other') {
  const files = await createDevCertificate(join(folder, name), env);
  return { files, material: await loadTls(files) };
}

test('a changed certificate serves new connections, and nobody is dropped', async (t) => {
  const { folder, files, first, port, env, told, look } = await start(t);
  const before = await open(port, first.cert);
  await ask(before);
  const next = await other(folder, env);
  await replace(files, next.files);
  await look();
  assert.deepEqual(
    told.map(({ event }) => event),
    ['tls.loaded', 'tls.loaded'],
  );
  const after = await open(port, next.material.cert);
  await ask(after);
  await ask(before);
  await assert.rejects(open(port, first.cert), /self-signed certificate|unable to verify/);
  before.destroy();
  after.destroy();
});

test('a certificate without its key, half-written or gone, is told once and not used', async (t) => {
  const { folder, files, first, port, env, told, look } = await start(t);
  const next = await other(folder, env);
  const broken: (() => Promise<void>)[] = [
    () => writeFile(files.cert, next.material.cert),
    () => writeFile(files.cert, next.material.cert.slice(0, 200)),
    () => writeFile(files.cert, ''),
    () => rm(files.cert),
  ];
  for (const [at, breaks] of broken.entries()) {
    await breaks();
    await look();
    await look();
    assert.equal(told.filter(({ event }) => event === 'tls.failed').length, at + 1);
    const socket = await open(port, first.cert);
    await ask(socket);
    socket.destroy();
  }
  await replace(files, next.files);
  await look();
  assert.equal(told.at(-1)?.event, 'tls.loaded');
  (await open(port, next.material.cert)).destroy();
});

test('files that stay the same are read, not loaded again', async (t) => {
  const { told, look } = await start(t);
  await look();
  await look();
  assert.equal(told.length, 1);
  assert.match(told[0]?.message ?? '', /certificate for DNS:localhost.*valid until \d{4}-/);
});

test('a certificate that ends within two weeks is told once a day', async (t) => {
  const { env, told, look } = await start(t);
  const warnings = () => told.filter(({ event }) => event === 'tls.expiring').length;
  env.stepWallClock(349 * 86_400_000);
  await look();
  assert.equal(warnings(), 0);
  env.stepWallClock(2 * 86_400_000);
  await look();
  await look();
  assert.equal(warnings(), 1);
  env.advance(86_400_000 - TLS_CHECK_MS);
  await look();
  assert.equal(warnings(), 2);
});

test('watching ends when it is stopped', async (t) => {
  const { env, stop } = await start(t);
  stop();
  assert.equal(env.timers, 0);
});

test('at start, files that are missing or do not fit are named', async (t) => {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-tls-'));
  t.after(() => folder.remove());
  const env = createHeldEnv(Date.now());
  const [a, b] = [await other(folder.path, env, 'a'), await other(folder.path, env, 'b')];
  await assert.rejects(loadTls({ cert: a.files.cert, key: b.files.key }), /cannot be used together/);
  await assert.rejects(
    loadTls({ cert: a.files.cert, key: 'no-such.pem' }),
    /tls\.key: no-such\.pem cannot be read \(ENOENT\)/,
  );
  await assert.rejects(loadTls({ cert: 'no-such.pem', key: a.files.key }), /tls\.cert: no-such\.pem cannot be read/);
});
