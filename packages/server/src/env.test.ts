import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeEnv, OncePerTick, randomId } from './env.ts';

test('random bytes are as many as asked for, the asker’s own, and never the same twice', () => {
  for (const count of [0, 1, 16, 4_095, 4_096, 4_097, 10_000]) assert.equal(nodeEnv.randomBytes(count).length, count);
  const seen = new Set<string>();
  for (let n = 0; n < 10_000; n++) {
    const bytes = nodeEnv.randomBytes(12);
    seen.add(Buffer.from(bytes).toString('hex'));
    // What the asker does with its bytes changes nobody else's.
    bytes.fill(0);
    seen.add(randomId(nodeEnv));
  }
  assert.equal(seen.size, 20_000);
});

test('random bytes of any size have all values', () => {
  for (const count of [3, 1_000, 8_192]) {
    const values = new Set<number>();
    for (let left = 16_384; left > 0; left -= count) for (const byte of nodeEnv.randomBytes(count)) values.add(byte);
    assert.equal(values.size, 256);
  }
});

test('what is asked for several times in a tick is done once at its end, and what is asked for then at the next end', () => {
  const ends: (() => void)[] = [];
  const endTick = (): void => ends.splice(0).forEach((end) => end());
  let done = 0;
  const once = new OncePerTick({ endOfTick: (callback) => void ends.push(callback) }, () => {
    if (++done === 1) once.schedule();
  });
  once.schedule();
  once.schedule();
  assert.equal(done, 0);
  for (const after of [1, 2, 2]) {
    endTick();
    assert.equal(done, after);
  }
  once.schedule();
  endTick();
  assert.equal(done, 3);
});

test('behind one that throws it is done again when it is asked for', () => {
  const ends: (() => void)[] = [];
  let done = 0;
  const once = new OncePerTick({ endOfTick: (callback) => void ends.push(callback) }, () => {
    if (++done === 1) throw new Error('this time alone');
  });
  once.schedule();
  assert.throws(() => ends.shift()?.(), /this time alone/);
  once.schedule();
  ends.shift()?.();
  assert.equal(done, 2);
});
