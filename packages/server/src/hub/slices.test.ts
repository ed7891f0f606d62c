/** Work that may wait: in order, a slice of each tick at a time, and who is there already is served in between. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeEnv } from '../env.ts';
import { SLICE_MS, Slices } from './slices.ts';
import { World } from './testing/hub-world.ts';

/** A clock that a test moves, and ticks that end when it says so. */
class HeldTicks {
  ms = 0;
  #atEnd: (() => void)[] = [];

  readonly monotonicMs = (): number => this.ms;
  readonly endOfTick = (callback: () => void): void => void this.#atEnd.push(callback);

  end(): void {
    for (const callback of this.#atEnd.splice(0)) callback();
  }
}

function slicesWithJobs(): { ticks: HeldTicks; slices: Slices; done: string[]; job: (name: string) => () => void } {
  const ticks = new HeldTicks();
  const done: string[] = [];
  const job = (name: string) => (): void => {
    done.push(name);
    ticks.ms += SLICE_MS / 2;
  };
  return { ticks, slices: new Slices(ticks), done, job };
}

test('jobs are done in order, at the end of a tick, as many as its slice has time for', () => {
  const { ticks, slices, done, job } = slicesWithJobs();
  for (const name of ['a', 'b', 'c', 'd', 'e']) slices.add(job(name));
  assert.deepEqual(done, []);
  for (const after of ['ab', 'abcd', 'abcde', 'abcde']) {
    ticks.end();
    assert.equal(done.join(''), after);
  }
});

test('a job that takes longer than a slice is one tick, and what waits behind it the next', () => {
  const { ticks, slices, done, job } = slicesWithJobs();
  slices.add(() => {
    ticks.ms += 10 * SLICE_MS;
  });
  slices.add(job('behind'));
  ticks.end();
  assert.deepEqual(done, []);
  ticks.end();
  assert.deepEqual(done, ['behind']);
});

test('who is nearly there comes before others begin', () => {
  const { ticks, slices, done, job } = slicesWithJobs();
  for (const name of ['a', 'b', 'c']) slices.add(job(name));
  slices.addFirst(job('1'));
  slices.addFirst(job('2'));
  for (let tick = 0; tick < 3; tick++) ticks.end();
  assert.deepEqual(done, ['1', '2', 'a', 'b', 'c']);
});

test('behind a job that throws the others are done', () => {
  const { ticks, slices, done, job } = slicesWithJobs();
  slices.add(() => {
    throw new Error('this job alone');
  });
  slices.add(job('a'));
  assert.throws(() => ticks.end(), /this job alone/);
  ticks.end();
  assert.deepEqual(done, ['a']);
});

test('while a crowd says hello, whoever is there is answered: a tick takes in no more than its slice has time for', async () => {
  // Each look at the clock is a third of a slice later than the one before.
  let ms = 0;
  const world = await World.create({ env: { ...nodeEnv, monotonicMs: () => (ms += SLICE_MS / 3) } });
  try {
    const writer = await world.session();
    const before = world.hub.sessions.size;
    const crowd = Promise.all(Array.from({ length: 300 }, () => world.session()));
    let welcome = 0;
    for (let round = 1; round <= 10; round++) {
      await writer.appendMany('a:b', 1);
      const now = [...world.hub.sessions].slice(before).filter(({ identity }) => identity !== undefined).length;
      assert.ok(
        now >= welcome && now < 30 * round,
        `${now} of the crowd were let in before append ${round} was answered`,
      );
      welcome = now;
    }
    assert.equal((await crowd).length, 300);
  } finally {
    await world.close();
  }
});
