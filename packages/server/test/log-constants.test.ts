import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createServer, type Server } from 'tideway';
import { kafka } from '../../../scripts/brokers/kafka.ts';
import { nats } from '../../../scripts/brokers/nats.ts';
import { rabbitmq } from '../../../scripts/brokers/rabbitmq.ts';
import { redis } from '../../../scripts/brokers/redis.ts';
import { requireService } from '../../../scripts/services.ts';

// How many partitions a log has is decided once: another number would put channels elsewhere.

async function start(t: TestContext, log: string): Promise<Server> {
  const data = await mkdtemp(join(tmpdir(), 'tideway-node-'));
  t.after(() => rm(data, { recursive: true, force: true, maxRetries: 20 }));
  const server = await createServer({ log, data, development: true, logger: () => {} });
  t.after(() => server.close({ drainMs: 0 }));
  return server;
}

/** @param partitions absent: the address does not say how many */
function withPartitions(url: string, partitions?: number): string {
  const address = new URL(url);
  address.searchParams.delete('partitions');
  if (partitions !== undefined) address.searchParams.set('partitions', String(partitions));
  return address.href;
}

for (const kind of [redis, nats, rabbitmq, kafka]) {
  test(`${kind.name}: a node that is told other constants than the log's does not start, in words that name both`, async (t) => {
    if (!requireService(t, kind.name, kind.missing() === undefined)) return;
    const broker = await kind.start();
    t.after(() => broker.stop());
    await start(t, withPartitions(broker.url, 3));
    await assert.rejects(start(t, withPartitions(broker.url, 5)), (error: Error) => {
      assert.match(error.message, /\b3\b.*partitions?\b.*\b5\b/);
      return true;
    });
    // What says nothing takes the log as it is.
    await start(t, withPartitions(broker.url));
  });
}
