import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealth, type NodeState } from './health.ts';

test('readyz is 200 only while the node is ready; healthz always, as long as it answers', () => {
  const health = createHealth({ version: '1.2.3' });
  const statuses: Record<NodeState, number> = { starting: 503, ready: 200, draining: 503, stopped: 503 };
  for (const [state, status] of Object.entries(statuses) as [NodeState, number][]) {
    health.setState(state);
    assert.deepEqual(health.readyz(), { status, body: { status: state, log: 'up', version: '1.2.3' } });
    assert.equal(health.healthz().status, 200);
  }
});

test('a lost log does not empty the load balancer: ready stays 200, and says the log is down', () => {
  const health = createHealth({ version: '1' });
  health.setState('ready');
  health.setLog('down');
  assert.equal(health.isLogUp, false);
  assert.deepEqual(health.readyz(), { status: 200, body: { status: 'ready', log: 'down', version: '1' } });
});
