import assert from 'node:assert/strict';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { connect, createServer as createNetServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { createDevCertificate } from '../auth/dev-certificate.ts';
import { backlog, clockDrift, nodeVersion, openFilesLimit, portRange } from './doctor-machine.ts';
import { freeSpace, syncTime } from './doctor-disk.ts';
import { exitCodes } from './exit-codes.ts';
import type { Finding } from './finding.ts';
import { type Finished, runCli, runHere, startServer, temporaryFolder } from './testing/cli-rig.ts';

const GIB = 1024 ** 3;

const table: readonly [name: string, finding: Finding, state: Finding['state']][] = [
  ['a Node that is too old', nodeVersion('22.1.0'), 'bad'],
  ['a maintained Node', nodeVersion('24.0.0'), 'good'],
  ['few open files', openFilesLimit(1024), 'warning'],
  ['many open files', openFilesLimit(65_536), 'good'],
  ['no limit of open files', openFilesLimit('unlimited'), 'good'],
  ['a system that does not say', openFilesLimit(undefined), 'note'],
  ['a short backlog', backlog('128'), 'warning'],
  ['a long backlog', backlog('4096'), 'good'],
  ['few ports', portRange('60000 60999'), 'warning'],
  ['many ports', portRange('32768\t60999'), 'good'],
  ['no word on ports', portRange(undefined), 'note'],
  ['an even clock', clockDrift(3, Date.UTC(2030, 1)), 'good'],
  ['a clock that jumps', clockDrift(-900, Date.UTC(2030, 1)), 'warning'],
  ['a clock of long ago', clockDrift(0, 0), 'bad'],
  ['room on the disk', freeSpace(50 * GIB, GIB), 'good'],
  ['no room on the disk', freeSpace(GIB, GIB), 'warning'],
  ['a fast disk', syncTime([0.1, 0.2, 0.3]), 'good'],
  ['a slow disk', syncTime([1, 2, 300]), 'warning'],
];

describe('doctor judges', () => {
  for (const [name, finding, state] of table) {
    test(name, () => {
      assert.equal(finding.state, state);
      assert.equal(finding.advice !== undefined, state === 'warning' || state === 'bad');
    });
  }
});

const findings = ({ stdout }: Finished): ReadonlyMap<string, Finding> =>
  new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Finding)
      .map((finding) => [finding.check, finding]),
  );

test('doctor looks at the machine, the disk of the data folder, and the certificate', async (t) => {
  const folder = await temporaryFolder(t);
  const { cert, key } = await createDevCertificate(folder);
  const args = ['doctor', '--data', join(folder, 'data'), '--tls-cert', cert, '--tls-key', key];
  const found = findings(await runHere([...args, '--json']));
  for (const check of ['node', 'open-files', 'clock', 'tls', 'data', 'space', 'sync'])
    assert.ok(found.has(check), check);
  assert.match(found.get('tls')?.text ?? '', /good for 36\d days \(DNS:localhost/);
  assert.match(found.get('sync')?.text ?? '', /a durable write takes [\d.]+ ms \(p50\), [\d.]+ ms \(p99\)/);
  const wrong = await runHere(['doctor', '--data', folder, '--tls-cert', key, '--tls-key', key]);
  assert.equal(wrong.exitCode, exitCodes.checkFailed);
  assert.match(wrong.stdout, /^✗ tls\.cert .* cannot be used together/m);
});

async function listening(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('doctor looks from outside', () => {
  test('at a server without a proxy: all is good but the origin that is not let in', async (t) => {
    const { url } = await startServer(t, {
      data: await temporaryFolder(t),
      args: ['--origins', 'https://in.example'],
    });
    const good = await runCli(t, [
      'doctor',
      '--url',
      url,
      '--origin',
      'https://in.example',
      '--idle',
      '200ms',
      '--json',
    ]);
    assert.equal(good.exitCode, exitCodes.ok, good.stdout);
    for (const [check, { state }] of findings(good)) assert.equal(state, 'good', check);
    const out = await runCli(t, ['doctor', '--url', url, '--origin', 'https://out.example', '--json']);
    assert.equal(out.exitCode, exitCodes.checkFailed);
    assert.equal(findings(out).get('origin-websocket')?.state, 'bad');
    assert.match(findings(out).get('origin-http')?.advice ?? '', /origins: \['https:\/\/out\.example'\]/);
  });

  test('through a proxy that passes on no upgrade and holds back streams', async (t) => {
    const { port } = await startServer(t, { data: await temporaryFolder(t) });
    const proxy = createHttpServer((request, response) => {
      const path = request.url ?? '/';
      const upstream = httpRequest({ port, path, headers: { host: '127.0.0.1' } }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, { 'content-type': answer.headers['content-type'] ?? '' });
        if (path.startsWith('/v1/events')) response.flushHeaders();
        else answer.pipe(response);
      });
      response.on('close', () => upstream.destroy());
      upstream.on('error', () => response.destroy());
      upstream.end();
    });
    t.after(() => proxy.closeAllConnections());
    const args = ['doctor', '--url', await listening(t, proxy), '--timeout', '1s', '--json'];
    const result = await runCli(t, args);
    assert.equal(result.exitCode, exitCodes.checkFailed);
    const found = findings(result);
    assert.equal(found.get('websocket')?.state, 'bad');
    assert.match(found.get('websocket')?.advice ?? '', /Upgrade and Connection/);
    assert.equal(found.get('sse')?.state, 'bad');
    assert.match(found.get('sse')?.advice ?? '', /proxy_buffering off/);
  });

  test('through a proxy that cuts what is idle', async (t) => {
    const { port } = await startServer(t, { data: await temporaryFolder(t) });
    const proxy = createNetServer((client) => {
      const upstream = connect(port, '127.0.0.1');
      client.on('data', (bytes) => {
        if (/^GET \/v1\/(?:ws|events)/.test(bytes.toString('latin1'))) {
          // Longer than any answer takes.
          upstream.setTimeout(2_000, () => {
            upstream.destroy();
            client.destroy();
          });
        }
      });
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        one.on('error', () => other.destroy());
        one.pipe(other);
      }
    });
    const url = await listening(t, proxy);
    // Of a channel on which nothing happens.
    const result = await runCli(t, ['doctor', '--url', url, '--channel', 'a:1', '--idle', '60s', '--json']);
    const found = findings(result);
    for (const check of ['idle-websocket', 'idle-sse']) {
      assert.equal(found.get(check)?.state, 'bad', check);
      assert.match(found.get(check)?.text ?? '', /was cut after \d+\.\d s/);
      assert.match(found.get(check)?.advice ?? '', /proxy_read_timeout/);
    }
  });
});
