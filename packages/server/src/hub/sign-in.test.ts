import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './testing/hub-world.ts';
import { Talk } from './testing/talk.ts';

/** Nothing is answered before this step is over: all of it comes before the `ok` of `hello`. */
async function sentEarly(send: (talk: Talk) => void): Promise<Talk> {
  const world = await World.create();
  try {
    const talk = new Talk(world);
    talk.send({ op: 'hello', id: 1, instance: 'early' });
    send(talk);
    await talk.until('an answer or the end', () => (talk.received.length > 0 ? true : undefined));
    return talk;
  } finally {
    await world.close();
  }
}

const append = { op: 'append', channel: 'a:b', rid: 'r' };
const big = 'x'.repeat(300 * 1024);

test('before the answer to hello 1 MiB of payloads is held, behind the header or in it as data, and no more (HEL-3, FRM-6)', async () => {
  const ways: readonly ((talk: Talk) => void)[] = [
    (talk) => talk.request(append, JSON.stringify(big)),
    (talk) => talk.request({ ...append, data: big }),
  ];
  for (const way of ways) {
    const held = await sentEarly((talk) => [1, 2, 3].forEach(() => way(talk)));
    assert.deepEqual([held.received[0]?.frame.op, held.closedWith], ['ok', undefined]);
    const over = await sentEarly((talk) => [1, 2, 3, 4].forEach(() => way(talk)));
    assert.deepEqual([over.received[0]?.frame['code'], over.closedWith], ['overloaded', 'overloaded']);
  }
});

test('before the answer to hello 1,100 frames are held, and no more (HEL-3)', async () => {
  const send = (talk: Talk, count: number): void => {
    for (let i = 0; i < count; i++) talk.request({ op: 'unsubscribe', channel: 'a:b' });
  };
  assert.equal((await sentEarly((talk) => send(talk, 1_100))).received[0]?.frame.op, 'ok');
  assert.equal((await sentEarly((talk) => send(talk, 1_101))).closedWith, 'overloaded');
});
