import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { limits } from '@tideway/protocol';
import type { Call, CallResult } from './call.ts';
import { World, type WorldOptions } from './testing/hub-world.ts';

async function makeWorld(t: TestContext, options: WorldOptions): Promise<World> {
  const world = await World.create(options);
  t.after(() => world.close());
  return world;
}

const json = (text: string): CallResult => ({ encoding: 'json', payload: Buffer.from(text) });

test('a call beyond the rate of its session is refused before anybody is asked', async (t) => {
  const calls: Call[] = [];
  const world = await makeWorld(t, {
    carryOut(call) {
      calls.push(call);
      return Promise.resolve(json('1'));
    },
  });
  const talk = await world.session();
  for (let id = 2; id < 8; id++) talk.send({ op: 'call', id, method: 'm' }, '1');
  const answers = await Promise.all([2, 3, 4, 5, 6, 7].map((id) => talk.answer(id)));
  const refused = answers.filter(({ op }) => op === 'error');
  assert.equal(calls.length, answers.length - refused.length);
  assert.ok(refused.length > 0);
  for (const frame of refused) assert.deepEqual([frame['code'], frame['retryMs']], ['rate_limited', 1_000]);
  assert.equal(world.hub.figures.limitHits.callsPerSecond, refused.length);
});

test('what is too large, or no JSON, reaches no method', async (t) => {
  const world = await makeWorld(t, { carryOut: () => assert.fail('it was taken') });
  const talk = await world.session();
  const large = JSON.stringify('x'.repeat(limits.callBytes));
  assert.equal((await talk.ask({ op: 'call', method: 'm' }, large))['code'], 'too_large');
  assert.equal((await talk.ask({ op: 'call', method: 'm' }, '{'))['code'], 'bad_frame');
  assert.equal(world.hub.figures.limitHits.callBytes, 1);
});

test('the end of a session is told to who carries out its calls', async (t) => {
  const asked = Promise.withResolvers<AbortSignal>();
  const world = await makeWorld(t, {
    carryOut(_call, gone) {
      asked.resolve(gone);
      return new Promise(() => {});
    },
  });
  const talk = await world.session();
  talk.send({ op: 'call', id: 2, method: 'm' });
  const gone = await asked.promise;
  assert.equal(gone.aborted, false);
  world.commands.ended(talk.session);
  assert.equal(gone.aborted, true);
});
