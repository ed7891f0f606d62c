import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect as connectTcp, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Budget } from '../hub/budget.ts';
import { Exchange } from './exchange.ts';

const MIB = 1024 * 1024;

/** An answer of 32 MiB, more than the kernel takes in, to a client that reads nothing until it is told to. */
async function answering(t: TestContext, unreadMs: number) {
  const budget = new Budget(64 * MIB);
  const server = createServer();
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connectTcp((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  t.after(() => socket.destroy());
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [request, response] = (await once(server, 'request')) as [never, ServerResponse];
  const exchange = new Exchange({
    request,
    response,
    headers: {},
    client: { remoteAddress: '127.0.0.1', headers: {}, isEncrypted: false },
    refer: () => '',
    budget,
    unreadMs,
  });
  exchange.bytes(200, Buffer.alloc(32 * MIB), {});
  assert.equal(budget.answerBytes, 32 * MIB);
  return { budget, response, socket };
}

test('an answer that its peer does not read is cut, and what it held is given back (HTTP-14)', async (t) => {
  const { budget, response } = await answering(t, 50);
  await once(response, 'close');
  assert.equal(response.writableFinished, false);
  assert.equal(budget.answerBytes, 0);
});

test('an answer that is read holds nothing any more, and its connection lives on', async (t) => {
  const { budget, response, socket } = await answering(t, 60_000);
  socket.resume();
  await once(response, 'close');
  assert.equal(response.writableFinished, true);
  assert.equal(budget.answerBytes, 0);
  assert.equal(socket.destroyed, false);
});
