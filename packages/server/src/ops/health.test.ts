import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealth, type NodeState } from './health.ts';

test('readyz is 200 only while the node is ready; healthz always, as long as it answers', () => {
  const health = createHealth({ version: '1.2.3' });
  const statuses: Record<NodeState, number> = { starting: 503, ready: 200, draining: 503, stopped: 503 };
  for (const [state, status] of Object.entries(statuses) as [NodeState, number][]) {
    health.setState(state);
    assert.deepEqual(health.readyz(false), { status, body: { status: state, log: 'up', version: '1.2.3' } });
    assert.equal(health.healthz().status, 200);
  }
});

test('a lost log does not empty the load balancer: ready stays 200, and says the log is down', () => {
  const health = createHealth({ version: '1' });
  health.setState('ready');
  health.setLog({ partitions: 1, down: [0] });
  assert.equal(health.isLogUp, false);
  assert.deepEqual(health.readyz(false), { status: 200, body: { status: 'ready', log: 'down', version: '1' } });
});

test('a node that fills its view is ready only for who asks for it; it says how far it is', () => {
  const health = createHealth({ version: '1' });
  let toFill = 7;
  health.watchFilling(() => toFill);
  assert.equal(health.readyz(true).status, 503, 'it has not started');
  health.setState('ready');
  const body = { status: 'filling', toFill: 7, log: 'up', version: '1' };
  assert.deepEqual(health.readyz(false), { status: 503, body });
  assert.deepEqual(health.readyz(true), { status: 200, body });
  toFill = 0;
  assert.deepEqual(health.readyz(false), { status: 200, body: { status: 'ready', log: 'up', version: '1' } });
  toFill = 7;
  health.setState('draining');
  assert.deepEqual(health.readyz(true), { status: 503, body: { status: 'draining', log: 'up', version: '1' } });
});

test('readyz names the partitions that are down where the others are up', () => {
  const health = createHealth({ version: '1' });
  health.setLog({ partitions: 4, down: [1, 3] });
  assert.equal(health.isLogUp, false);
  assert.deepEqual(health.readyz(false).body, {
    status: 'starting',
    log: 'down',
    partitionsDown: [1, 3],
    version: '1',
  });
  health.setLog({ partitions: 4, down: [] });
  assert.deepEqual(health.readyz(false).body, { status: 'starting', log: 'up', version: '1' });
});
