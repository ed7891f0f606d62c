import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { within } from './deadline.ts';
import { FaultProxy } from './fault-proxy.ts';

/** An echo server behind a proxy, and a client of it. */
async function echo(context: TestContext): Promise<{ readonly proxy: FaultProxy; readonly client: Socket }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await FaultProxy.listen({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  const client = connect(proxy.port, '127.0.0.1');
  client.on('error', () => {});
  await once(client, 'connect');
  context.after(async () => {
    client.destroy();
    await proxy.close();
    server.close();
  });
  return { proxy, client };
}

/** What comes back, up to so many bytes. */
async function read(client: Socket, bytes: number): Promise<Buffer> {
  let all = Buffer.alloc(0);
  const whole = new Promise<Buffer>((resolve) => {
    client.on('data', (chunk: Buffer) => {
      all = Buffer.concat([all, chunk]);
      if (all.length >= bytes) resolve(all);
    });
  });
  return within(whole, 60_000, `${bytes} bytes`);
}

test('without a fault bytes pass as they are, both ways', async (context) => {
  const { client } = await echo(context);
  const sent = Buffer.alloc(3_000_000, 'abcdefg');
  client.write(sent);
  assert.deepEqual(await read(client, sent.length), sent);
});

test('split, delayed and throttled bytes arrive whole and in order', async (context) => {
  const { client, proxy } = await echo(context);
  for (const fault of [{ pieceBytes: 3 }, { delayMs: 20, pieceBytes: 7 }, { bytesPerSecond: 200_000 }]) {
    proxy.setFault(fault);
    client.removeAllListeners('data');
    const sent = Buffer.from(Array.from({ length: 10_000 }, (_, i) => i % 251));
    client.write(sent);
    assert.deepEqual(await read(client, sent.length), sent, JSON.stringify(fault));
  }
});

test('bytes keep their order when a delay is taken back while some are on their way', async (context) => {
  const { client, proxy } = await echo(context);
  proxy.setFault({ delayMs: 100 });
  client.write('first ');
  const seen = read(client, 12);
  while (proxy.heldBytes === 0) await new Promise((resolve) => setImmediate(resolve));
  proxy.setFault({});
  client.write('second');
  assert.equal((await seen).toString(), 'first second');
});

test('frozen bytes come once it thaws', async (context) => {
  const { client, proxy } = await echo(context);
  proxy.setFault({ freeze: true });
  client.write('hello');
  const seen = read(client, 10);
  proxy.setFault({});
  client.write(' you');
  proxy.setFault({ freeze: true });
  client.write('!');
  proxy.setFault({});
  assert.equal((await seen).toString(), 'hello you!');
});

test('what one side said before it left is passed on, however late', async (context) => {
  const { client, proxy } = await echo(context);
  proxy.setFault({ delayMs: 50, pieceBytes: 2 });
  const seen = read(client, 8);
  client.end('farewell');
  assert.equal((await seen).toString(), 'farewell');
});

test('a cut comes after the bytes it was set to, and is counted', async (context) => {
  const { client, proxy } = await echo(context);
  proxy.setFault({ cutAfterBytes: 10 });
  const closed = new Promise((resolve) => client.once('close', resolve));
  client.write(Buffer.alloc(100));
  await within(closed, 60_000, 'the cut');
  assert.equal(proxy.cuts, 1);
});

test('without a target nobody gets through', async (context) => {
  const { proxy } = await echo(context);
  proxy.target = undefined;
  const other = connect(proxy.port, '127.0.0.1');
  other.on('error', () => {});
  await within(new Promise((resolve) => other.once('close', resolve)), 60_000, 'the refusal');
});
