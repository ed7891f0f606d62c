import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Relay, type Endpoint } from './demo-relay.ts';

/** An endpoint that says its name to whoever comes, then repeats what it hears; ends a connection when its peer does. */
async function endpoint(t: TestContext, name: string): Promise<{ readonly at: Endpoint; readonly sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write(`${name};`);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { at: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, sockets };
}

/** A port that nobody listens on. */
async function nobody(): Promise<Endpoint> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return { host: '127.0.0.1', port };
}

async function open(t: TestContext, choose: () => readonly Endpoint[]): Promise<Relay> {
  const relay = new Relay(choose);
  await relay.open();
  t.after(() => relay.shut());
  return relay;
}

/** A client of the relay; `heard` is all it was told. */
function clientOf(t: TestContext, relay: Relay) {
  const socket = connect(relay.port, '127.0.0.1').setEncoding('utf8');
  t.after(() => socket.destroy());
  let heard = '';
  let error: string | undefined;
  const looks = new Set<() => void>();
  socket.on('data', (text: string) => {
    heard += text;
    for (const look of looks) look();
  });
  socket.on('error', (failure: NodeJS.ErrnoException) => (error = failure.code));
  const closed = new Promise<string | undefined>((resolve) => socket.once('close', () => resolve(error)));
  const hears = (text: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (heard.includes(text)) resolve();
      };
      looks.add(look);
      look();
    });
  return { socket, hears, closed, heard: () => heard };
}

test('bytes go both ways, and what is said before an end still arrives', async (t) => {
  const { at } = await endpoint(t, 'a');
  const relay = await open(t, () => [at]);
  const client = clientOf(t, relay);
  const much = 'x'.repeat(3_000_000);
  client.socket.end(much);
  assert.equal(await client.closed, undefined);
  assert.equal(client.heard(), `a;${much}`);
});

test('an endpoint that refuses is passed over, and where no endpoint takes it the connection is refused', async (t) => {
  const [dead, { at }] = [await nobody(), await endpoint(t, 'b')];
  const relay = await open(t, () => [dead, at]);
  await clientOf(t, relay).hears('b;');
  const none = await open(t, () => [dead]);
  assert.equal(await clientOf(t, none).closed, 'ECONNRESET');
  const empty = await open(t, () => []);
  assert.equal(await clientOf(t, empty).closed, 'ECONNRESET');
});

test('what led to a dead endpoint ends, and only that is cut which is asked for', async (t) => {
  const [a, b] = [await endpoint(t, 'a'), await endpoint(t, 'b')];
  const turns = [[a.at], [b.at], [a.at]];
  const relay = await open(t, () => turns.shift() ?? []);
  const first = clientOf(t, relay);
  await first.hears('a;');
  const second = clientOf(t, relay);
  await second.hears('b;');
  const third = clientOf(t, relay);
  await third.hears('a;');
  a.sockets[0]?.resetAndDestroy();
  await first.closed;
  relay.cut(a.at);
  assert.equal(await third.closed, 'ECONNRESET');
  second.socket.write('still here');
  await second.hears('still here');
});

test('shut, it cuts all and refuses; opened again, it is at the same port', async (t) => {
  const { at } = await endpoint(t, 'a');
  const relay = await open(t, () => [at]);
  const { port } = relay;
  const client = clientOf(t, relay);
  await client.hears('a;');
  await relay.shut();
  assert.equal(relay.isOpen, false);
  assert.equal(await client.closed, 'ECONNRESET');
  assert.equal(await clientOf(t, relay).closed, 'ECONNREFUSED');
  await relay.shut();
  await relay.open();
  await relay.open();
  assert.equal(relay.port, port);
  await clientOf(t, relay).hears('a;');
});
