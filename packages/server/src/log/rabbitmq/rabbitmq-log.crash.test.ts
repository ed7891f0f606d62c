import assert from 'node:assert/strict';
import { LogRun } from './testing/log-run.ts';
import { rabbitmqTests } from './testing/rabbitmq-room.ts';

const rabbitmqTest = rabbitmqTests();

rabbitmqTest('RabbitMQ killed under load and started again: all that was stored is there, in order', async (room) => {
  const run = await LogRun.open(room.broker.urlOf(`name=${room.name}`));
  const tail = await run.tail();
  const stop = run.write();
  await run.storedBeyond(500);
  await room.broker.kill();
  await run.until(() => run.events.at(-1)?.event === 'down', 'it to be said');
  await room.broker.restart();
  await run.until(() => run.events.at(-1)?.event === 'up', 'it to be said');
  await run.storedBeyond(run.stored.length + 500);
  await stop();
  await run.append(1);
  tail.assertWhole();
  const again = await run.tail();
  await again.count(tail.records.length);
  again.assertWhole();
  assert.deepEqual(again.records, tail.records);
  await run.log.close();
});

rabbitmqTest('RabbitMQ that comes back empty is another history: tails are told, and it goes on', async (room) => {
  const run = await LogRun.open(room.broker.urlOf(`name=${room.name}`));
  const tail = await run.tail();
  await run.append(5);
  await room.broker.kill();
  await room.broker.wipe();
  await room.broker.restart();
  const error = await tail.ended();
  assert.equal(error.reason, 'epoch');
  assert.ok(error.epoch !== undefined && !run.constants.epochs.includes(error.epoch), String(error.epoch));
  const fresh = await run.tail();
  assert.deepEqual(await run.append(1), [{ state: 'stored' }]);
  await fresh.count(1);
  assert.equal(fresh.records[0]?.record.rid, 'r6');
  const peer = await LogRun.open(room.broker.urlOf(`name=${room.name}`));
  assert.deepEqual(peer.constants.epochs, [error.epoch]);
  await peer.log.close();
  await run.log.close();
});
