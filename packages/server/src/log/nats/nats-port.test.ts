import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { requireService } from '../../../../../scripts/services.ts';
import { nats, startNats, type NatsBroker } from '../../../../../scripts/brokers/nats.ts';
import type { StoredRecord } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import { APPEND_MS, assertStored, NatsRoom, newName, record, recordsOf, ridOf } from './testing/nats-room.ts';

let broker: NatsBroker | undefined;
before(async () => {
  if (nats.missing() === undefined) broker = await startNats();
});
after(() => broker?.stop());

async function open(t: TestContext, query = 'partitions=2'): Promise<NatsRoom | undefined> {
  if (!requireService(t, nats.missing() ?? 'nats-server', broker)) return undefined;
  const room = await NatsRoom.open(broker.urlOf(newName(), query));
  t.after(() => room.port.close());
  return room;
}

test('records come back as they were appended, followed, in pages and one by one', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  const { port } = room;
  const records = [
    record('chat:a.b', { user: 'Zoë', key: 'ключ', rid: ' r ' }),
    record('chat:a', { key: 'line\r\nend', expect: 'Ab3-_z.41234.zzzz', ticket: '' }),
    record('chat:a', { kind: 'trim', payload: Buffer.alloc(0) }),
    record('chat:>*% ', { encoding: 'bytes', payload: Buffer.alloc(1_500_000, 7), time: undefined }),
    record('chat:ü'),
  ];
  await room.store(1, records);
  const reading = await room.follow(1);
  await reading.count(5);
  const page = [...(await port.read(1, 0, 100)), ...(await port.read(1, 3, 100)), ...(await port.read(1, 4, 100))];
  const single = await Promise.all([1, 2, 3, 4, 5].map((number) => port.at(1, number)));
  for (const seen of [reading.records, page, single]) {
    assert.equal(seen.length, 5);
    seen.forEach((one, n) => {
      assert.equal(one?.number, n + 1);
      assert.equal(one?.channel, records[n]?.channel);
      assert.deepEqual(one?.value, records[n]?.value);
      assert.deepEqual(new Map(one?.headers), new Map(records[n]?.headers));
      assert.ok(Math.abs((one?.brokerTime ?? 0) - Date.now()) < 60_000);
    });
  }
  assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 0 });
  assert.deepEqual(await port.bounds(1), { oldest: 0, newest: 5 });
  assert.equal(await port.at(1, 6), undefined);
  assert.deepEqual(await port.read(1, 5, 10), []);
});

test('a follower from any number gives what follows it, then what comes', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  const records = recordsOf('chat:a', 3_000);
  await room.store(0, records);
  const rids = records.map((one) => ridOf(one));
  for (const from of [0, 1, 1_500, 2_999, 3_000]) {
    const reading = await room.follow(0, from);
    await reading.count(3_000 - from);
    assert.deepEqual(reading.rids, rids.slice(from));
    await reading.following?.stop();
  }
  const reading = await room.follow(0, 3_000);
  const more = recordsOf('chat:a', 20);
  for (const one of more) await room.store(0, [one]);
  await reading.count(20);
  assert.deepEqual(
    reading.rids,
    more.map((one) => ridOf(one)),
  );
});

test('while its consumer is busy a follower is given nothing, and holds no more than three requests', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  await room.store(0, recordsOf('chat:a', 1));
  const reading = await room.follow(0);
  let release: (() => void) | undefined;
  reading.onRecords = () => new Promise<void>((resolve) => (release = resolve));
  await reading.count(1);
  const records = recordsOf('chat:a', 6_000);
  for (let n = 0; n < records.length; n += 1_000) await room.store(0, records.slice(n, n + 1_000));
  // What the server would send has come before the answer to a later question.
  await room.port.bounds(0);
  assert.equal(reading.records.length, 1);
  const sizes: number[] = [];
  reading.onRecords = (batch) => {
    sizes.push(batch.length);
    return undefined;
  };
  release?.();
  await reading.count(6_001);
  assert.deepEqual(
    reading.rids.slice(1),
    records.map((one) => ridOf(one)),
  );
  assert.ok((sizes[0] ?? 0) <= 3 * 512, `${sizes[0]} at once`);
});

test('pages end where 1 MiB is full, and a record larger than that is a page of its own', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  const records = [
    ...recordsOf('chat:a', 30, { payload: Buffer.alloc(100_000, 0x20) }),
    ...recordsOf('chat:a', 6, { payload: Buffer.alloc(2_000_000, 0x20) }),
  ];
  for (const one of records) await room.store(0, [one]);
  const rids: (string | undefined)[] = [];
  let pages = 0;
  for (let at = 0; at < records.length; pages++) {
    const page: readonly StoredRecord[] = await room.port.read(0, at, 1_000);
    assert.ok(page.length > 0 && page.length < 12);
    rids.push(...page.map((one) => ridOf(one)));
    at = page.at(-1)?.number ?? 0;
  }
  assert.deepEqual(
    rids,
    records.map((one) => ridOf(one)),
  );
  assert.ok(pages >= 8);
});

test('pages far from the end follow each other, also where two readers take turns or a trim overtakes them', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  const { port } = room;
  const records = recordsOf('chat:a', 4_000);
  await room.store(0, records);
  const rids = records.map((one) => ridOf(one));
  const readers = [300, 377].map((limit) => ({ limit, after: 0, rids: [] as (string | undefined)[] }));
  while (readers.some(({ after }) => after < 4_000)) {
    await Promise.all(
      readers.map(async (reader) => {
        const page = await port.read(0, reader.after, reader.limit);
        assert.equal(page.length, Math.min(reader.limit, 4_000 - reader.after));
        reader.rids.push(...page.map((one) => ridOf(one)));
        reader.after += page.length;
      }),
    );
  }
  for (const reader of readers) assert.deepEqual(reader.rids, rids);
  assert.equal((await port.read(0, 0, 300)).length, 300);
  await port.trim(0, 1_000);
  await assert.rejects(port.read(0, 300, 300), (error) => error instanceof TailError && error.reason === 'trimmed');
  assert.equal((await port.read(0, 1_000, 300))[0]?.number, 1_001);
});

test('what is trimmed is gone oldest first, and whoever stands before it is told', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  const { port } = room;
  await room.store(0, recordsOf('chat:a', 100));
  await port.trim(0, 60);
  assert.deepEqual(await port.bounds(0), { oldest: 60, newest: 100 });
  const isTrimmed = (error: unknown): boolean =>
    error instanceof TailError && error.reason === 'trimmed' && error.oldest !== undefined;
  await assert.rejects(port.read(0, 59, 10), isTrimmed);
  await assert.rejects(room.follow(0, 59), isTrimmed);
  assert.equal((await port.read(0, 60, 100)).length, 40);
  assert.equal(await port.at(0, 60), undefined);
  await port.trim(0, 100);
  assert.deepEqual(await port.bounds(0), { oldest: 100, newest: 100 });
  await room.store(0, recordsOf('chat:a', 1));
  assert.equal((await port.at(0, 101))?.number, 101);
});

test('a follower that stands behind the end is told that the log was rewound', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  await room.store(0, recordsOf('chat:a', 3));
  await assert.rejects(
    room.follow(0, 4),
    (error: unknown) => error instanceof TailError && error.reason === 'diverged',
  );
});

test('a record over the limit of the server is refused, and nothing behind it is stored', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  assert.ok(room.port.declares.recordBytesMax < 8 * 1024 * 1024);
  const records = [
    record('chat:a'),
    record('chat:a', { payload: Buffer.alloc(8 * 1024 * 1024 + 1) }),
    record('chat:a'),
  ];
  const outcomes = await room.port.append(0, records, APPEND_MS);
  assert.equal(outcomes[0]?.state, 'stored');
  assert.notEqual(outcomes[1]?.state, 'stored');
  assert.notEqual(outcomes[2]?.state, 'stored');
  assert.equal((await room.port.bounds(0)).newest, 1);
});

test('nodes that start at once share what the first has stored, and a node that comes later finds it', async (t) => {
  if (!requireService(t, nats.missing() ?? 'nats-server', broker)) return;
  const url = broker.urlOf(newName(), 'partitions=3');
  const rooms = Array.from({ length: 4 }, () => new NatsRoom(url));
  t.after(() => Promise.all(rooms.map(({ port }) => port.close())));
  const all = await Promise.all(rooms.map((room) => room.connect()));
  for (const constants of all) assert.deepEqual(constants, all[0]);
  const winner = rooms.find(({ wanted }) => wanted.partitions[0]?.epoch === all[0]?.partitions[0]?.epoch);
  assert.ok(winner !== undefined);
  const later = new NatsRoom(broker.urlOf(/\/(t[\w-]+)\?/.exec(url)?.[1] ?? '', 'partitions=5'));
  t.after(() => later.port.close());
  assert.deepEqual(await later.connect(), all[0]);
});

test('signals reach every listener of their subject on other nodes, and none that has left', async (t) => {
  if (!requireService(t, nats.missing() ?? 'nats-server', broker)) return;
  const url = broker.urlOf(newName());
  const [one, two] = [await NatsRoom.open(url), await NatsRoom.open(url)];
  t.after(() => Promise.all([one.port.close(), two.port.close()]));
  const heard: string[] = [];
  let look = (): void => {};
  const leave = await two.port.onSignal('node.7', (bytes) => {
    heard.push(`a ${bytes.toString()}`);
    look();
  });
  await two.port.onSignal('node.7', (bytes) => {
    heard.push(`b ${bytes.toString()}`);
    look();
  });
  const came = (count: number): Promise<void> =>
    new Promise((resolve) => {
      look = () => heard.length >= count && resolve();
      look();
    });
  one.port.signal('node.8', Buffer.from('no'));
  one.port.signal('node.7', Buffer.from('1'));
  await came(2);
  leave();
  one.port.signal('node.7', Buffer.from('2'));
  await came(3);
  assert.deepEqual(heard, ['a 1', 'b 1', 'b 2']);
});

test('closing ends what is under way, and refuses what comes after', async (t) => {
  const room = await open(t);
  if (room === undefined) return;
  const reading = await room.follow(0);
  const under = room.port.append(0, recordsOf('chat:a', 10), APPEND_MS);
  await room.port.close();
  await under;
  assert.match((await reading.ended()).message, /closed/);
  assert.deepEqual(room.downs, []);
  const outcomes = await room.port.append(0, recordsOf('chat:a', 1), APPEND_MS);
  assert.equal(outcomes[0]?.state, 'refused');
  await assert.rejects(room.port.bounds(0), /not connected/);
  assertStored([]);
});
