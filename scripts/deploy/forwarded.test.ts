/**
 * What nodes are told of clients behind the real nginx and HAProxy, with the files of deploy/: the client's own address,
 * name and scheme, whatever it writes into the headers that the proxies are trusted with.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { test } from 'node:test';
import { createServer, type LogLine } from 'tideway';
import { balancers, makeSite, missingProgram, NAME } from './balancers.ts';

/** Another address of this machine than the one from which the proxies come. */
const CLIENT = '127.0.0.9';
const DEADLINE = { timeout: 60_000, interval: 10 };

type Headers = Readonly<Record<string, string>>;

const written = {
  'x-forwarded-for': '198.51.100.1',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'http',
  forwarded: 'for=198.51.100.1;host=evil.example;proto=http',
};

const upgrade = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-protocol': 'tideway.v1',
};

/** The status of the answer; 101 where the connection was upgraded. */
async function ask(port: number, path: string, headers: Headers): Promise<number | undefined> {
  const address = { host: '127.0.0.1', port, localAddress: CLIENT, servername: NAME };
  const request = httpsRequest({ ...address, path, headers: { host: NAME, ...headers }, agent: false }).end();
  const [answer] = (await Promise.race([once(request, 'response'), once(request, 'upgrade')])) as [IncomingMessage];
  answer.socket.destroy();
  return answer.statusCode;
}

for (const name of ['nginx', 'haproxy'] as const) {
  test(`behind ${name} pages of the public name get in, and a client's own X-Forwarded headers change nothing`, async (t) => {
    const balancer = balancers[name];
    const missing = missingProgram(balancer);
    if (missing !== undefined) return t.skip(missing);
    const lines: LogLine[] = [];
    const server = await createServer({
      log: 'memory:',
      hosts: [NAME],
      trustedProxies: ['127.0.0.1'],
      namespaces: { news: { subscribe: 'anyone', history: 'anyone' } },
      logLevel: 'debug',
      logger: (line) => void lines.push(line),
    });
    t.after(() => server.close({ drainMs: 0 }));
    const { port: node } = await server.listen({ port: 0 });
    const { port } = await balancer.start(t, await makeSite(t), [node, node, node]);
    const calls = [
      (headers: Headers) => ask(port, '/v1/ws', { ...upgrade, ...headers }),
      (headers: Headers) => ask(port, '/v1/events?channel=news:1', headers),
      (headers: Headers) => ask(port, '/v1/records?channel=news:1', headers),
    ];
    for (const call of calls) {
      for (const more of [{}, written]) {
        const status = await call({ origin: `https://${NAME}`, ...more });
        assert.ok(status === 101 || status === 200, String(status));
        // TLS ended at the proxy, and the node knows that the client used it.
        assert.equal(await call({ origin: `http://${NAME}`, ...more }), 403);
        assert.equal(await call({ origin: 'https://evil.example', ...more }), 403);
        assert.equal(await call({ host: 'evil.example', ...more, 'x-forwarded-host': NAME }), 403);
      }
    }
    await t.waitFor(() => assert.equal(lines.filter(({ event }) => event === 'session.opened').length, 4), DEADLINE);
    const told = lines.filter(({ remoteAddress }) => remoteAddress !== undefined);
    assert.ok(told.length >= 4 + 6, JSON.stringify(told));
    for (const line of told) assert.equal(line.remoteAddress, CLIENT, JSON.stringify(line));
  });
}
