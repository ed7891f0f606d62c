import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServer } from '../server.ts';

test('after close what was taken in process is over: appends are refused, readers and handlers end', async () => {
  const server = await createServer({ log: 'memory:', logger: () => {}, namespaces: { free: {} } });
  const channel = server.channel('free:a');
  const seen: unknown[] = [];
  channel.on({ from: 'oldest', onGap: 'throw' }, (record) => void seen.push(record.data));
  const reader = channel.read({ from: 'oldest', onGap: 'throw' });
  await channel.append(1);
  assert.equal((await reader.next()).value?.data, 1);
  const pending = reader.next();
  await server.close({ drainMs: 0 });
  const done = { done: true, value: undefined };
  assert.deepEqual(await pending, done);
  assert.deepEqual(await channel.read({ from: 'oldest', onGap: 'throw' }).next(), done);
  const isClosed = { name: 'TidewayError', code: 'disconnected' };
  await assert.rejects(channel.append(2), isClosed);
  await assert.rejects(channel.history(), isClosed);
  assert.throws(() => server.channel('free:b'), isClosed);
  assert.deepEqual(seen, [1]);
});
