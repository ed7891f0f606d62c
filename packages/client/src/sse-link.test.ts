import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, createScene, dataOf } from '../test/scene.ts';

test('over SSE and POST a client reads, appends and signals as over a WebSocket (CLI-5)', async () => {
  const { world, server, network, connect } = createScene();
  network.hasWebSocket = false;
  server.faults.user = (token) => (token === undefined ? {} : { user: token });
  server.append('chat:1', 'before');
  const client = connect({ transport: 'sse', token: () => 'ann' });
  const channel = client.channel('chat:1');
  const read = collect(channel.read({ from: 'oldest', onGap: 'throw' }));
  const receipts = [1, 2, Uint8Array.of(3, 255)].map((data) => channel.append(data));
  await world.until(() => read.items.length === 4 && client.unsaved === 0, 'all');
  assert.deepEqual(dataOf(read.items), ['before', 1, 2, Uint8Array.of(3, 255)]);
  assert.equal(read.items[1]?.user, 'ann');
  assert.deepEqual(
    (await Promise.all(receipts)).map(({ cursor }) => cursor),
    read.items.slice(1).map(({ cursor }) => cursor),
  );
  assert.equal(client.state, 'live');
  // What gathered in one turn went as one batch.
  assert.equal(network.requests.filter((request) => request === 'POST /v1/batch').length, 1);
  const heard: unknown[] = [];
  channel.onSignal((signal) => heard.push(signal.data));
  await world.pass(1_000);
  const other = connect({ transport: 'sse' });
  await world.until(() => other.state === 'live', 'live');
  other.channel('chat:1').signal('psst');
  await world.until(() => heard.length === 1, 'heard');
  assert.deepEqual(heard, ['psst']);
  assert.deepEqual(world.complaints, []);
  client.close();
  other.close();
  await world.pass(100);
  assert.equal(server.sessions.size, 0);
});

test('the stream is opened once for the changes of 50 ms, from its places, and nothing is lost', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect({ transport: 'sse' });
  const reads = Array.from({ length: 20 }, (_, n) =>
    collect(client.channel(`chat:${n}`).read({ from: 'oldest', onGap: 'throw' })),
  );
  await world.until(() => client.state === 'live', 'live');
  const opened = () => network.requests.filter((request) => request === 'POST /v1/events').length;
  assert.equal(opened(), 1);
  for (let n = 0; n < 20; n++) {
    server.append('chat:0', n);
    // Each reader changes the subscriptions; records come before, while and after the stream is opened again.
    reads.push(collect(client.channel(`other:${n}`).read({ from: 'now', onGap: 'throw' })));
    await world.pass(7);
  }
  await world.until(() => reads[0]?.items.length === 20 && client.state === 'live', 'all');
  assert.deepEqual(
    dataOf(reads[0]?.items ?? []),
    Array.from({ length: 20 }, (_, n) => n),
  );
  assert.ok(opened() <= 5, `${opened()} streams`);
  client.close();
});

test('readers of one channel with different places are served over one stream', async () => {
  const { world, server, connect } = createScene();
  for (let n = 1; n <= 5; n++) server.append('chat:1', n);
  const client = connect({ transport: 'sse' });
  const channel = client.channel('chat:1');
  const late = collect(channel.read({ from: 'now', onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  const all = collect(channel.read({ from: 'oldest', onGap: 'throw' }));
  server.append('chat:1', 6);
  await world.until(() => all.items.length === 6 && late.items.length === 1, 'all');
  assert.deepEqual(dataOf(all.items), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(dataOf(late.items), [6]);
  client.close();
});

test('after a retryable failure the batches go back to it, in order (APP-3, HTTP-4)', async () => {
  const { world, server, connect } = createScene();
  let refusals = 0;
  server.faults.append = (_, payload) =>
    payload === '3' && refusals++ < 2 ? { code: 'not_durable', retryMs: 20 } : undefined;
  const client = connect({ transport: 'sse' });
  const channel = client.channel('chat:1');
  for (let n = 1; n <= 5; n++) void channel.append(n);
  await world.pass(3);
  for (let n = 6; n <= 8; n++) void channel.append(n);
  await world.until(() => client.unsaved === 0, 'saved');
  assert.deepEqual(
    server.log.records('chat:1').map((record) => Number(record.payload)),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
  client.close();
});

test('a log that comes up between two streams, or after the last one, is no longer taken for down (CLS-1)', async () => {
  const { world, server, connect } = createScene();
  const client = connect({ transport: 'sse' });
  const first = client.channel('chat:1').read({ onGap: 'throw' });
  void first.next();
  await world.until(() => client.state === 'live', 'live');
  const down = (): void => {
    for (const session of server.sessions) session.send({ op: 'log', state: 'down' });
  };
  down();
  await world.until(() => client.state === 'stale', 'stale');
  const second = client.channel('chat:2').read({ onGap: 'throw' });
  void second.next();
  await world.until(() => client.state === 'live', 'live on another stream');
  down();
  await world.until(() => client.state === 'stale', 'stale again');
  await first.return?.();
  await second.return?.();
  await world.until(() => client.state === 'live', 'live without a stream');
  client.close();
});

test('a cut in the middle of a batch stores nothing twice', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect({ transport: 'sse' });
  await world.until(() => client.state === 'live', 'live');
  const receipt = client.channel('chat:1').append('x');
  await world.until(() => server.log.records('chat:1').length === 1, 'stored');
  network.cutAll();
  await world.until(() => receipt.state === 'stored', 'answered');
  assert.equal((await receipt).duplicate, true);
  client.close();
});

test("a refused channel is the reader's affair, and the stream goes on with the others", async () => {
  const { world, server, connect } = createScene();
  server.faults.subscribe = (channel) => (channel === 'chat:no' ? { code: 'forbidden' } : undefined);
  const client = connect({ transport: 'sse' });
  const no = collect(client.channel('chat:no').read({ onGap: 'throw' }));
  const yes = collect(client.channel('chat:yes').read({ from: 'oldest', onGap: 'throw' }));
  server.append('chat:yes', 1);
  await world.until(() => yes.items.length === 1 && no.isDone, 'both');
  assert.equal((no.error as { code?: string }).code, 'forbidden');
  assert.equal(client.state, 'live');
  client.close();
});

test('a token that is refused is replaced, also by a stream that ends with it (SSE-7)', async () => {
  const { world, server, connect } = createScene();
  let good = 'a';
  let asked = 0;
  server.faults.user = (token) => (token === good ? { user: 'ann' } : { code: 'token_expired' });
  const client = connect({
    transport: 'sse',
    token: () => {
      asked++;
      return good;
    },
  });
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  good = 'b';
  for (const session of server.sessions) {
    session.send({ op: 'error', code: 'token_expired', message: 'over', ref: 'r1' });
  }
  server.append('chat:1', 1);
  await world.until(() => client.state === 'offline', 'offline');
  await world.until(() => client.state === 'live' && read.items.length === 1, 'live again');
  assert.equal(asked, 2);
  client.close();
});

test('where no WebSocket gets through twice and the server is there, SSE takes over; later WebSocket again (CLI-5)', async () => {
  const { world, server, network, connect } = createScene();
  network.hasWebSocket = false;
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  assert.equal(network.opened, 2);
  assert.ok(network.requests.includes('POST /v1/events'));
  server.append('chat:1', 1);
  await world.pass(1_000_000);
  assert.ok(network.opened > 2, 'WebSocket was tried again');
  server.append('chat:1', 2);
  network.hasWebSocket = true;
  await world.pass(310_000);
  const requests = network.requests.length;
  server.append('chat:1', 3);
  await world.until(() => read.items.length === 3, 'all');
  await world.pass(60_000);
  assert.deepEqual(dataOf(read.items), [1, 2, 3]);
  assert.equal(network.requests.length, requests, 'no more requests');
  assert.equal(client.state, 'live');
  client.close();
});

test('a server that is down is no reason to leave WebSocket, nor is one after it has worked', async () => {
  const { world, network, connect } = createScene();
  network.isUp = false;
  const client = connect();
  await world.pass(60_000);
  network.isUp = true;
  await world.until(() => client.state === 'live', 'live');
  network.hasWebSocket = false;
  network.cutAll();
  await world.pass(120_000);
  assert.deepEqual(network.requests, []);
  client.close();
});
