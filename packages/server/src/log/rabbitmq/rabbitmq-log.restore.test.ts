import assert from 'node:assert/strict';
import type { TailError } from '../log.ts';
import { LogRun } from './testing/log-run.ts';
import { failure, rabbitmqTests } from './testing/rabbitmq-room.ts';

const rabbitmqTest = rabbitmqTests();

rabbitmqTest('RabbitMQ restored from an older copy is found out, before and after it is written to', async (room) => {
  const run = await LogRun.open(room.broker.urlOf(`name=${room.name}`));
  await run.append(10);
  await room.broker.kill();
  await room.broker.saveData();
  await room.broker.restart();
  await run.until(() => run.events.at(-1)?.event === 'up', 'it to be up');
  const tail = await run.tail();
  await run.append(10);
  await tail.count(20);
  await room.broker.kill();
  await room.broker.restoreData();
  await room.broker.restart();
  assert.equal((await tail.ended()).reason, 'diverged');
  const places = tail.records.map(({ position, tag }) => ({ position, tag }));
  const [tenth, fifteenth] = [places[9], places[14]];
  assert.ok(tenth !== undefined && fifteenth !== undefined);
  assert.equal(((await failure(run.tail(fifteenth))) as TailError).reason, 'diverged');
  const rest = await run.tail(tenth);
  await run.append(10);
  // Before them stands the probe by which it was judged that the stream was rewound: no record of any channel.
  await rest.count(11);
  assert.deepEqual(
    rest.records.map(({ record }) => record.rid),
    [undefined, ...Array.from({ length: 10 }, (_, n) => `r${n + 21}`)],
  );
  assert.equal(rest.records[0]?.record.channel, '');
  assert.equal(((await failure(run.tail(fifteenth))) as TailError).reason, 'diverged');
  await run.log.close();
});
