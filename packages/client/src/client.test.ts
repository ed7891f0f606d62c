import assert from 'node:assert/strict';
import { test } from 'node:test';
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
