import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Handling, type Task } from './handling.ts';
import type { Attempt, ServiceRecord } from './options.ts';
import { HeldEnv, settle } from './testing/held-env.ts';

interface Call {
  readonly name: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly end: (error?: Error) => void;
}

function makeHandling(more: { readonly concurrency?: number; readonly attempts?: number } = {}) {
  const env = new HeldEnv();
  const calls: Call[] = [];
  const done: string[] = [];
  const buried: string[] = [];
  const world = { mayBegin: true, buryFails: false };
  const handling = new Handling({
    env,
    settings: {
      concurrency: more.concurrency ?? 10,
      retry: { attempts: more.attempts ?? 3, minMs: 100, maxMs: 1_000 },
      handle: ({ id }: ServiceRecord, { attempt, signal }: Attempt) =>
        new Promise<void>((resolve, reject) => {
          const end = (error?: Error): void => {
            if (error === undefined) resolve();
            else reject(error);
          };
          calls.push({ name: id, attempt, signal, end });
        }),
    },
    mayBegin: () => world.mayBegin,
    bury: (task, _error, signal) =>
      world.buryFails
        ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('over'))))
        : Promise.resolve(void buried.push(task.record.id)),
    onEnded: () => {},
  });
  const add = (channel: string, n: number, slot = 0): void => {
    const id = `${channel} ${n}`;
    const task: Task = {
      record: { id, channel, cursor: id, data: n },
      slot,
      partition: 0,
      bytes: 1,
      onDone: () => done.push(id),
    };
    handling.add(task);
  };
  const call = (name: string): Call => {
    const found = calls.findLast((one) => one.name === name);
    assert.ok(found, `${name} was not begun`);
    return found;
  };
  return {
    env,
    handling,
    calls,
    done,
    buried,
    world,
    add,
    call,
    begun: () => calls.map(({ name, attempt }) => `${name}/${attempt}`),
  };
}

test('one record of a channel at a time, in order; channels side by side, so many and no more', async () => {
  const { add, call, begun, done } = makeHandling({ concurrency: 2 });
  for (const n of [1, 2]) for (const channel of ['a:1', 'b:1', 'c:1']) add(channel, n);
  assert.deepEqual(begun(), ['a:1 1/1', 'b:1 1/1']);
  call('a:1 1').end();
  await settle();
  assert.deepEqual(begun().slice(2), ['c:1 1/1'], 'whoever waits longest comes next');
  call('b:1 1').end();
  await settle();
  assert.deepEqual(begun().slice(3), ['a:1 2/1']);
  assert.deepEqual(done, ['a:1 1', 'b:1 1']);
});

test('what fails is tried again after a wait that doubles; its channel waits, and others do not', async () => {
  const { env, add, call, begun, done, buried } = makeHandling();
  add('a:1', 1);
  add('a:1', 2);
  add('b:1', 1);
  call('a:1 1').end(new Error('no'));
  call('b:1 1').end();
  await env.pass(74);
  assert.deepEqual(begun(), ['a:1 1/1', 'b:1 1/1']);
  await env.pass(2);
  assert.deepEqual(begun().slice(2), ['a:1 1/2']);
  call('a:1 1').end(new Error('no'));
  await env.pass(149);
  assert.equal(begun().length, 3);
  await env.pass(2);
  assert.deepEqual(begun().slice(3), ['a:1 1/3']);
  call('a:1 1').end(new Error('no'));
  await settle();
  assert.deepEqual([buried, begun().at(-1)], [['a:1 1'], 'a:1 2/1']);
  call('a:1 2').end();
  await settle();
  assert.deepEqual(done, ['b:1 1', 'a:1 1', 'a:1 2']);
});

test('a dead letter channel that takes nothing holds up its channel alone', async () => {
  const { add, call, begun, world, handling, done } = makeHandling({ concurrency: 1, attempts: 1 });
  world.buryFails = true;
  add('a:1', 1);
  add('b:1', 1);
  call('a:1 1').end(new Error('no'));
  await settle();
  assert.deepEqual(begun(), ['a:1 1/1', 'b:1 1/1']);
  handling.close(0);
  await settle();
  assert.deepEqual([done, handling.waiting], [[], 0]);
});

test('what is given up is finished and not begun; what is somebody else’s is told so, and counts no more', async () => {
  const { add, call, begun, done, handling } = makeHandling();
  add('a:1', 1, 1);
  add('a:1', 2, 1);
  add('b:1', 1, 2);
  handling.giveUp(new Set([1]));
  assert.equal(handling.isIdle(1), false);
  call('a:1 1').end();
  await settle();
  assert.deepEqual([handling.isIdle(1), begun(), done], [true, ['a:1 1/1', 'b:1 1/1'], ['a:1 1']]);
  handling.giveUp(new Set());
  assert.equal(begun().at(-1), 'a:1 2/1');
  handling.close(1);
  assert.ok(call('a:1 2').signal.aborted);
  call('a:1 2').end();
  await settle();
  assert.deepEqual([done, handling.waiting], [['a:1 1'], 1]);
});

test('nothing is begun by a member that may have lost its slots; room comes when something is done', async () => {
  const { add, call, begun, world, handling } = makeHandling({ concurrency: 5_000 });
  world.mayBegin = false;
  for (let n = 0; n < 4_096; n++) add(`a:${n}`, 1);
  assert.deepEqual(begun(), []);
  const end = new AbortController();
  let hasRoom = false;
  const room = handling.room(end.signal).then(() => (hasRoom = true));
  await settle();
  assert.equal(hasRoom, false);
  world.mayBegin = true;
  handling.look();
  assert.equal(begun().length, 4_096);
  call('a:7 1').end();
  await room;
  assert.equal(hasRoom, true);
});
