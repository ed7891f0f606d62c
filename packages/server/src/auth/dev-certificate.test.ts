import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempDisposable, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import { createDevCertificate } from './dev-certificate.ts';
import { createHeldEnv } from './testing/held-env.ts';
import { loadTls } from './tls.ts';

const DAY_MS = 86_400_000;

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-cert-'));
  t.after(() => folder.remove());
  return join(folder.path, 'tls');
}

test('a local certificate is one that TLS accepts, for loopback names only', async (t) => {
  const material = await loadTls(await createDevCertificate(await temporary(t)));
  const server = createServer(material, (_, response) => response.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: material.cert });
  await once(socket, 'secureConnect');
  assert.equal(socket.authorized, true);
  socket.destroy();
  const certificate = new X509Certificate(material.cert);
  for (const address of ['127.0.0.1', '::1']) assert.notEqual(certificate.checkIP(address), undefined, address);
  assert.equal(certificate.checkHost('example.com'), undefined);
  assert.equal(certificate.checkIP('10.0.0.1'), undefined);
  assert.equal(certificate.ca, false);
  assert.equal(certificate.verify(certificate.publicKey), true);
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
});

test('it stays until a month before its end, then there is a new one', async (t) => {
  const folder = await temporary(t);
  const env = createHeldEnv();
  const files = await createDevCertificate(folder, env);
  const first = await readFile(files.cert, 'utf8');
  const { validFrom, validTo } = new X509Certificate(first);
  assert.equal((Date.parse(validTo) - Date.parse(validFrom)) / DAY_MS, 365);
  env.advance(333 * DAY_MS);
  await createDevCertificate(folder, env);
  assert.equal(await readFile(files.cert, 'utf8'), first);
  env.advance(2 * DAY_MS);
  await createDevCertificate(folder, env);
  assert.notEqual(await readFile(files.cert, 'utf8'), first);
  await loadTls(files);
});

test('its key is for its owner only, and a damaged one is replaced', async (t) => {
  const folder = await temporary(t);
  const files = await createDevCertificate(folder);
  if (process.platform !== 'win32') assert.equal((await stat(files.key)).mode & 0o777, 0o600);
  for (const path of [files.cert, files.key]) {
    await writeFile(path, 'damaged');
    await createDevCertificate(folder);
    await loadTls(files);
  }
});

test('many are well-formed: serial numbers and signatures of every shape', async (t) => {
  const folder = await temporary(t);
  for (let n = 0; n < 40; n++) {
    const files = await createDevCertificate(`${folder}-${n}`);
    const certificate = new X509Certificate(await readFile(files.cert));
    assert.equal(certificate.verify(certificate.publicKey), true);
    assert.match(certificate.serialNumber, /^[4-7][0-9A-F]{31}$/);
  }
});
