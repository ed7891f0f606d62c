import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inWords, type BrokerStatus, type NodeStatus } from './status.ts';

const node = (state: NodeStatus['state']): NodeStatus => ({ state, pid: 7, restarts: 0, sessions: 0, instances: [] });
const broker: BrokerStatus = { name: 'Redis', place: '127.0.0.1:6379', state: 'down', isOwn: true };

test('one server in words', () => {
  assert.deepEqual(inWords({ nodes: [node('up')] }), { lamp: 'up', text: 'server up, pid 7' });
  assert.deepEqual(inWords({ nodes: [node('down')] }), { lamp: 'down', text: 'server dead' });
  assert.deepEqual(inWords({ nodes: [node('starting')] }), { lamp: 'starting', text: 'server starting' });
  const text = 'server up, pid 7, no broker';
  assert.deepEqual(inWords({ nodes: [node('log down')], broker }), { lamp: 'wait', text });
});

test('several nodes in words: how many serve, and whether their broker is there', () => {
  const all = (...states: readonly NodeStatus['state'][]) => ({ nodes: states.map(node) });
  assert.deepEqual(inWords(all('up', 'up', 'up')), { lamp: 'up', text: '3 nodes up' });
  assert.deepEqual(inWords(all('up', 'behind', 'paused')), { lamp: 'wait', text: '2 of 3 nodes up' });
  assert.deepEqual(inWords(all('down', 'silent')), { lamp: 'down', text: '0 of 2 nodes up' });
  const without = { ...all('log down', 'log down'), broker };
  assert.deepEqual(inWords(without), { lamp: 'wait', text: '2 nodes up, no broker' });
});
