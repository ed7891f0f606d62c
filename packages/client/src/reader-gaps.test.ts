import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, createScene, dataOf } from '../test/scene.ts';
import { GapError, type Gap } from './record.ts';

test('a gap is told where it is, in every way a reader can ask for (SUB-6)', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  const channel = client.channel('chat:1');
  const told: Gap[] = [];
  const readers = {
    items: collect(channel.read({ from: 'oldest', onGap: 'continue' }).items()),
    goesOn: collect(channel.read({ from: 'oldest', onGap: 'continue' })),
    isTold: collect(channel.read({ from: 'oldest', onGap: async (gap) => void told.push(gap) })),
    throws: collect(channel.read({ from: 'oldest', onGap: 'throw' })),
  };
  server.append('chat:1', 1);
  await world.until(() => readers.throws.items.length === 1, 'the first');
  network.isUp = false;
  network.cutAll();
  for (const n of [2, 3, 4]) server.append('chat:1', n);
  server.log.trim('chat:1', 1);
  network.isUp = true;
  await world.until(() => readers.isTold.items.length === 2, 'the last');
  const gap = { channel: 'chat:1', cursor: told[0]?.cursor, reason: 'trimmed' };
  assert.deepEqual(told, [gap]);
  assert.deepEqual(dataOf(readers.goesOn.items), [1, 4]);
  assert.deepEqual(dataOf(readers.isTold.items), [1, 4]);
  assert.deepEqual(
    readers.items.items.map((item) => (item.type === 'record' ? item.record.data : item.type)),
    [1, 'live', 'gap', 4, 'live'],
  );
  assert.deepEqual(dataOf(readers.throws.items), [1]);
  assert.ok(readers.throws.error instanceof GapError);
  assert.deepEqual(readers.throws.error.gap, gap);
  client.close();
});

test('a reader whose onGap throws is over, and its channel is let go', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  const onGap = () => {
    throw new Error('mine');
  };
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap }));
  server.append('chat:1', 1);
  await world.until(() => read.items.length === 1, 'the first');
  network.isUp = false;
  network.cutAll();
  for (const n of [2, 3]) server.append('chat:1', n);
  server.log.trim('chat:1', 1);
  network.isUp = true;
  await world.until(() => read.isDone, 'the end');
  assert.equal((read.error as Error).message, 'mine');
  await world.pass(6_000);
  assert.equal(client.state, 'live');
  assert.equal(server.frames('unsubscribe').length, 1);
  client.close();
});

test('another history is a gap, and reading goes on in it (SUB-6, GAP-1)', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'continue' }).items());
  const seen = () =>
    read.items.map((item) =>
      item.type === 'record' ? item.record.data : item.type === 'gap' ? item.gap.reason : item.type,
    );
  for (const n of [1, 2, 3]) server.append('chat:1', n);
  await world.until(() => seen().length === 4, 'three');
  network.isUp = false;
  network.cutAll();
  server.log.replace('epoch0');
  server.append('chat:1', 'other');
  network.isUp = true;
  await world.until(() => seen().includes('other'), 'the other history');
  for (const session of server.sessions) {
    session.send({ op: 'gap', channel: 'chat:1', cursor: 'epoch0.0.zzzz', reason: 'diverged' });
    session.send(
      { op: 'record', channel: 'chat:1', cursor: 'epoch0.12.abcd', prev: 'epoch0.0.----', time: 1 },
      '"yet other"',
    );
  }
  await world.until(() => seen().includes('yet other'), 'the third');
  assert.deepEqual(seen(), [1, 2, 3, 'live', 'epoch', 'other', 'live', 'diverged', 'yet other']);
  client.close();
});

test('a hole is asked for again three times, then it is a gap (CUR-8)', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'continue' }).items());
  await world.until(() => client.state === 'live', 'live');
  const [, second] = [1, 2, 3].map((n) => ({ n, record: undefined as unknown }));
  server.faults.send = (frame) => !(frame.op === 'record' && frame.rid === 'two');
  server.append('chat:1', 1);
  server.append('chat:1', second?.n, { rid: 'two' });
  server.append('chat:1', 3);
  server.append('chat:1', 4);
  await world.until(() => read.items.some((item) => item.type === 'record' && item.record.data === 4), 'the last');
  const items = read.items.map((item) =>
    item.type === 'record' ? item.record.data : item.type === 'gap' ? item.gap : item.type,
  );
  const two = server.log.records('chat:1')[1];
  assert.deepEqual(
    items.filter((item) => item !== 'live'),
    [1, { channel: 'chat:1', cursor: two?.cursor, reason: 'hole' }, 3, 4],
  );
  assert.equal(server.frames('subscribe').length, 4);
  client.close();
});

test("a hole that is filled when asked for again is nobody's business", async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  server.faults.send = (frame) => !(frame.op === 'record' && frame.rid === 'two');
  server.append('chat:1', 1);
  server.append('chat:1', 2, { rid: 'two' });
  delete server.faults.send;
  server.append('chat:1', 3);
  await world.until(() => read.items.length === 3, 'all');
  assert.deepEqual(dataOf(read.items), [1, 2, 3]);
  client.close();
});

test('duplicates are dropped, counted and reported (CUR-7, CLS-4)', async () => {
  const { world, server, connect } = createScene();
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  await world.until(() => client.state === 'live', 'live');
  const { cursor, prev } = server.append('chat:1', 1);
  for (const session of server.sessions) {
    session.send({ op: 'record', channel: 'chat:1', cursor, prev, time: 1 }, '1');
    session.send({ op: 'mark', channel: 'chat:1', cursor, prev });
  }
  await world.pass(60_000);
  assert.deepEqual(dataOf(read.items), [1]);
  assert.deepEqual(
    server.frames('report').map(({ gaps, duplicates }) => [gaps, duplicates]),
    [[0, 2]],
  );
  client.close();
});

test('a mark moves the place (MRK-1)', async () => {
  const { world, server, network, connect } = createScene();
  const client = connect();
  const read = collect(client.channel('chat:1').read({ from: 'oldest', onGap: 'throw' }));
  const { cursor: prev } = server.append('chat:1', 1);
  await world.until(() => read.items.length === 1, 'the first');
  const cursor = server.log.cursor(1000, 'abcd');
  for (const session of server.sessions) session.send({ op: 'mark', channel: 'chat:1', prev, cursor });
  await world.pass(10);
  server.received.length = 0;
  network.cutAll();
  await world.until(() => server.frames('subscribe').length === 1, 'asked again');
  assert.deepEqual(server.frames('subscribe')[0]?.['channels'], [{ channel: 'chat:1', from: cursor }]);
  client.close();
});
