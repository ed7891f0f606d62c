import assert from 'node:assert/strict';
import { TailError } from '../log.ts';
import { positionOf } from '../position.ts';
import { numbers, PortRoom, Reader, records, redisTest, startServer, wantedConstants } from './testing/redis-room.ts';

function isTrimmed(oldest: number): (error: Error) => true {
  return (error) => {
    assert.ok(error instanceof TailError && error.reason === 'trimmed', String(error));
    assert.equal(error.oldest, positionOf(oldest));
    return true;
  };
}

function isDamaged(error: Error): true {
  assert.ok(error instanceof TailError && error.reason === 'damaged', String(error));
  return true;
}

redisTest('the first to connect makes the constants, the others are given them', async (t) => {
  const server = await startServer(t);
  const rooms = Array.from({ length: 5 }, () => new PortRoom(t, server.url));
  const wanted = rooms.map((_, n) => wantedConstants(1 + n, 1_000 + n));
  const given = await Promise.all(rooms.map(({ port }, n) => port.connect(wanted[n]!)));
  for (const one of given) assert.deepEqual(one, given[0]);
  assert.ok(wanted.some(({ window }) => window === given[0]?.window));
  const again = new PortRoom(t, server.url);
  assert.deepEqual(await again.port.connect(wantedConstants(9)), given[0]);
  const other = new PortRoom(t, `${server.url}/other`);
  assert.notDeepEqual(await other.port.connect(wantedConstants(1)), given[0]);
});

redisTest('records are numbered from 1 without a hole and come back as they were, read and followed', async (t) => {
  const room = await PortRoom.open(t, (await startServer(t)).url);
  const reader = new Reader();
  await room.port.follow(0, 0, reader.events);
  const written = [
    ...records(3),
    ...records(1, { value: Buffer.from([0, 255, 128, 10, 13, 0]), headers: new Map() }),
    ...records(1, {
      channel: 'ä:ü/😀',
      headers: new Map([
        ['tideway-user', 'Zoë'],
        ['other', ''],
      ]),
    }),
    ...records(1, { value: Buffer.alloc(3_000_000, 7) }),
    ...records(1, { value: Buffer.alloc(0) }),
  ];
  await room.store(written.slice(0, 2));
  await room.store(written.slice(2));
  await reader.count(written.length);
  const expected = written.map((record, n) => ({ number: n + 1, ...record }));
  assert.deepEqual(reader.records, expected);
  const first = await room.port.read(0, 0, 100);
  assert.deepEqual([...first, ...(await room.port.read(0, first.length, 100))], expected);
  assert.deepEqual(await room.port.at(0, 5), expected[4]);
  assert.equal(await room.port.at(0, 0), undefined);
  assert.equal(await room.port.at(0, 8), undefined);
  assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 7 });
});

redisTest('a read is bounded by records and by bytes, and always gives one', async (t) => {
  const room = await PortRoom.open(t, (await startServer(t)).url);
  const { port } = room;
  await room.store(records(50, { value: Buffer.alloc(100_000) }));
  await room.store(records(2, { value: Buffer.alloc(5_000_000) }));
  const lengths = [];
  for (let after = 0; after < 52;) {
    const read = await port.read(0, after, 30);
    lengths.push(read.length);
    after += read.length;
  }
  assert.ok(
    lengths.every((length) => length >= 1 && length <= 14),
    lengths.join(),
  );
  assert.equal((await port.read(0, 0, 3)).length, 3);
  assert.deepEqual(await port.read(0, 52, 30), []);
});

redisTest(
  'small records and large ones in turns are read and followed whole, whatever a page was made for',
  async (t) => {
    const room = await PortRoom.open(t, (await startServer(t)).url);
    const reader = new Reader();
    await room.port.follow(0, 0, reader.events);
    for (const [howMany, bytes] of [
      [700, 10],
      [30, 200_000],
      [600, 10],
      [1, 2_000_000],
      [300, 10],
    ] as const) {
      await room.store(records(howMany, { value: Buffer.alloc(bytes) }));
    }
    await reader.count(1_631);
    assert.deepEqual(reader.numbers, numbers(1, 1_631));
    const read: number[] = [];
    const pages: number[] = [];
    while (read.length < 1_631) {
      const page = await room.port.read(0, read.length, 1_000);
      read.push(...page.map(({ number }) => number));
      pages.push(page.reduce((sum, { value }) => sum + value.length, 0));
    }
    assert.deepEqual(read, numbers(1, 1_631));
    assert.ok(Math.max(...pages) < 10_000_000, pages.join());
    const again = new Reader();
    await room.port.follow(0, 0, again.events);
    await again.count(1_631);
    assert.deepEqual(again.records, reader.records);
  },
);

redisTest('what several nodes append at once has one order, the same for all, without a hole', async (t) => {
  const server = await startServer(t);
  const rooms = await Promise.all([1, 2, 3].map(() => PortRoom.open(t, server.url)));
  const readers = rooms.map(() => new Reader());
  await Promise.all(rooms.map(({ port }, n) => port.follow(0, 0, readers[n]!.events)));
  const appending = rooms.map(async (room) => {
    for (let n = 0; n < 20; n++) await room.store(records(1 + (n % 7)));
  });
  await Promise.all(appending);
  const { newest } = await rooms[0]!.port.bounds(0);
  for (const reader of readers) {
    await reader.count(newest);
    assert.deepEqual(reader.numbers, numbers(1, newest));
    assert.deepEqual(reader.records, readers[0]?.records);
  }
});

redisTest('many partitions are followed over one connection; one whose reader is busy waits alone', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url, 6);
  const readers = numbers(0, 5).map(() => new Reader());
  for (const [n, reader] of readers.entries()) await room.port.follow(n, 0, reader.events);
  assert.equal(Number(/blocked_clients:(\d+)/.exec(server.cli('INFO', 'clients'))?.[1]) <= 1, true);
  const busy = readers[2]!;
  let release = (): void => {};
  busy.hold = new Promise((resolve) => (release = resolve));
  await room.store(records(1), 2);
  await busy.count(1);
  for (let n = 0; n < 30; n++) for (const partition of numbers(0, 5)) await room.store(records(2), partition);
  for (const reader of readers.filter((one) => one !== busy)) await reader.count(60);
  assert.deepEqual(busy.numbers, [1]);
  busy.hold = undefined;
  release();
  await busy.count(61);
  assert.deepEqual(busy.numbers, numbers(1, 61));
  await room.store(records(1), 2);
  await busy.count(62);
});

redisTest('a partition can be followed from any place, also while others are waited for, and let go of', async (t) => {
  const room = await PortRoom.open(t, (await startServer(t)).url, 2);
  await room.store(records(2_500), 0);
  const quiet = new Reader();
  await room.port.follow(1, 0, quiet.events);
  for (const after of [0, 1, 1_700, 2_499, 2_500]) {
    const reader = new Reader();
    const following = await room.port.follow(0, after, reader.events);
    await reader.count(2_500 - after);
    await room.store(records(1), 1);
    const { newest } = await room.port.bounds(0);
    assert.equal(newest, 2_500);
    assert.deepEqual(reader.numbers, numbers(after + 1, 2_500));
    await following.stop();
  }
  const reader = new Reader();
  const following = await room.port.follow(0, 2_500, reader.events);
  await room.store(records(1), 0);
  await reader.count(1);
  await following.stop();
  await room.store(records(1), 0);
  await room.store(records(1), 1);
  await quiet.count(6);
  assert.deepEqual(reader.numbers, [2_501]);
  assert.deepEqual(reader.ends, []);
});

redisTest('trimmed is the oldest, the numbers go on, and who stands before it is told', async (t) => {
  const room = await PortRoom.open(t, (await startServer(t)).url);
  await room.store(records(300));
  await room.port.trim(0, 120);
  assert.deepEqual(await room.port.bounds(0), { oldest: 120, newest: 300 });
  assert.equal((await room.port.read(0, 120, 1))[0]?.number, 121);
  assert.equal(await room.port.at(0, 120), undefined);
  await assert.rejects(room.port.read(0, 119, 10), isTrimmed(120));
  const reader = new Reader();
  await room.port.follow(0, 50, reader.events);
  isTrimmed(120)(await reader.end());
  await room.port.trim(0, 300);
  assert.deepEqual(await room.port.bounds(0), { oldest: 300, newest: 300 });
  assert.deepEqual(await room.port.read(0, 300, 10), []);
  await assert.rejects(room.port.read(0, 299, 10), isTrimmed(300));
  await room.store(records(1));
  assert.equal((await room.port.read(0, 300, 10))[0]?.number, 301);
});

redisTest('an entry that is gone inside the stream is a hole, never passed over', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url);
  await room.store(records(20));
  server.cli('XDEL', '{tideway:0}:records', '0-10');
  await assert.rejects(room.port.read(0, 5, 100), isDamaged);
  await assert.rejects(room.port.read(0, 9, 100), isDamaged);
  const reader = new Reader();
  await room.port.follow(0, 0, reader.events);
  isDamaged(await reader.end());
  assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 20 });
  server.cli('XDEL', '{tideway:0}:records', '0-20');
  await assert.rejects(room.port.read(0, 19, 100), isDamaged);
});

redisTest('any client produces and consumes: XADD with the id 0-*, XRANGE', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url);
  const reader = new Reader();
  await room.port.follow(0, 0, reader.events);
  const key = '{tideway:0}:records';
  const fields = ['channel', 'chat:1', 'value', '{"text":"ü"}', 'tideway-user', 'Zoë', 'tideway-rid', 'x1'];
  assert.equal(server.cli('XADD', key, '0-*', ...fields), '0-1');
  await room.store(records(1, { channel: 'chat:1', value: Buffer.from('{"n":1}'), headers: new Map([['a', 'b']]) }));
  assert.equal(server.cli('XADD', key, '0-*', 'value', 'no channel'), '0-3');
  await reader.count(3);
  assert.deepEqual(reader.records, [
    {
      number: 1,
      channel: 'chat:1',
      value: Buffer.from('{"text":"ü"}'),
      headers: new Map([
        ['tideway-user', 'Zoë'],
        ['tideway-rid', 'x1'],
      ]),
    },
    { number: 2, channel: 'chat:1', value: Buffer.from('{"n":1}'), headers: new Map([['a', 'b']]) },
    { number: 3, channel: undefined, value: Buffer.from('no channel'), headers: new Map() },
  ]);
  assert.deepEqual(server.cli('XRANGE', key, '0-2', '0-2').split('\n'), [
    '0-2',
    'channel',
    'chat:1',
    'value',
    '{"n":1}',
    'a',
    'b',
  ]);
});

redisTest('broken UTF-8 in a channel is no channel, and harms nobody', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url);
  const script = `return redis.call('XADD', KEYS[1], '0-*', 'channel', 'a:\\255', 'value', '\\255\\0', 'tideway-user', '\\255')`;
  server.cli('EVAL', script, '1', '{tideway:0}:records');
  await room.store(records(1));
  const [broken, next] = await room.port.read(0, 0, 10);
  const headers = new Map([['tideway-user', '\ufffd']]);
  assert.deepEqual(broken, { number: 1, channel: undefined, value: Buffer.from([255, 0]), headers });
  assert.equal(next?.channel, 'test:1');
});

redisTest(
  'an entry with an id that somebody chose is named, with the way to repair it, and the way works',
  async (t) => {
    const server = await startServer(t);
    const room = await PortRoom.open(t, server.url);
    const key = '{tideway:0}:records';
    await room.store(records(2));
    const id = server.cli('XADD', key, '*', 'channel', 'a:b', 'value', '1');
    const outcome = await room.appendOne();
    assert.ok(outcome.state === 'refused' && outcome.code === 'not_durable');
    assert.match(outcome.message, /somebody added an entry with an id of his own .* with the id 0-\*/);
    assert.equal((await room.port.read(0, 0, 10)).length, 2);
    const reader = new Reader();
    await room.port.follow(0, 2, reader.events);
    const error = await reader.end();
    isDamaged(error);
    assert.match(error.message, new RegExp(`the id ${id}.*XDEL.*XSETID`));
    server.cli('XDEL', key, id);
    server.cli('XSETID', key, '0-2');
    await room.store(records(1));
    assert.equal((await room.port.read(0, 2, 10))[0]?.number, 3);
  },
);

redisTest('signals reach every node that listens to their subject, also after a reconnect', async (t) => {
  const server = await startServer(t);
  const [one, other] = [await PortRoom.open(t, server.url), await PortRoom.open(t, server.url)];
  const heard: string[] = [];
  let look = (): void => {};
  const hear = (who: string) => (bytes: Buffer) => {
    heard.push(`${who} ${bytes.toString('latin1')}`);
    look();
  };
  const until = (count: number): Promise<void> =>
    new Promise((resolve) => {
      look = () => heard.length >= count && resolve();
      look();
    });
  await one.port.onSignal('a', hear('one'));
  const stop = await other.port.onSignal('a', hear('other'));
  await other.port.onSignal('b', hear('other b'));
  one.port.signal('a', Buffer.from([1, 255, 0]));
  await until(2);
  assert.deepEqual(heard.splice(0).toSorted(), ['one \x01\xff\x00', 'other \x01\xff\x00']);
  stop();
  await other.port.connect(wantedConstants());
  one.port.signal('a', Buffer.from('2'));
  one.port.signal('b', Buffer.from('3'));
  await until(2);
  assert.deepEqual(heard.toSorted(), ['one 2', 'other b 3']);
});
