/** What a worker makes of the beats on its link (PROTOCOL.md LNK-1, LNK-2). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { nodeEnv } from '../../env.ts';
import type { LogChange } from '../../ops/observer.ts';
import { encodeLinkFrame } from '../../view/remote/link.ts';
import { WorkerLink } from './worker-link.ts';

/** The two ends of a connection. */
async function ends(t: TestContext): Promise<readonly [Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [[far], near] = await Promise.all([
    once(server, 'connection') as Promise<[Socket]>,
    Promise.resolve(connect((server.address() as AddressInfo).port, '127.0.0.1')),
  ]);
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

test('a worker knows by the beats which partitions are down, and tells changes only', async (t) => {
  const [near, far] = await ends(t);
  const worker = new WorkerLink(nodeEnv, near);
  const changes: LogChange[] = [];
  const { durable } = worker.backbones({
    onLog: (change) => changes.push(change),
    onTrouble: (error) => assert.fail(String(error)),
  });
  const beat = (down: number[]) =>
    far.write(encodeLinkFrame({ op: 'beat', ridWindowMs: 1, partitions: 8, down } as never));
  for (const down of [[], [1, 4], [1, 4], [4, 5], []]) beat(down);
  await t.waitFor(() => assert.equal(changes.length, 4), { timeout: 60_000 });
  assert.deepEqual(
    changes.map(({ state, health }) => [state, health]),
    [
      ['down', { partitions: 8, down: [1, 4] }],
      ['up', { partitions: 8, down: [4, 5] }],
      ['down', { partitions: 8, down: [4, 5] }],
      ['up', { partitions: 8, down: [] }],
    ],
  );
  const places = new Set(Array.from({ length: 200 }, (_, n) => durable.partitionOf(`chat:${n}`)));
  assert.deepEqual(places, new Set([0, 1, 2, 3, 4, 5, 6, 7]));
});
