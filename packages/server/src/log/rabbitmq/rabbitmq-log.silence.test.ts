import assert from 'node:assert/strict';
import type { AppendOutcome } from '../log.ts';
import { LogRun } from './testing/log-run.ts';
import { failure, Kept, rabbitmqTests, soon, wanted } from './testing/rabbitmq-room.ts';
import { TcpRelay } from './testing/tcp-relay.ts';

const rabbitmqTest = rabbitmqTests();

rabbitmqTest(
  'a RabbitMQ that is paused is found out and said to be down; awake again, nothing is missing',
  async (room) => {
    const run = await LogRun.open(room.broker.urlOf(`name=${room.name}`));
    const tail = await run.tail();
    const stop = run.write();
    await run.storedBeyond(100);
    room.broker.pause();
    try {
      await run.until(() => run.isDown, 'it to be said');
      const [outcome] = await run.append(1);
      assert.ok(outcome?.state === 'refused' && outcome.code === 'not_durable', JSON.stringify(outcome));
    } finally {
      room.broker.resume();
    }
    await run.until(() => run.events.at(-1)?.event === 'up', 'it to be said');
    await run.storedBeyond(run.stored.length + 100);
    await stop();
    await run.append(1);
    tail.assertWhole();
    await run.log.close();
  },
);

rabbitmqTest('a connection on which nothing comes any more is given up, with all that waits on it', async (room) => {
  const relay = await TcpRelay.to(room.broker.port);
  try {
    const url = room.broker.urlOf(`name=${room.name}`).replace(String(room.broker.port), String(relay.port));
    const port = room.port('', url);
    const down = Promise.withResolvers<Error>();
    port.onDown = down.resolve;
    await port.connect(wanted());
    await room.store(port, room.records(3));
    const kept = await Kept.follow(port);
    await kept.count(3);
    relay.silence();
    const appended = port.append(0, room.records(1), 1_000);
    const read = failure(port.bounds(0));
    assert.equal((await appended)[0]?.state, 'unknown');
    assert.match((await soon(down.promise, 'the loss to be found')).message, /has not answered for \d+ ms/);
    await kept.ended();
    await read;
    await port.connect(wanted());
    assert.ok((await port.bounds(0)).newest >= 3);
  } finally {
    await relay.close();
  }
});

rabbitmqTest('while RabbitMQ is short of memory appends are refused in words, and reads go on', async (room) => {
  const port = await room.connected();
  let downs = 0;
  port.onDown = () => downs++;
  await room.store(port, room.records(3));
  await room.broker.control('set_vm_memory_high_watermark', 'absolute', '1MB');
  // RabbitMQ says that it is blocked only to who publishes, after a while: until then there is an answer, or none.
  let sent = 0;
  const refused = async (): Promise<AppendOutcome> => {
    for (;;) {
      const [outcome] = await port.append(0, room.records(1), 1_000);
      if (outcome?.state === 'refused') return outcome;
      sent++;
    }
  };
  const outcome = await soon(refused(), 'a refusal');
  assert.ok(outcome.state === 'refused' && outcome.code === 'not_durable', JSON.stringify(outcome));
  assert.match(outcome.message, /takes no records: low on memory/);
  assert.equal((await port.read(0, 0, 3)).length, 3);
  await room.broker.control('set_vm_memory_high_watermark', '0.4');
  const kept = await Kept.follow(port);
  await kept.count(3 + sent);
  await room.store(port, room.records(1));
  assert.equal(downs, 0);
});
