import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Receipt } from './receipt.ts';
import { createScene, type Scene } from '../test/scene.ts';

function stored(scene: Scene, channel = 'chat:1'): unknown[] {
  return scene.server.log.records(channel).map((record) => JSON.parse(String(record.payload)) as unknown);
}

async function codeOf(receipt: Receipt): Promise<string> {
  return receipt.then(
    () => 'stored',
    (error: { code: string }) => error.code,
  );
}

test('what was appended before there was a connection is sent in order', async () => {
  const scene = createScene();
  scene.network.isUp = false;
  const client = scene.connect();
  const channel = client.channel('chat:1');
  const receipts = [1, 2, 3].map((n) => channel.append(n));
  await scene.world.pass(5_000);
  assert.deepEqual(
    receipts.map((receipt) => receipt.state),
    ['waiting', 'waiting', 'waiting'],
  );
  assert.equal(client.unsaved, 3);
  scene.network.isUp = true;
  await scene.world.until(() => client.unsaved === 0, 'saved');
  assert.deepEqual(stored(scene), [1, 2, 3]);
  client.close();
});

test('after a retryable error everything behind it is sent again in order, the first with restart (APP-3)', async () => {
  const scene = createScene();
  let refusals = 0;
  scene.server.faults.append = (_, payload) =>
    payload === '2' && refusals++ < 2 ? { code: 'rate_limited', retryMs: 50 } : undefined;
  const client = scene.connect();
  const channel = client.channel('chat:1');
  for (const n of [1, 2, 3, 4]) void channel.append(n);
  await scene.world.until(() => client.unsaved === 0, 'saved');
  assert.deepEqual(stored(scene), [1, 2, 3, 4]);
  assert.deepEqual(
    scene.server.frames('append').map((frame) => [frame['payload'], frame['restart']]),
    [
      ['1', undefined],
      ['2', undefined],
      ['3', undefined],
      ['4', undefined],
      ['2', true],
      ['3', undefined],
      ['4', undefined],
      ['2', true],
      ['3', undefined],
      ['4', undefined],
    ],
  );
  client.close();
});

test('one channel that cannot go on does not hold up another', async () => {
  const scene = createScene();
  scene.server.faults.append = ({ channel }) => (channel === 'chat:1' ? { code: 'not_durable' } : undefined);
  const client = scene.connect();
  void client.channel('chat:1').append('stuck');
  const receipt = client.channel('chat:2').append('free');
  await scene.world.until(() => receipt.state === 'stored', 'stored');
  assert.equal(client.unsaved, 1);
  client.close();
});

test('when the log is up again, appends it refused go out at once; others wait as long as they were told (CLI-4)', async () => {
  for (const transport of ['websocket', 'sse'] as const) {
    const scene = createScene();
    const { world, server, connect } = scene;
    const tell = (state: 'down' | 'up') => {
      for (const session of server.sessions) session.send({ op: 'log', state });
    };
    const client = connect({ transport });
    void client.channel('read:1').read({ onGap: 'throw' }).next();
    await world.until(() => client.state === 'live', 'live');
    server.faults.append = ({ channel }) =>
      channel === 'busy:1' ? { code: 'rate_limited', retryMs: 600_000 } : { code: 'not_durable', retryMs: 30_000 };
    tell('down');
    const receipt = client.channel('chat:1').append('x');
    const limited = client.channel('busy:1').append('x');
    await world.pass(300_000);
    assert.deepEqual([client.state, receipt.state, limited.state], ['stale', 'waiting', 'waiting']);
    const sent = server.frames('append').length;
    tell('up');
    await world.pass(500);
    // Still refused: the next pause is a first one.
    assert.equal(server.frames('append').length, sent + 1);
    tell('down');
    delete server.faults.append;
    tell('up');
    await world.until(() => receipt.state === 'stored', 'stored', 500);
    assert.equal(limited.state, 'waiting');
    client.close();
  }
});

test('an answer of unconfirmed is repeated with the same rid, and stored once (APP-1)', async () => {
  const scene = createScene();
  let unsure = true;
  scene.server.faults.append = () => {
    const answer = unsure ? ({ code: 'unconfirmed', isStored: true } as const) : undefined;
    unsure = false;
    return answer;
  };
  const client = scene.connect();
  const receipt = client.channel('chat:1').append('x');
  assert.equal((await waitFor(scene, receipt)).duplicate, true);
  assert.deepEqual(stored(scene), ['x']);
  client.close();
});

test('a final refusal fails its append alone, and is told to those who listen (APP-7)', async () => {
  const scene = createScene();
  scene.server.faults.append = (_, payload) => (payload === '"bad"' ? { code: 'invalid' } : undefined);
  const client = scene.connect();
  const failed: unknown[] = [];
  client.on('appendFailed', ({ error, channel, rid, data }) => failed.push([error.code, channel, rid, data]));
  const channel = client.channel('chat:1');
  const receipts = ['a', 'bad', 'b'].map((data) => channel.append(data));
  await scene.world.until(() => client.unsaved === 0, 'all answered');
  assert.deepEqual(
    receipts.map((receipt) => receipt.state),
    ['stored', 'failed', 'stored'],
  );
  assert.equal(await codeOf(receipts[1] as Receipt), 'invalid');
  assert.deepEqual(failed, [['invalid', 'chat:1', receipts[1]?.rid, 'bad']]);
  assert.deepEqual(stored(scene), ['a', 'b']);
  client.close();
});

test('what one user appended is not sent as another (APP-4)', async () => {
  const scene = createScene();
  let user = 'ann';
  scene.server.faults.user = () => ({ user });
  const client = scene.connect({ token: () => user });
  await scene.world.until(() => client.state === 'live', 'live');
  scene.network.isUp = false;
  scene.network.cutAll();
  await scene.world.pass(5);
  const ofAnn = client.channel('chat:1').append('from ann');
  user = 'bob';
  scene.network.isUp = true;
  await scene.world.until(() => client.state === 'live' && ofAnn.state === 'failed', 'failed');
  assert.equal(await codeOf(ofAnn), 'user_changed');
  const ofBob = client.channel('chat:1').append('from bob');
  await scene.world.until(() => ofBob.state === 'stored', 'stored');
  assert.deepEqual(stored(scene), ['from bob']);
  client.close();
});

test('an append that the server may have forgotten is not sent again (APP-2)', async () => {
  const scene = createScene();
  scene.server.ridWindowMs = 60_000;
  const client = scene.connect();
  await scene.world.until(() => client.state === 'live', 'live');
  const lost = client.channel('chat:1').append('lost');
  scene.network.isUp = false;
  scene.network.cutAll();
  await scene.world.pass(5);
  const unsent = client.channel('chat:1').append('unsent');
  await scene.world.pass(61_000);
  scene.network.isUp = true;
  await scene.world.until(() => client.unsaved === 0, 'all have an outcome');
  assert.equal(await codeOf(lost), 'unconfirmed');
  // It never left, however old it is.
  assert.equal(await codeOf(unsent), 'stored');
  assert.deepEqual(stored(scene), ['unsent']);
  client.close();
});

test('a record over the limit is refused before it is sent', async () => {
  const scene = createScene();
  const client = scene.connect();
  const channel = client.channel('chat:1');
  const large = channel.append(new Uint8Array(256 * 1024 + 1));
  const small = channel.append(new Uint8Array(256 * 1024));
  await scene.world.until(() => client.unsaved === 0, 'all answered');
  assert.equal(await codeOf(large), 'too_large');
  assert.equal(await codeOf(small), 'stored');
  client.close();
});

test('after 1009 the oldest unanswered append fails, and the rest follows when the application says so (COD-3)', async () => {
  const scene = createScene();
  const client = scene.connect({ onError: () => {} });
  await scene.world.until(() => client.state === 'live', 'live');
  scene.server.faults.append = () => {
    for (const session of scene.server.sessions) session.close(1009);
    return { code: 'internal' };
  };
  const [first, second] = ['first', 'second'].map((data) => client.channel('chat:1').append(data));
  await scene.world.until(() => client.state === 'closed', 'closed');
  delete scene.server.faults.append;
  assert.equal(await codeOf(first as Receipt), 'too_large');
  client.reconnect();
  await scene.world.until(() => client.unsaved === 0, 'saved');
  assert.equal(await codeOf(second as Receipt), 'stored');
  assert.deepEqual(stored(scene), ['second']);
  client.close();
});

test('the outbox is bounded: what does not fit fails at once', async () => {
  const scene = createScene();
  scene.network.isUp = false;
  const client = scene.connect();
  const channel = client.channel('chat:1');
  for (let n = 0; n < 10_000; n++) void channel.append(n);
  assert.equal(await codeOf(channel.append('one more')), 'limit_exceeded');
  assert.equal(client.unsaved, 10_000);
  client.close();
});

test('a receipt nobody awaits is no unhandled rejection, and what then gives is a plain promise', async () => {
  const scene = createScene();
  const client = scene.connect();
  const receipt = client.channel('chat:1').append(undefined);
  assert.equal(receipt.state, 'failed');
  assert.equal(receipt.then.call(receipt, undefined, () => {}).constructor, Promise);
  await assert.rejects(receipt, { code: 'invalid' });
  const circle: Record<string, unknown> = {};
  circle['itself'] = circle;
  await assert.rejects(client.channel('chat:1').append(circle), { code: 'invalid' });
  await assert.rejects(client.channel('chat:1').append(1, { rid: '' }), { code: 'bad_frame' });
  const open = client.channel('chat:1').append('never answered');
  client.close();
  await assert.rejects(open, { code: 'unconfirmed' });
});

test('options of an append reach the server, and its bytes are those of the call', async () => {
  const scene = createScene();
  const client = scene.connect();
  const bytes = Uint8Array.of(1, 2, 3);
  void client.channel('chat:1').append(bytes, { key: 'k', rid: 'r1', trace: '00-ab' });
  bytes.fill(9);
  await scene.world.until(() => client.unsaved === 0, 'saved');
  const [record] = scene.server.log.records('chat:1');
  assert.deepEqual([record?.key, record?.rid], ['k', 'r1']);
  assert.ok(isDeepStrictEqual(Array.from((record as { payload: Uint8Array }).payload), [1, 2, 3]));
  client.close();
});

async function waitFor<T>(scene: Scene, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await scene.world.until(() => isSettled, 'settled');
  return promise;
}
