import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectIn } from './connect.ts';
import { collect, createScene, dataOf } from '../test/scene.ts';

test('whatever callback of the application throws, the others are called and all goes on', async () => {
  const { world, server, network, connect } = createScene();
  const errors: string[] = [];
  const client = connect({
    onError(error) {
      errors.push((error as Error).message);
      throw new Error('onError');
    },
  });
  const fail = (what: string) => () => {
    throw new Error(what);
  };
  const states: string[] = [];
  const counts: number[] = [];
  const failed: string[] = [];
  client.onState(fail('onState'));
  client.onState((state) => states.push(state));
  client.on('unsaved', fail('unsaved'));
  client.on('unsaved', (count) => counts.push(count));
  client.on('appendFailed', fail('appendFailed'));
  client.on('appendFailed', ({ rid }) => failed.push(rid));
  const channel = client.channel('chat:1');
  const seen: unknown[] = [];
  channel.on({ from: 'oldest', onGap: fail('onGap') }, (record) => {
    seen.push(record.data);
    throw new Error('onRecord');
  });
  const others = collect(channel.read({ from: 'oldest', onGap: 'continue' }));
  server.faults.append = (_, payload) => (payload === '"bad"' ? { code: 'invalid' } : undefined);
  const bad = channel.append('bad');
  void channel.append('good');
  await world.until(() => seen.length === 1 && client.unsaved === 0, 'the first');
  network.isUp = false;
  network.cutAll();
  for (const n of [1, 2, 3]) server.append('chat:1', n);
  server.log.trim('chat:1', 1);
  network.isUp = true;
  await world.until(() => seen.length === 2 && client.state === 'live', 'the last');
  assert.deepEqual(seen, ['good', 3]);
  assert.deepEqual(dataOf(others.items), ['good', 3]);
  assert.deepEqual(failed, [bad.rid]);
  assert.deepEqual(counts, [1, 2, 1, 0]);
  assert.deepEqual(states.slice(0, 3), ['catching up', 'live', 'offline']);
  assert.equal(states.at(-1), 'live');
  assert.deepEqual(new Set(errors), new Set(['onState', 'unsaved', 'appendFailed', 'onRecord', 'onGap']));
  assert.deepEqual(new Set(world.complaints.map((error) => (error as Error).message)), new Set(['onError']));
  client.close();
});

test('what is not saved yet can be asked before a page is left, and is told as it changes', async () => {
  const { world, network, connect } = createScene();
  network.isUp = false;
  const client = connect();
  const counts: number[] = [];
  const listener = client.on('unsaved', (count) => counts.push(count));
  const channel = client.channel('chat:1');
  for (const data of ['a', 'b']) void channel.append(data);
  assert.equal(client.unsaved, 2);
  network.isUp = true;
  await world.until(() => client.unsaved === 0, 'saved');
  listener.stop();
  void channel.append('c');
  await world.until(() => client.unsaved === 0, 'saved');
  assert.deepEqual(counts, [1, 2, 1, 0]);
  client.close();
});

test('a new token that is of another user begins a session of their own (HEL-4)', async () => {
  const { world, server, network, connect } = createScene();
  let user = 'ann';
  server.faults.user = (token) => {
    const isOther = [...server.sessions].some((session) => session.user !== undefined && session.user !== token);
    return isOther ? { code: 'user_changed' } : { user: token ?? '', expiresInMs: 60_000 };
  };
  const client = connect({ token: () => user });
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  void client.channel('chat:1').append('of ann');
  await world.until(() => read.items.length === 1, 'the first');
  user = 'bob';
  await world.until(() => network.opened === 2 && client.state === 'live', 'another session');
  assert.equal(server.frames('token').length, 1);
  const receipt = client.channel('chat:1').append('of bob');
  await world.until(() => read.items.length === 2, 'both');
  assert.deepEqual(
    read.items.map((record) => [record.user, record.data]),
    [
      ['ann', 'of ann'],
      ['bob', 'of bob'],
    ],
  );
  assert.equal(receipt.state, 'stored');
  assert.deepEqual(world.complaints, []);
  client.close();
});

test('after close whatever was taken from the client is over: readers, handlers, appends, history', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const channel = client.channel('chat:1');
  const seen: unknown[] = [];
  const handler = channel.on({ from: 'oldest', onGap: 'throw' }, (record) => void seen.push(record.data));
  channel.onSignal((signal) => void seen.push(signal.data));
  const read = collect(channel.read({ from: 'oldest', onGap: 'throw' }));
  const items = channel.read({ from: 'oldest', onGap: 'throw' }).items();
  const begunLater = channel.read({ from: 'oldest', onGap: 'throw' });
  const first = items.next();
  void channel.append(1);
  await world.until(() => read.items.length === 1, 'the first');
  assert.equal((await first).value?.type, 'live');
  client.close();
  const late = channel.append(2);
  await world.pass(0);
  assert.equal(read.isDone, true);
  assert.equal(read.error, undefined);
  assert.deepEqual(await items.next(), { done: true, value: undefined });
  assert.deepEqual(await begunLater.next(), { done: true, value: undefined });
  assert.deepEqual(await channel.read({ from: 'oldest', onGap: 'throw' }).next(), { done: true, value: undefined });
  assert.equal(late.state, 'failed');
  const isClosed = { name: 'TidewayError', code: 'disconnected', message: 'the client was closed' };
  await assert.rejects(late, isClosed);
  await assert.rejects(channel.history(), isClosed);
  assert.throws(() => client.channel('chat:1'), isClosed);
  channel.signal('dropped');
  channel.onSignal(() => {}).stop();
  handler.stop();
  client.close();
  client.reconnect();
  server.append('chat:1', 3);
  await world.pass(60_000);
  assert.deepEqual(seen, [1]);
  assert.equal(client.state, 'closed');
  assert.equal(client.unsaved, 0);
  assert.deepEqual(world.complaints, []);
});

test('a closed client is closed also where another shares its connection, which goes on', async () => {
  const { world, server, network } = createScene();
  const env = world.env(network);
  const [closed, open] = [1, 2].map(() => connectIn(env, { url: 'http://model.test' })) as [
    ReturnType<typeof connectIn>,
    ReturnType<typeof connectIn>,
  ];
  assert.equal(closed.instance, open.instance);
  const [channel, other] = [closed.channel('chat:1'), open.channel('chat:1')];
  const seen: unknown[] = [];
  channel.on({ from: 'oldest', onGap: 'throw' }, (record) => void seen.push(record.data));
  channel.onSignal((signal) => void seen.push(signal.data));
  const read = collect(channel.read({ from: 'oldest', onGap: 'throw' }));
  const others = collect(other.read({ from: 'oldest', onGap: 'throw' }));
  void channel.append(1);
  await world.until(() => read.items.length === 1 && others.items.length === 1, 'the first');
  closed.close();
  await assert.rejects(channel.append(2), { code: 'disconnected' });
  assert.deepEqual(await channel.read({ from: 'oldest', onGap: 'throw' }).next(), { done: true, value: undefined });
  channel.onSignal((signal) => void seen.push(signal.data));
  channel.signal('dropped');
  for (const session of server.sessions) session.send({ op: 'signal', channel: 'chat:1' }, '"heard"');
  void other.append(3);
  await world.until(() => others.items.length === 2, 'the other goes on');
  assert.deepEqual(dataOf(others.items), [1, 3]);
  assert.equal(read.isDone, true);
  assert.deepEqual(seen, [1]);
  assert.equal(closed.state, 'closed');
  assert.equal(open.state, 'live');
  assert.deepEqual(server.frames('signal'), []);
  assert.deepEqual(world.complaints, []);
  open.close();
});

test('appends without outcome at close are unconfirmed, and are sent where another shares the connection', async () => {
  const { world, server, network } = createScene();
  const env = world.env(network);
  const closed = connectIn(env, { url: 'http://model.test' });
  const open = connectIn(env, { url: 'http://model.test' });
  network.isUp = false;
  network.cutAll();
  const receipts = [1, 2].map((n) => closed.channel('chat:1').append(n));
  const other = open.channel('chat:1').append(3);
  closed.close();
  for (const receipt of receipts) await assert.rejects(receipt, { code: 'unconfirmed' });
  assert.equal(closed.unsaved, 0);
  assert.equal(other.state, 'waiting');
  network.isUp = true;
  await world.until(() => other.state === 'stored' && open.unsaved === 0, 'all are stored');
  assert.deepEqual(
    server.log.records('chat:1').map((record) => record.payload),
    ['1', '2', '3'],
  );
  const last = open.channel('chat:1').append(4);
  open.close();
  await assert.rejects(last, { code: 'unconfirmed' });
  assert.equal(open.unsaved, 0);
});
