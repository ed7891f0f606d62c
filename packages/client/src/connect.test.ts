import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, createScene, dataOf } from '../test/scene.ts';

test('a reader gets what there is and what comes, and the writer a receipt', async () => {
  const { world, server, connect } = createScene();
  server.append('chat:1', 'before');
  const client = connect();
  const channel = client.channel('chat:{room}', { room: '1' });
  const read = collect(channel.read({ from: 'oldest', onGap: 'throw' }));
  const receipt = channel.append('mine');
  await world.until(() => read.items.length === 2, 'both records');
  assert.deepEqual(dataOf(read.items), ['before', 'mine']);
  assert.equal(receipt.state, 'stored');
  assert.deepEqual(await receipt, { cursor: read.items[1]?.cursor, duplicate: false });
  assert.equal(read.items[1]?.rid, receipt.rid);
  assert.equal(client.state, 'live');
  client.close();
  await world.pass(0);
  assert.equal(read.isDone, true);
});

test('after a cut reading goes on where it was, and unanswered appends are stored once', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  const channel = client.channel('chat:1');
  const read = collect(channel.read({ from: 'oldest', onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  const receipt = channel.append(1);
  // The append arrives, its answer does not.
  await world.until(() => server.log.records('chat:1').length === 1, 'stored');
  network.cutAll();
  server.append('chat:1', 2);
  await world.until(() => read.items.length === 2 && receipt.state === 'stored', 'both');
  assert.deepEqual(dataOf(read.items), [1, 2]);
  assert.equal((await receipt).duplicate, true);
  assert.deepEqual(world.complaints, []);
  client.close();
});
