import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, createScene, dataOf } from '../test/scene.ts';

test('the stream of items says when it is live, and again after a reconnect', async () => {
  const { world, server, network, connect } = createScene();
  server.append('chat:1', 1);
  server.append('chat:1', 2);
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'last:1', onGap: 'throw' }).items());
  const seen = () => read.items.map((item) => (item.type === 'record' ? item.record.data : item.type));
  await world.until(() => client.state === 'live', 'live');
  network.cutAll();
  server.append('chat:1', 3);
  await world.until(() => seen().length === 4, 'four items');
  assert.deepEqual(seen(), [2, 'live', 3, 'live']);
  client.close();
});

test('a reader is lazy, ends with break, and its end is not held up by a next that waits', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const reader = client.channel('chat:1').read({ onGap: 'throw' });
  await world.pass(50);
  assert.equal(server.frames('subscribe').length, 0);
  const pending = reader.next();
  await assert.rejects(reader.next(), /one consumer/);
  await world.pass(50);
  assert.deepEqual(await reader.return?.(), { done: true, value: undefined });
  assert.deepEqual(await pending, { done: true, value: undefined });
  assert.deepEqual(await reader.next(), { done: true, value: undefined });
  client.close();
});

test('an AbortSignal ends a reading, also one that was aborted before', async () => {
  const { world, connect } = createScene();
  const client = connect();
  const abort = new AbortController();
  const read = collect(client.channel('chat:1').read({ onGap: 'throw', signal: abort.signal }));
  await world.pass(10);
  abort.abort();
  await world.pass(0);
  assert.deepEqual([read.isDone, read.error], [true, undefined]);
  const late = collect(client.channel('chat:1').read({ onGap: 'throw', signal: abort.signal }));
  await world.pass(0);
  assert.equal(late.isDone, true);
  client.close();
});

test('a channel that nobody reads any more is kept for 5 s, then left', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const channel = client.channel('chat:1');
  const first = channel.read({ from: 'last:50', onGap: 'throw' });
  void first.next();
  await world.pass(50);
  first.stop();
  await world.pass(4_000);
  const second = channel.read({ from: 'now', onGap: 'throw' });
  void second.next();
  await world.pass(50);
  assert.equal(server.frames('subscribe').length, 1);
  second.stop();
  await world.pass(4_900);
  assert.equal(server.frames('unsubscribe').length, 0);
  await world.pass(200);
  assert.equal(server.frames('unsubscribe').length, 1);
  client.close();
});

test('readers that begin and end in one turn leave one subscription on the wire', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  await world.pass(50);
  const channel = client.channel('chat:1');
  for (let n = 0; n < 3; n++) {
    const reader = channel.read({ from: 'last:10', onGap: 'throw' });
    void reader.next();
    if (n < 2) reader.stop();
  }
  await world.pass(50);
  assert.equal(server.frames('subscribe').length, 1);
  client.close();
});

test('many channels are asked for in lists of 100 behind hello, from their places (CLI-3)', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  for (let n = 0; n < 250; n++) {
    server.append(`chat:${n}`, n);
    collect(client.channel(`chat:${n}`).read({ from: 'oldest', onGap: 'throw' }));
  }
  await world.until(() => client.state === 'live', 'live');
  server.received.length = 0;
  network.cutAll();
  await world.until(() => client.state === 'offline', 'offline');
  await world.until(() => client.state === 'live', 'live again');
  const lists = server.frames('subscribe').map((frame) => frame['channels'] as { channel: string; from: string }[]);
  assert.deepEqual(
    lists.map((list) => list.length),
    [100, 100, 50],
  );
  for (const { channel, from } of lists.flat()) assert.equal(from, server.log.records(channel)[0]?.cursor);
  client.close();
});

test('readers of one channel at different places share its subscription', async () => {
  const { world, server, connect } = createScene();
  for (let n = 1; n <= 5; n++) server.append('chat:1', n);
  const client = connect();
  const channel = client.channel('chat:1');
  const late = collect(channel.read({ from: 'now', onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  server.append('chat:1', 6);
  await world.pass(5);
  const last = collect(channel.read({ from: 'last:2', onGap: 'throw' }));
  const all = collect(channel.read({ from: 'oldest', onGap: 'throw' }));
  const next = collect(channel.read({ from: 'now', onGap: 'throw' }));
  await world.pass(50);
  server.append('chat:1', 7);
  await world.until(() => all.items.length === 7, 'all');
  assert.deepEqual(dataOf(late.items), [6, 7]);
  assert.deepEqual(dataOf(last.items), [5, 6, 7]);
  assert.deepEqual(dataOf(all.items), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(dataOf(next.items), [7]);
  client.close();
});

test('a reader that does not read lets go of its channel and takes it up again where it was', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const reader = client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' });
  const first = reader.next();
  await world.until(() => client.state === 'live', 'live');
  for (let n = 0; n < 1_000; n++) server.append('chat:1', n);
  await world.pass(100);
  assert.equal((await first).value?.data, 0);
  assert.equal(server.frames('unsubscribe').length, 1);
  assert.equal(client.state, 'catching up');
  const seen = [0];
  while (seen.length < 1_000) {
    const { value } = await reader.next();
    seen.push(value?.data as number);
    if (seen.length % 100 === 0) await world.pass(10);
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 1_000 }, (_, n) => n),
  );
  client.close();
});

test('a handler gets one record at a time, and what it throws stops nobody', async () => {
  const { world, server, connect } = createScene();
  const errors: unknown[] = [];
  const client = connect({ onError: (error) => errors.push(error) });
  const seen: unknown[] = [];
  let running = 0;
  const stoppable = client.channel('chat:1').on({ from: 'oldest', onGap: 'continue' }, async (record) => {
    assert.equal(++running, 1);
    seen.push(record.data);
    await new Promise<void>((resolve) => void world.after(10, resolve));
    running--;
    if (record.data === 2) throw new Error('mine');
  });
  const other = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  for (const n of [1, 2, 3]) server.append('chat:1', n);
  await world.until(() => seen.length === 3 && running === 0, 'three');
  assert.deepEqual(seen, [1, 2, 3]);
  assert.deepEqual(errors, [new Error('mine')]);
  assert.equal(other.items.length, 3);
  stoppable.stop();
  stoppable[Symbol.dispose]();
  server.append('chat:1', 4);
  await world.pass(100);
  assert.equal(seen.length, 3);
  client.close();
});

test('a channel that is closed ends its readers after its last record (REC-4)', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  server.append('chat:1', 'last words');
  server.log.channel('chat:1').isClosed = true;
  await world.until(() => read.isDone, 'the end');
  assert.deepEqual(dataOf(read.items), ['last words']);
  assert.equal(read.error, undefined);
  client.close();
});

test('a refusal reaches the reader it concerns; what can be tried again is', async () => {
  const { world, server, network, connect } = createScene();
  let behind = 0;
  server.faults.subscribe = (channel) =>
    channel === 'chat:no'
      ? { code: 'forbidden' }
      : channel === 'chat:later' && behind++ < 6
        ? { code: 'behind', retryMs: 100 }
        : undefined;
  const client = connect();
  const no = collect(client.channel('chat:no').read({ onGap: 'throw' }));
  const bad = collect(client.channel('chat:yes').read({ from: 'nonsense', onGap: 'throw' }));
  const later = collect(client.channel('chat:later').read({ from: 'oldest', onGap: 'throw' }));
  const yes = collect(client.channel('chat:yes').read({ from: 'oldest', onGap: 'throw' }));
  server.append('chat:later', 1);
  server.append('chat:yes', 1);
  await world.until(() => later.items.length === 1 && yes.items.length === 1, 'both');
  assert.equal((no.error as { code?: string }).code, 'forbidden');
  assert.equal((bad.error as { code?: string }).code, 'bad_cursor');
  // After so many refusals of one server another is tried.
  assert.ok(network.opened > 1);
  client.close();
});

test('a subscription that the server ends is taken up again iff its code says so (REC-4)', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  for (const session of server.sessions) session.send({ op: 'unsubscribed', channel: 'chat:1', code: 'overloaded' });
  await world.pass(5);
  server.append('chat:1', 1);
  await world.until(() => read.items.length === 1, 'the record');
  for (const session of server.sessions) session.send({ op: 'unsubscribed', channel: 'chat:1', code: 'forbidden' });
  await world.until(() => read.isDone, 'the end');
  assert.equal((read.error as { code?: string }).code, 'forbidden');
  client.close();
});

test('bytes stay bytes, and JSON that is none is left out and told', async () => {
  const { world, server, connect } = createScene();
  const errors: Error[] = [];
  const client = connect({ onError: (error) => errors.push(error as Error) });
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  server.append('chat:1', Uint8Array.of(0, 10, 255));
  server.store({ channel: 'chat:1', time: 0, rid: 'x', user: undefined, key: undefined, payload: '{' });
  server.append('chat:1', { n: 1 });
  await world.until(() => read.items.length === 2, 'two');
  assert.deepEqual(dataOf(read.items), [Uint8Array.of(0, 10, 255), { n: 1 }]);
  assert.equal(errors.length, 1);
  assert.match(errors[0]?.message ?? '', /left out/);
  client.close();
});

test('signals reach the others who listen, and a listener that throws harms nobody', async () => {
  const { world, server, connect } = createScene();
  server.faults.user = (token) => (token === undefined ? {} : { user: token });
  const errors: unknown[] = [];
  const ann = connect({ token: () => 'ann' });
  const bob = connect({ onError: (error) => errors.push(error) });
  const heard: unknown[] = [];
  const thrower = bob.channel('chat:1').onSignal(() => {
    throw new Error('mine');
  });
  const listener = bob.channel('chat:1').onSignal((signal) => heard.push([signal.user, signal.data]));
  await world.until(() => ann.state === 'live' && bob.state === 'live', 'live');
  await world.pass(20);
  ann.channel('chat:1').signal({ typing: true });
  await world.until(() => heard.length === 1, 'heard');
  assert.deepEqual(heard, [['ann', { typing: true }]]);
  assert.deepEqual(errors, [new Error('mine')]);
  thrower.stop();
  listener.stop();
  await world.pass(6_000);
  assert.equal(server.frames('unsubscribe').length, 1);
  ann.close();
  bob.close();
});
