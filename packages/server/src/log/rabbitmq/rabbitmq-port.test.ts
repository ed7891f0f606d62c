import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { connect } from 'amqplib';
import { BrokerError } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import { RabbitmqLink } from './rabbitmq-link.ts';
import { parseRabbitmqAddress } from './rabbitmq-address.ts';
import { assertStored, failure, Kept, ridOf, rabbitmqTests, soon, wanted } from './testing/rabbitmq-room.ts';

const rabbitmqTest = rabbitmqTests();

rabbitmqTest('what is appended is followed in order, from any number on, and read again', async (room) => {
  const port = await room.connected();
  const all = await Kept.follow(port);
  for (let n = 1; n <= 20; n++) await room.store(port, room.records(n));
  await all.count(210);
  assert.deepEqual(
    all.rids,
    Array.from({ length: 210 }, (_, n) => `r${n + 1}`),
  );
  assert.deepEqual(
    all.records.map(({ number }) => number),
    Array.from({ length: 210 }, (_, n) => n + 1),
  );
  assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 210 });
  for (const after of [0, 1, 100, 209]) {
    const rest = await Kept.follow(port, after);
    await rest.count(210 - after);
    assert.deepEqual(rest.records, all.records.slice(after));
    await rest.following?.stop();
    assert.deepEqual(await port.read(0, after, 50), all.records.slice(after, after + 50));
  }
  assert.deepEqual(await port.read(0, 210, 50), []);
  for (const number of [1, 100, 210]) assert.deepEqual(await port.at(0, number), all.records[number - 1]);
  for (const number of [0, 211, 10_000]) assert.equal(await port.at(0, number), undefined);
});

rabbitmqTest('a page ends at 1 MiB, and one record that is larger is a page', async (room) => {
  const port = await room.connected();
  await room.store(port, [...room.records(5, 300_000), ...room.records(1, 2_000_000), ...room.records(1)]);
  assert.deepEqual((await port.read(0, 0, 100)).map(ridOf), ['r1', 'r2', 'r3']);
  assert.deepEqual((await port.read(0, 5, 100)).map(ridOf), ['r6']);
  assert.deepEqual((await port.read(0, 6, 100)).map(ridOf), ['r7']);
  assert.equal((await port.at(0, 6))?.value.length, 2_000_000);
});

rabbitmqTest(
  'pages follow each other without a hole, whole ones up to the end, also where two readers take turns',
  async (room) => {
    const port = await room.connected('&keepBytes=1000000000&segmentBytes=50000');
    // What is written at once comes in large chunks, of which a page is a part.
    for (const count of [3_000, 1, 700, 1_299]) await room.store(port, room.records(count, 100));
    const readers = [300, 377, 512].map((limit) => ({ limit, after: 0, rids: [] as (string | undefined)[] }));
    const readPage = async (reader: (typeof readers)[number]): Promise<boolean> => {
      const page = await port.read(0, reader.after, reader.limit);
      assert.equal(page.length, Math.min(reader.limit, 5_000 - reader.rids.length));
      reader.rids.push(...page.map(ridOf));
      reader.after = page.at(-1)?.number ?? reader.after;
      return page.length > 0;
    };
    const [alone, ...together] = readers;
    assert.ok(alone !== undefined);
    while (await readPage(alone));
    while ((await Promise.all(together.map(readPage))).includes(true));
    for (const { rids } of readers) {
      assert.deepEqual(
        rids,
        Array.from({ length: 5_000 }, (_, n) => `r${n + 1}`),
      );
    }
  },
);

rabbitmqTest(
  'whoever catches up reads on where small records follow large ones, and large ones small ones',
  async (room) => {
    const port = await room.connected();
    for (const [count, bytes] of [
      [12, 300_000],
      [3_000, 100],
      [12, 300_000],
      [2_100, 100],
    ] as const) {
      await room.store(port, room.records(count, bytes));
    }
    const rids: (string | undefined)[] = [];
    await port.bounds(0);
    for (let after = 0; rids.length < 5_124;) {
      const page = await port.read(0, after, 1_000);
      rids.push(...page.map(ridOf));
      after = page.at(-1)?.number ?? after;
    }
    assert.deepEqual(
      rids,
      Array.from({ length: 5_124 }, (_, n) => `r${n + 1}`),
    );
  },
);

rabbitmqTest('an empty partition begins and ends at zero', async (room) => {
  const port = await room.connected();
  assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 0 });
  assert.deepEqual(await port.read(0, 0, 10), []);
  assert.equal(await port.at(0, 1), undefined);
});

rabbitmqTest("RabbitMQ's own notes between the records are no hole", async (room) => {
  // A segment begins with one, so there are many here.
  const port = await room.connected('&keepBytes=1000000000&segmentBytes=50000');
  const live = await Kept.follow(port);
  for (let n = 0; n < 20; n++) await room.store(port, room.records(100, 300));
  await live.count(2_000);
  const numbers = live.records.map(({ number }) => number);
  assert.ok(
    numbers.some((number, index) => number !== index + 1),
    'the numbers have holes, or this tests nothing',
  );
  const again = await Kept.follow(port);
  await again.count(2_000);
  assert.deepEqual(again.records, live.records);
  assert.equal(live.error ?? again.error, undefined);
  const hole = numbers.findIndex((number, index) => number !== index + 1);
  const before = numbers[hole - 1] as number;
  assert.deepEqual((await port.read(0, before, 2)).map(ridOf), [`r${hole + 1}`, `r${hole + 2}`]);
  assert.equal(await port.at(0, before + 1), undefined);
  const behindNote = await Kept.follow(port, before + 1);
  await behindNote.count(2_000 - hole);
  assert.equal(behindNote.rids[0], `r${hole + 1}`);
});

rabbitmqTest(
  'what the broker has trimmed is said to be trimmed, to readers and to a follower it overtakes',
  async (room) => {
    const port = await room.connected('&keepBytes=200000&segmentBytes=50000');
    const slow = await Kept.follow(port);
    const release = Promise.withResolvers<void>();
    slow.onRecords = () => release.promise;
    for (let n = 0; n < 60; n++) await room.store(port, room.records(40, 300));
    const { oldest, newest } = await port.bounds(0);
    assert.ok(oldest > 0 && oldest < newest, `${oldest} … ${newest}`);
    for (const after of [0, 1, oldest - 2]) {
      const told = await failure(port.read(0, after, 10));
      assert.ok(told instanceof TailError && told.reason === 'trimmed', String(told));
      const follower = await Kept.follow(port, after);
      const ended = await follower.ended();
      assert.ok(ended instanceof TailError && ended.reason === 'trimmed', String(ended));
      assert.deepEqual(follower.records, []);
    }
    assert.equal(await port.at(0, 1), undefined);
    assert.equal((await port.read(0, oldest, 1))[0]?.number, oldest + 1);
    const rest = await Kept.follow(port, oldest);
    await rest.until(() => rest.records.at(-1)?.number === newest, 'the newest');
    release.resolve();
    const overtaken = await slow.ended();
    assert.ok(overtaken instanceof TailError && overtaken.reason === 'trimmed', String(overtaken));
    assert.deepEqual(
      slow.rids,
      slow.rids.map((_, n) => `r${n + 1}`),
    );
  },
);

rabbitmqTest(
  'bounds are right while records are written: never before what was confirmed, never behind what was sent',
  async (room) => {
    const port = await room.connected();
    const reader = await room.connected();
    let [sent, confirmed, isOver] = [0, 0, false];
    const load = (async () => {
      for (let n = 0; !isOver; n++) {
        const records = room.records(1 + (n % 40), 200);
        sent += records.length;
        await room.store(port, records);
        confirmed += records.length;
      }
    })();
    try {
      for (let n = 0; n < 100; n++) {
        const before = confirmed;
        const { newest } = await reader.bounds(0);
        assert.ok(newest >= before && newest <= sent, `${before} ≤ ${newest} ≤ ${sent}`);
      }
    } finally {
      isOver = true;
      await load;
    }
  },
);

rabbitmqTest('while a follower is not done it is given nothing, and then everything', async (room) => {
  const port = await room.connected();
  const slow = await Kept.follow(port);
  const release = Promise.withResolvers<void>();
  slow.onRecords = () => release.promise;
  for (let n = 0; n < 30; n++) await room.store(port, room.records(100));
  const quick = await Kept.follow(port);
  await quick.count(3_000);
  await slow.count(1);
  assert.ok(slow.records.length < 3_000);
  slow.onRecords = () => undefined;
  release.resolve();
  await slow.count(3_000);
  assert.deepEqual(slow.records, quick.records);
  await slow.following?.stop();
  await room.store(port, room.records(1));
  await quick.count(3_001);
  assert.equal(slow.records.length, 3_000);
});

rabbitmqTest('nodes that make a log at once agree on its constants, and spare streams are removed', async (room) => {
  const ports = Array.from({ length: 4 }, () => room.port());
  const constants = await Promise.all(ports.map((port) => port.connect(wanted(2))));
  for (const one of constants) assert.deepEqual(one, constants[0]);
  const model = await connect(room.broker.urlOf(''));
  const channel = await model.createChannel();
  channel.on('error', () => undefined);
  for (const { identity } of constants[0]?.partitions ?? []) await channel.checkQueue(String(identity));
  await model.close();
  assert.deepEqual(await room.port().connect(wanted(3, 7)), constants[0]);
});

rabbitmqTest(
  'a stream that is deleted ends its followers, takes no records, and comes back with another epoch',
  async (room) => {
    const port = room.port();
    const before = await port.connect(wanted(2));
    const gone = await Kept.follow(port);
    await room.store(port, room.records(3));
    await gone.count(3);
    const model = await connect(room.broker.urlOf(''));
    await (await model.createChannel()).deleteQueue(String(before.partitions[0]?.identity));
    const ended = await gone.ended();
    assert.ok(ended instanceof TailError && ended.reason === 'epoch', String(ended));
    const [outcome] = await port.append(0, room.records(1), 30_000);
    assert.ok(outcome?.state === 'refused' && outcome.code === 'not_durable', JSON.stringify(outcome));
    for (const ask of [
      () => port.read(0, 0, 1),
      () => port.at(0, 1),
      () => port.bounds(0),
      () => Kept.follow(port, 3),
    ]) {
      const error = await failure(ask());
      assert.ok(error instanceof TailError && error.reason === 'epoch', String(error));
    }
    const others = await Promise.all([port.connect(wanted(2)), room.port().connect(wanted(2))]);
    assert.deepEqual(others[0], others[1]);
    assert.notEqual(others[0].partitions[0]?.epoch, before.partitions[0]?.epoch);
    assert.deepEqual(others[0].partitions[1], before.partitions[1]);
    assertStored(await port.append(0, room.records(1), 30_000));
    assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 1 });
    // Somebody makes a queue of the same name: it is not taken for the old one.
    const channel = await model.createChannel();
    const identity = String(others[0].partitions[0]?.identity);
    await channel.deleteQueue(identity);
    await channel.assertQueue(identity, { durable: true, arguments: { 'x-queue-type': 'stream' } });
    channel.sendToQueue(identity, Buffer.from('1'));
    await channel.close();
    const third = await room.port().connect(wanted(2));
    assert.notEqual(third.partitions[0]?.epoch, others[0].partitions[0]?.epoch);
    await model.close();
  },
);

rabbitmqTest('signals reach every node that listens, this one too, and outlive a connection', async (room) => {
  const [a, b] = [await room.connected(), room.port()];
  const heard: string[] = [];
  let look = (): void => undefined;
  const note = (who: string) => (bytes: Buffer) => {
    heard.push(`${who} ${bytes.toString()}`);
    look();
  };
  const came = (count: number): Promise<void> =>
    soon(
      new Promise((resolve) => {
        look = () => {
          if (heard.length >= count) resolve();
        };
        look();
      }),
      `${count} signals; ${heard.join()}`,
    );
  await b.onSignal('all', note('b'));
  await b.connect(wanted());
  const stop = await a.onSignal('all', note('a'));
  await a.onSignal('node.a', note('a only'));
  b.signal('all', Buffer.from('1'));
  b.signal('node.a', Buffer.from('2'));
  b.signal('node.none', Buffer.from('3'));
  await came(3);
  assert.deepEqual(heard.toSorted(), ['a 1', 'a only 2', 'b 1']);
  await a.connect(wanted());
  b.signal('all', Buffer.from('4'));
  await came(5);
  stop();
  a.signal('all', Buffer.from('5'));
  await came(6);
  assert.deepEqual(heard.slice(3).toSorted(), ['a 4', 'b 4', 'b 5']);
});

rabbitmqTest(
  'lone records do not wait for the acknowledgement of TCP, and heartbeats are those that were asked for',
  async (room) => {
    const noDelay: boolean[] = [];
    const original = Socket.prototype.setNoDelay;
    Socket.prototype.setNoDelay = function (on) {
      noDelay.push(on ?? true);
      return original.call(this, on);
    };
    try {
      const address = parseRabbitmqAddress(room.broker.url);
      const [member] = address.hosts;
      assert.ok(member !== undefined);
      const link = await RabbitmqLink.open(address, member, () => undefined);
      assert.deepEqual(noDelay, [true, true]);
      for (const { connection } of [link.writing, link.reading]) {
        assert.equal('heartbeat' in connection && connection.heartbeat, 10);
      }
      await link.close();
    } finally {
      Socket.prototype.setNoDelay = original;
    }
  },
);

rabbitmqTest('a closed port takes nothing and can be closed again', async (room) => {
  const port = await room.connected();
  let downs = 0;
  port.onDown = () => downs++;
  const kept = await Kept.follow(port);
  await port.close();
  await port.close();
  const [outcome] = await port.append(0, room.records(1), 1_000);
  assert.equal(outcome?.state, 'refused');
  assert.ok(!((await failure(port.bounds(0))) instanceof BrokerError));
  await kept.ended();
  port.signal('all', Buffer.from('x'));
  assert.equal(downs, 0);
});

rabbitmqTest(
  'a record over the limit of the server is too large, what it stores is known then, and others go on',
  async (room) => {
    const allow = (bytes: number): Promise<void> =>
      room.broker.control(
        'eval',
        `application:set_env(rabbit, max_message_size, ${bytes}), persistent_term:put(max_message_size, ${bytes}).`,
      );
    await allow(100_000);
    try {
      const port = await room.connected();
      const kept = await Kept.follow(port);
      await room.store(port, room.records(1, 100_000));
      const [large] = room.records(1, 100_001);
      const outcomes = await port.append(0, [large!, ...room.records(1)], 60_000);
      assert.deepEqual(
        outcomes.map((outcome) => ({ ...outcome, message: undefined })),
        ['too_large', 'not_durable'].map((code) => ({ state: 'refused', code, message: undefined })),
      );
      assert.match((outcomes[0] as { message: string }).message, /100001 bytes.*100000/);
      assert.equal(port.declares.recordBytesMax, 100_000);
      await room.store(port, room.records(1, 100_000));
      await kept.count(2);
      assert.deepEqual(kept.rids, ['r1', 'r4']);
    } finally {
      await allow(16 * 1024 * 1024);
    }
  },
);
