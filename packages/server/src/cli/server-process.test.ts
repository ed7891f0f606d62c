import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { exitCodes } from './exit-codes.ts';
import { CliProcess, runCli, startServer, temporaryFolder, within } from './testing/cli-rig.ts';

/** A folder for the data and a configuration file. */
async function folderWith(t: TestContext, config: string): Promise<string> {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'tideway.config.mts'), config);
  return folder;
}

const DEADLINE = { timeout: 60_000, interval: 5 };

const append = (url: string, channel: string, data: unknown): Promise<Response> =>
  fetch(`${url}/v1/records?channel=${channel}`, { method: 'POST', body: JSON.stringify(data) });

describe('dev', () => {
  test('prints one line when it is ready, lets anyone do anything, and stops cleanly on SIGTERM', async (t) => {
    const data = await temporaryFolder(t);
    const { process, url } = await startServer(t, { data });
    assert.equal((await append(url, 'any:thing', 1)).status, 201);
    const { exitCode, stdout, stderr } = await process.end('SIGTERM');
    assert.equal(exitCode, exitCodes.ok);
    assert.equal(stdout.trim().split('\n').length, 1);
    const ready = JSON.parse(stdout) as { readonly event: string; readonly url: string; readonly pid: number };
    assert.equal(ready.event, 'ready');
    assert.equal(ready.pid, process.child.pid);
    assert.match(stderr, /"event":"server.stopped"/);
    assert.match(stderr, /Anyone who reaches it may do anything/);
  });

  test('stops on Ctrl-C too, while a client is connected', async (t) => {
    const { process, url } = await startServer(t, { data: await temporaryFolder(t) });
    const stream = await fetch(`${url}/v1/events?channel=any:thing`);
    assert.equal(stream.status, 200);
    assert.equal((await process.end('SIGINT')).exitCode, exitCodes.ok);
    await stream.text().catch(() => '');
  });

  test('ends at once when asked twice', async (t) => {
    const { process, url } = await startServer(t, { data: await temporaryFolder(t), args: ['--drain-ms', '1h'] });
    const stream = await fetch(`${url}/v1/events?channel=any:thing`);
    process.child.kill('SIGTERM');
    await process.line('stderr', /"event":"server.stopping"/);
    assert.equal((await process.end('SIGTERM')).exitCode, 143);
    await stream.text().catch(() => '');
  });

  test('keeps what was acknowledged over kill -9', async (t) => {
    const data = await temporaryFolder(t);
    const first = await startServer(t, { data });
    const { cursor } = (await (await append(first.url, 'a:1', 'kept')).json()) as { readonly cursor: string };
    await first.process.end('SIGKILL');
    const { url } = await startServer(t, { data });
    const page = await fetch(`${url}/v1/records?channel=a:1&after=oldest`);
    const { records } = (await page.json()) as { readonly records: readonly { readonly cursor: string }[] };
    assert.deepEqual(
      records.map((record) => record.cursor),
      [cursor],
    );
  });

  test('refuses a folder that another process has open, and a port that is taken', async (t) => {
    const data = await temporaryFolder(t);
    const { process, port } = await startServer(t, { data });
    const second = await runCli(t, ['dev', '--port', '0', '--data', data]);
    assert.equal(second.exitCode, exitCodes.failed);
    assert.match(second.stderr, new RegExp(`in use by process ${process.child.pid}; one process at a time .*\\n$`));
    const third = await runCli(t, ['dev', '--port', String(port), '--data', await temporaryFolder(t)]);
    assert.equal(third.exitCode, exitCodes.failed);
    assert.match(third.stderr, new RegExp(`^error: port ${port} on 127.0.0.1 is in use \\(EADDRINUSE\\); .*\\n$`));
  });

  test('listens on the network only when the command line itself says so', async (t) => {
    const data = await temporaryFolder(t);
    const refused = await runCli(t, ['dev', '--port', '0', '--data', data], {
      environment: { TIDEWAY_HOST: '0.0.0.0' },
    });
    assert.equal(refused.exitCode, exitCodes.usage);
    assert.match(refused.stderr, /dev lets anyone do anything, and TIDEWAY_HOST makes it listen on 0\.0\.0\.0/);
    const { process } = await startServer(t, { data, args: ['--host', '0.0.0.0'] });
    assert.equal((await process.end('SIGTERM')).exitCode, exitCodes.ok);
  });

  test('lets anyone follow the vitals', async (t) => {
    const { url } = await startServer(t, { data: await temporaryFolder(t) });
    const response = await fetch(`${url}/v1/events?channel=$system:vitals`);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (!text.includes('rssBytes')) {
      const { done, value } = await within(reader.read(), 'a record of the vitals');
      assert.equal(done, false);
      text += Buffer.from(value).toString();
    }
    await reader.cancel();
  });

  test('makes a certificate for --tls, and speaks TLS with it', async (t) => {
    const data = await temporaryFolder(t);
    const { url } = await startServer(t, { data, args: ['--tls'] });
    assert.match(url, /^https:/);
    await access(join(data, 'dev-cert.pem'));
    const environment = { TIDEWAY_URL: url, NODE_EXTRA_CA_CERTS: join(data, 'dev-cert.pem') };
    assert.equal((await runCli(t, ['append', 'a:1', '1'], { environment })).exitCode, exitCodes.ok);
    const stranger = await runCli(t, ['append', 'a:1', '1'], { environment: { TIDEWAY_URL: url } });
    assert.equal(stranger.exitCode, exitCodes.unreachable);
    assert.match(stranger.stderr, /SELF_SIGNED.*\ntry: NODE_EXTRA_CA_CERTS=/);
  });

  test('moves its clock by the file of TIDEWAY_FAULT_CLOCK_FILE, with --faults only', async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, 'offset');
    const yearMs = 365 * 86_400_000;
    await writeFile(file, String(yearMs));
    const environment = { TIDEWAY_FAULT_CLOCK_FILE: file };
    for (const [args, isMoved] of [
      [['--faults'], true],
      [[], false],
    ] as const) {
      const { url, process } = await startServer(t, { data: join(folder, String(isMoved)), args, environment });
      await append(url, 'a:1', 1);
      const page = await (await fetch(`${url}/v1/records?channel=a:1`)).json();
      const { time } = (page as { readonly records: readonly { readonly time: number }[] }).records[0] as {
        time: number;
      };
      assert.equal(time - Date.now() > yearMs / 2, isMoved);
      await process.end('SIGKILL');
    }
  });
});

describe('serve', () => {
  test('denies what no namespace allows, and says so when it starts without any', async (t) => {
    const folder = await temporaryFolder(t);
    const { url, process } = await startServer(t, { command: 'serve', data: join(folder, 'data'), folder });
    await process.line('stderr', /there are no namespaces, so every channel is refused/);
    assert.equal((await append(url, 'chat:1', 1)).status, 404);
  });

  test('says of a mistyped key that there is none, and nothing of the namespaces that are missing for it', async (t) => {
    const folder = await folderWith(t, `export default { namspaces: { chat: { append: 'anyone' } } };`);
    const process = new CliProcess(t, ['serve', '--port', '0', '--data', join(folder, 'data')], { folder, stdin: '' });
    const { exitCode, stderr } = await process.finished();
    assert.equal(exitCode, exitCodes.usage);
    assert.match(stderr, /namspaces/);
    assert.doesNotMatch(stderr, /there are no namespaces/);
  });

  test('reads its configuration file, and what a variable and a flag say after it', async (t) => {
    const folder = await folderWith(
      t,
      `export default { logLevel: 'error', pingMs: 1_000, helloMs: 1_000,
        namespaces: { chat: { append: 'anyone', subscribe: 'anyone' } } };`,
    );
    const { url, process } = await startServer(t, {
      command: 'serve',
      data: join(folder, 'data'),
      folder,
      environment: { TIDEWAY_PING_MS: '2s', TIDEWAY_HELLO_MS: '2s', TIDEWAY_PINGMS: '1' },
      args: ['--ping-ms', '3s'],
    });
    assert.equal((await append(url, 'chat:1', 1)).status, 201);
    assert.equal((await append(url, 'other:1', 1)).status, 404);
    const session = (await (await fetch(`${url}/v1/session`)).json()) as { readonly pingMs: number };
    assert.equal(session.pingMs, 3_000);
    await process.line('stderr', /TIDEWAY_PINGMS is not a variable of Tideway \(did you mean TIDEWAY_PING_MS\?\)/);
  });

  const wrong: readonly [config: string, message: RegExp][] = [
    ['export default { development: true };', /serve does not let anyone do anything; development is set by/],
    ['export default { drainMs: -1, pingMs: 1 };', /pingMs: 1 is not allowed[^]*drainMs: -1 is not allowed/],
    ['export default { porte: 1 };', /porte: there is no such setting \(did you mean port\?\)/],
    ['export const x = 1;', /exports nothing by default/],
    ['export default 5;', /must export an object by default, not 5/],
    ['export default {', /cannot be loaded: /],
    ['import "./no-such-file.mts";', /cannot be loaded: Cannot find module/],
    ["export default { tls: { cert: 'a.pem' } };", /tls\.key: is missing/],
    ["export default { auth: { jwt: { secret: 'short' } } };", /^error: auth\.jwt\.secret has 5 bytes/m],
    ["export default { tls: { cert: 'a.pem', key: 'b.pem' } };", /^error: tls\.cert: a\.pem cannot be read/m],
    ["export default { data: '/dev/null' };", /^error: data: "\/dev\/null" is not allowed, it is a file; a folder is/m],
    // Where Node's own way of making folders never ends.
    ["export default { data: '/proc/x' };", /^error: data: "\/proc\/x" is not allowed, it cannot be made \(/m],
    ["export default { log: '/proc/x', data: './tideway-data' };", /^error: log: "\/proc\/x" is not allowed/m],
  ];
  for (const [config, message] of wrong) {
    test(`refuses the configuration ${config}`, async (t) => {
      const folder = await folderWith(t, config);
      const { exitCode, stdout, stderr } = await runCli(t, ['serve', '--port', '0', '--json'], { folder });
      assert.equal(exitCode, exitCodes.usage, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, message);
    });
  }

  test('says that a named configuration file is missing', async (t) => {
    const { exitCode, stderr } = await runCli(t, ['serve', '--config', 'none.ts'], {
      folder: await temporaryFolder(t),
    });
    assert.equal(exitCode, exitCodes.usage);
    assert.match(stderr, /there is no file .*none\.ts/);
  });

  test('writes down an error that nobody caught, closes the log, and ends', async (t) => {
    const folder = await folderWith(
      t,
      `export default { auth: { session: () => { setImmediate(() => { throw new Error('out of nowhere'); }); } },
        namespaces: { chat: { append: 'anyone' } } };`,
    );
    const data = join(folder, 'data');
    const { url, process } = await startServer(t, { command: 'serve', data, folder });
    await append(url, 'chat:1', 1).catch(() => {});
    const { exitCode, stderr } = await process.finished();
    assert.equal(exitCode, exitCodes.failed);
    assert.match(stderr, /"event":"server.failed","message":"out of nowhere"/);
    assert.match(stderr, /"event":"server.stopped"/);
    assert.equal((await runCli(t, ['log', 'check', data])).exitCode, exitCodes.ok);
  });

  test('turns connections away, and says so, before the last file descriptor is taken; the others live', async (t) => {
    const folder = await temporaryFolder(t);
    const { url, port, process } = await startServer(t, { data: folder, shell: 'ulimit -n 96;' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const ask = async (path: string, init: RequestOptions = {}, body = ''): Promise<[number | undefined, string]> => {
      const request = httpRequest(url + path, { agent, ...init }).end(body);
      const [response] = (await within(once(request, 'response'), 'an answer')) as [IncomingMessage];
      return [response.statusCode, await text(response)];
    };
    assert.equal((await ask('/healthz'))[0], 200);
    const sockets: Socket[] = [];
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    let turnedAway = 0;
    for (let n = 0; n < 120; n++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      sockets.push(socket);
      // Held open until the test ends: what ends now was ended by the server.
      void once(socket, 'close').then(() => turnedAway++);
    }
    const line = JSON.parse(await process.line('stderr', /"event":"connections.refused"/)) as Record<string, unknown>;
    assert.match(String(line['message']), /^at most (\d+) connections fit this process; raise its limit of open files/);
    await t.waitFor(() => assert.ok(turnedAway >= 120 - Number(line['count'])), DEADLINE);

    // The connection that was there is served, and files can be opened for it.
    assert.equal((await ask('/v1/records?channel=a:1', { method: 'POST' }, '1'))[0], 201);
    assert.match((await ask('/v1/records?channel=a:1'))[1], /"data":1/);
    const value = (metrics: string, name: string): number =>
      Number(new RegExp(`^${name} (.*)$`, 'm').exec(metrics)?.[1]);
    const [, metrics] = await ask('/metrics');
    assert.equal(value(metrics, 'process_max_fds'), 96);
    assert.ok(value(metrics, 'process_open_fds') <= 96 - 10, metrics);
    await t.waitFor(async () => {
      const [, now] = await ask('/metrics');
      assert.equal(value(now, 'tideway_connections_refused_total'), turnedAway);
    }, DEADLINE);
    await Promise.all(
      sockets.map(async (socket) => {
        if (socket.destroyed) return;
        const closed = once(socket, 'close');
        socket.destroy();
        await closed;
      }),
    );
    for (let isServed = false; !isServed;) {
      const response = await within(
        append(url, 'a:1', 1).catch(() => undefined),
        'an answer',
      );
      isServed = response?.status === 201;
    }
    assert.equal((await process.end('SIGTERM')).exitCode, exitCodes.ok);
  });
});

test('a server whose folder cannot be written says so', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'data'));
  await writeFile(join(folder, 'data', 'segments'), 'a file where a folder must be');
  const process = new CliProcess(t, ['dev', '--port', '0', '--data', join(folder, 'data')], { stdin: '' });
  const { exitCode, stderr } = await process.finished();
  assert.equal(exitCode, exitCodes.failed);
  assert.match(stderr, /^error: .*segments/m);
});
