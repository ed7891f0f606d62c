import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupChannel } from './group-channel.ts';
import { encodeState, firstState, withMember } from './group-state.ts';
import { NodeCalls } from './node-calls.ts';
import { HeldEnv } from './testing/held-env.ts';

const KNOWN = 'epoch1.11.aaaa';
const state = withMember(firstState(['a:*'], ['oldest']), 'one', 0);
const json = (status: number, body: unknown): Response => new Response(JSON.stringify(body), { status });
const record = (cursor: string) => ({ channel: 'group:g', cursor, prev: '', data: encodeState(state) });

/** A server that refuses every write made from a place in front of `from`. */
function makeChannel(from: string) {
  const env = new HeldEnv();
  const asked: string[] = [];
  env.answer = (url, { method }) => {
    const { pathname, searchParams: query } = url;
    const expect = query.get('expect');
    asked.push(
      method === 'POST' ? `write ${expect}` : `${pathname} ${query.get('before') ?? query.get('after') ?? ''}`.trim(),
    );
    if (pathname === '/v1/feed') {
      const next = query.get('partition') === '0' ? 'other1.15.zzzz' : 'epoch1.15.bbbb';
      return Promise.resolve(json(200, { records: [], next, end: true, lag: 0, partitions: 2 }));
    }
    if (method === 'GET') return Promise.resolve(json(200, { records: [record(KNOWN)], next: KNOWN }));
    if (expect !== null && expect >= from) return Promise.resolve(json(201, { cursor: 'epoch1.16.cccc' }));
    return Promise.resolve(json(409, { error: { code: 'conflict', message: 'no', ref: 'r' } }));
  };
  const calls = new NodeCalls({ env, url: 'http://node', key: undefined });
  let states = 0;
  const channel = new GroupChannel({
    env,
    calls,
    channel: 'group:g',
    globs: ['a:*'],
    onState: () => states++,
    onError: (error) => assert.fail(String(error)),
  });
  return { channel, asked, states: () => states };
}

test('a write names the state it was made from, and is known once it is stored', async () => {
  const { signal } = new AbortController();
  const { channel, asked, states } = makeChannel(KNOWN);
  await channel.read(signal);
  assert.deepEqual([channel.state, states()], [state, 1]);
  const next = withMember(state, 'two', 0);
  assert.equal(await channel.write(next, signal), true);
  assert.deepEqual([channel.state, states(), asked.at(-1)], [next, 2, `write ${KNOWN}`]);
  await channel.read(signal);
  assert.equal(channel.state, next, 'a node that is behind tells nothing new');
});

test('a state that lies too far back for the fold is followed from a newer place of its partition', async () => {
  const { signal } = new AbortController();
  const { channel, asked } = makeChannel('epoch1.15');
  await channel.read(signal);
  assert.equal(await channel.write(state, signal), false);
  assert.deepEqual(asked.slice(1), [
    `write ${KNOWN}`,
    '/v1/records',
    '/v1/feed now',
    '/v1/feed now',
    '/v1/records epoch1.15.zzzz',
  ]);
  assert.equal(await channel.write(state, signal), true);
  assert.equal(asked.at(-1), 'write epoch1.15.zzzz');
});
