import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { disableHttp2 } from './http-version.ts';

test('fetch and WebSocket offer no HTTP/2 from then on', async (t) => {
  const offers: string[][] = [];
  // What they offer is all that is looked at: there is no certificate, so they end in an error.
  const server = createServer({
    ALPNCallback: ({ protocols }) => {
      offers.push(protocols);
      return undefined;
    },
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  disableHttp2();
  await assert.rejects(fetch(`https://127.0.0.1:${port}`));
  const socket = new WebSocket(`wss://127.0.0.1:${port}`);
  await new Promise((resolve) => socket.addEventListener('close', resolve));
  assert.deepEqual(offers, [['http/1.1'], ['http/1.1']]);
});
