import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerFrame } from '@tideway/protocol';
import type { ModelSession } from '../test/model-server.ts';
import { collect, createScene, dataOf } from '../test/scene.ts';

function isUnsaid(op: ServerFrame['op']): (frame: ServerFrame) => boolean {
  return (frame) => frame.op !== op;
}

test('waits grow with each failure, up to 30 s, and stay random (CLI-1)', async () => {
  const { world, network, connect } = createScene(7);
  network.isUp = false;
  const client = connect();
  const waits: number[] = [];
  for (let n = 1; n <= 12; n++) {
    const { opened } = network;
    const sinceMs = world.nowMs;
    await world.until(() => network.opened > opened, 'another attempt');
    if (n > 1) waits.push(world.nowMs - sinceMs);
  }
  for (const [index, waitMs] of waits.entries()) {
    // The latency of the refusal is 1 ms.
    assert.ok(waitMs <= Math.min(30_000, 250 * 2 ** (index + 1)) + 1, `wait ${index + 1}: ${waitMs}`);
  }
  assert.ok(Math.max(...waits) > 5_000);
  assert.equal(client.state, 'offline');
  client.close();
});

test('after a live session the first try comes within 500 ms, after 1001 within 1 s (CLI-1)', async () => {
  for (const [close, withinMs] of [
    [1006, 500],
    [1011, 500],
    [1001, 1_000],
    [1012, 1_000],
    [4005, 1_000],
  ] as const) {
    const { world, network, connect } = createScene(close);
    const client = connect();
    await world.until(() => client.state === 'live', 'live');
    network.cutAll(close);
    const cutMs = world.nowMs;
    await world.until(() => network.opened === 2, 'a second connection');
    assert.ok(world.nowMs - cutMs <= withinMs + 1, `${close}: ${world.nowMs - cutMs}`);
    await world.until(() => client.state === 'live', 'live again');
    client.close();
  }
});

test('a server that refuses for good is left alone until the application acts (COD-3)', async () => {
  for (const close of [4502, 4504, 1002, 1007, 1009]) {
    const { world, network, connect } = createScene();
    const errors: unknown[] = [];
    const client = connect({ onError: (error) => errors.push(error) });
    await world.until(() => client.state === 'live', 'live');
    network.cutAll(close);
    await world.pass(120_000);
    assert.equal(network.opened, 1, String(close));
    assert.equal(client.state, 'closed');
    assert.deepEqual(errors, [client.error]);
    client.reconnect();
    await world.until(() => client.state === 'live', 'live again');
    assert.equal(client.error, undefined);
    client.close();
  }
});

test('a peer from which no frame came for pingMs + 10 s is dead (CLI-2)', async () => {
  const { world, server, network, connect } = createScene();
  server.hello = { pingMs: 4_000 };
  network.isPinging = false;
  const client = connect();
  await world.until(() => client.state === 'live', 'live');
  const liveMs = world.nowMs;
  // A frame in between: the silence begins anew.
  world.after(9_000, () => {
    for (const session of server.sessions) session.send({ op: 'ping' });
  });
  await world.until(() => client.state === 'offline', 'offline');
  assert.equal(world.nowMs - liveMs, 9_000 + 1 + 14_000);
  assert.equal(server.frames('pong').length, 1);
  await world.until(() => network.opened === 2, 'a second connection');
  client.close();
});

test('on waking a link that has died is noticed within 5 s, and a waiting client tries at once', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  await world.until(() => client.state === 'live', 'live');
  world.wake();
  await world.pass(6_000);
  assert.equal(client.state, 'live');
  assert.equal(network.opened, 1);

  server.faults.send = () => false;
  world.wake();
  await world.pass(5_000);
  assert.equal(client.state, 'offline');

  delete server.faults.send;
  network.isUp = false;
  await world.until(() => network.opened > 5, 'some failures');
  await world.pass(2);
  network.isUp = true;
  const { opened } = network;
  world.wake();
  await world.pass(10);
  assert.equal(network.opened, opened + 1);
  assert.equal(client.state, 'live');
  client.close();
});

for (const transport of ['websocket', 'sse'] as const) {
  test(`over ${transport} a drain moves the client at some moment inside it, and nothing is lost (CLS-2)`, async () => {
    const { world, server, network, connect } = createScene();
    const client = connect({ transport });
    const channel = client.channel('chat:1');
    const read = collect(channel.read({ from: 'now', onGap: 'throw' }));
    await world.until(() => client.state === 'live', 'live');
    const states: string[] = [];
    client.onState((state) => states.push(state));
    const [old] = server.sessions;
    const sinceMs = world.nowMs;
    old?.send({ op: 'drain', withinMs: 8_000 });
    for (let n = 1; n <= 20; n++) world.after(n * 500, () => void channel.append(n));
    await world.until(() => !server.sessions.has(old as ModelSession), 'the old session has ended');
    assert.ok(world.nowMs - sinceMs <= 8_100, String(world.nowMs - sinceMs));
    await world.until(() => read.items.length === 20, 'all');
    assert.deepEqual(
      dataOf(read.items),
      Array.from({ length: 20 }, (_, n) => n + 1),
    );
    // Nobody sees that it moved, but for a moment of catching up.
    assert.deepEqual([...new Set(states)].toSorted(), ['catching up', 'live']);
    assert.deepEqual(world.complaints, []);
    client.close();
    await world.pass(100);
    assert.equal(network.cables.size, 0);
  });

  test(`over ${transport} a client that is to move and finds no other node stays where it is (CLS-2)`, async () => {
    const { world, server, network, connect } = createScene();
    const client = connect({ transport });
    const read = collect(client.channel('chat:1').read({ from: 'now', onGap: 'throw' }));
    await world.until(() => client.state === 'live', 'live');
    const [old] = server.sessions;
    old?.send({ op: 'drain', withinMs: 1_000 });
    network.isUp = false;
    for (let n = 1; n <= 30; n++) {
      await world.pass(1_000);
      server.append('chat:1', n);
      await world.until(() => read.items.length === n, `record ${n}`);
      assert.equal(client.state, 'live');
    }
    assert.ok(server.sessions.has(old as ModelSession));
    network.isUp = true;
    await world.until(() => !server.sessions.has(old as ModelSession), 'moved');
    server.append('chat:1', 31);
    await world.until(() => read.items.length === 31, 'the newest record');
    client.close();
  });
}

test('a new link that never opens is given up, the session is not (CLS-2)', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  await world.until(() => client.state === 'live', 'live');
  const [old] = server.sessions;
  old?.send({ op: 'drain', withinMs: 0 });
  network.latencyMs = () => (network.opened === 2 ? 3_600_000 : 1);
  await world.until(() => network.opened === 3, 'a third connection');
  await world.until(() => !server.sessions.has(old as ModelSession), 'moved');
  await world.until(() => client.state === 'live', 'live');
  assert.equal(server.sessions.size, 1);
  client.close();
});

test('a client that is moving and is closed leaves no link behind', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  await world.until(() => client.state === 'live', 'live');
  for (const session of server.sessions) session.send({ op: 'drain', withinMs: 0 });
  await world.until(() => network.opened === 2, 'a second connection');
  client.close();
  await world.pass(60_000);
  assert.equal(network.cables.size, 0);
  assert.equal(network.opened, 2);
});

test('a lost log makes what is shown stale until it is found (CLI-4)', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const states: string[] = [];
  client.onState((state) => states.push(state));
  await world.until(() => client.state === 'live', 'live');
  for (const state of ['down', 'up'] as const) {
    for (const session of server.sessions) session.send({ op: 'log', state });
    await world.pass(5);
  }
  assert.deepEqual(states, ['live', 'stale', 'live']);
  client.close();
});

test('a token that hello refuses is replaced once on the same connection, and subscriptions wait for it (HEL-3)', async () => {
  const { world, server, network, connect } = createScene();
  server.faults.user = (token) => (token === 'good' ? { user: 'ann' } : { code: 'token_expired' });
  const reasons: string[] = [];
  const client = connect({
    token({ reason }) {
      reasons.push(reason);
      return reason === 'rejected' ? 'good' : 'old';
    },
  });
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  const receipt = client.channel('chat:1').append('x');
  await world.until(() => read.items.length === 1, 'the record');
  assert.deepEqual(reasons, ['first', 'rejected']);
  assert.equal(network.opened, 1);
  assert.equal(read.items[0]?.user, 'ann');
  assert.equal(receipt.state, 'stored');
  assert.deepEqual(world.complaints, []);
  client.close();
});

test('a token that is refused twice stops the client, which says so (CLI-7)', async () => {
  const { world, server, network, connect } = createScene();
  server.faults.user = () => ({ code: 'unauthenticated' });
  const client = connect({ token: () => 'bad', onError: () => {} });
  await world.until(() => client.state === 'closed', 'closed');
  await world.pass(60_000);
  assert.equal(client.error?.code, 'unauthenticated');
  assert.equal(server.frames('hello').length, 2);
  assert.equal(network.opened, 1);
  client.close();
});

test('a token is renewed in band before it ends, once for everything (HEL-4)', async () => {
  const { world, server, network, connect } = createScene();
  let tokens = 0;
  server.faults.user = () => ({ user: 'ann', expiresInMs: 60_000 });
  const client = connect({ token: () => Promise.resolve(`t${++tokens}`) });
  await world.until(() => client.state === 'live', 'live');
  const liveMs = world.nowMs;
  await world.until(() => server.frames('token').length === 1, 'renewed');
  assert.ok(world.nowMs - liveMs < 60_000 && world.nowMs - liveMs >= 30_000, String(world.nowMs - liveMs));
  assert.equal(server.frames('token')[0]?.['token'], 't2');
  await world.until(() => server.frames('token').length === 2, 'renewed again');
  assert.equal(network.opened, 1);
  client.close();
});

test('a page that wakes with an ended token renews it once, before any channel is asked for', async () => {
  const { world, server, network, connect } = createScene();
  let tokens = 0;
  server.faults.user = () => ({ user: 'ann', expiresInMs: 3_600_000 });
  const client = connect({ token: () => Promise.resolve(`t${++tokens}`) });
  for (const room of ['1', '2', '3']) collect(client.channel(`chat:${room}`).read({ onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  // Asleep: the connection is gone, and timers did not run.
  network.isUp = false;
  network.cutAll();
  await world.pass(10);
  world.nowMs += 3_590_000;
  network.isUp = true;
  server.received.length = 0;
  world.wake();
  await world.until(() => client.state === 'live', 'live again');
  assert.equal(tokens, 2);
  assert.deepEqual(
    server.received.map((frame) => [frame.op, frame['token']]),
    [
      ['hello', 't2'],
      ['subscribe', undefined],
    ],
  );
  client.close();
});

test('a token function that throws or never answers is asked again', async () => {
  const { world, connect } = createScene();
  let asked = 0;
  const errors: unknown[] = [];
  const client = connect({
    token() {
      asked++;
      if (asked === 1) throw new Error('no network');
      return asked === 2 ? new Promise<string>(() => {}) : 'good';
    },
    onError: (error) => errors.push(error),
  });
  await world.until(() => client.state === 'live', 'live');
  assert.equal(asked, 3);
  assert.equal(errors.length, 2);
  assert.ok(world.nowMs >= 30_000);
  client.close();
});

test('hello that is not answered within 10 s counts as a failure', async () => {
  const { world, server, network, connect } = createScene();
  server.faults.send = isUnsaid('ok');
  const client = connect();
  await world.until(() => network.opened === 2, 'a second connection');
  assert.ok(world.nowMs >= 10_000);
  delete server.faults.send;
  await world.until(() => client.state === 'live', 'live');
  client.close();
});

test('clients of one server and identity share a connection, and the last one closes it', async () => {
  const { world, server, network } = createScene();
  const { connectIn } = await import('./connect.ts');
  const env = world.env(network);
  const token = () => 'ann';
  const first = connectIn(env, { url: 'http://model.test/', token });
  const second = connectIn(env, { url: 'ws://model.test', token });
  const other = connectIn(env, { url: 'http://model.test', token: () => 'bob' });
  await world.pass(50);
  assert.equal(network.opened, 2);
  first.close();
  await world.pass(50);
  assert.equal(first.state, 'closed');
  assert.equal(second.state, 'live');
  second.close();
  other.close();
  await world.pass(50);
  assert.equal(server.sessions.size, 0);
});
