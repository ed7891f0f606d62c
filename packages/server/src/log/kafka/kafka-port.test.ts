import assert from 'node:assert/strict';
import { test } from 'node:test';
import { positionOf } from '../position.ts';
import {
  assertStored,
  failure,
  kafkaRoom,
  makePort,
  newName,
  Reader,
  record,
  records,
  wanted,
  within,
} from './testing/kafka-room.ts';

const broker = kafkaRoom();

test('what is appended is followed, in order, with its fields, numbered from 1 without a hole', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '2' }));
  await port.connect(wanted(2));
  const reader = await Reader.start(port, 1, 0);
  const other = await Reader.start(port, 0, 0);
  const odd = record(0, {
    channel: 'чат:ü€😀',
    value: Buffer.from([0, 255, 254]),
    headers: new Map([
      ['tideway-user', 'Zoë'],
      ['tideway-key', ''],
    ]),
  });
  assertStored(await port.append(1, [odd], 10_000));
  assertStored(await port.append(1, records(1, 500), 10_000));
  await reader.count(501);
  assert.deepEqual(
    reader.records.map(({ number }) => number),
    Array.from({ length: 501 }, (_, n) => n + 1),
  );
  const [first, ...rest] = reader.records;
  assert.deepEqual(first?.channel, odd.channel);
  assert.deepEqual(first?.value, odd.value);
  assert.deepEqual(first?.headers, odd.headers);
  assert.ok(Math.abs((first?.brokerTime ?? 0) - Date.now()) < 3_600_000);
  for (const [n, one] of rest.entries()) assert.deepEqual(one.headers.get('tideway-rid'), `r${n + 1}`);
  assert.equal(other.records.length, 0);
  assert.deepEqual(await port.bounds(1), { oldest: 0, newest: 501 });
  assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 0 });
});

test('records are read at a place, and behind one up to a limit', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  await port.connect(wanted(1));
  for (let n = 1; n <= 100; n += 10) assertStored(await port.append(0, records(n, 10), 10_000));
  for (const number of [1, 10, 11, 57, 100]) {
    assert.equal((await port.at(0, number))?.headers.get('tideway-rid'), `r${number}`);
  }
  assert.equal(await port.at(0, 0), undefined);
  assert.equal(await port.at(0, 101), undefined);
  assert.equal(await port.at(0, 1_000), undefined);
  const page = await port.read(0, 15, 20);
  assert.deepEqual(
    page.map(({ number }) => number),
    Array.from({ length: 20 }, (_, n) => n + 16),
  );
  assert.deepEqual(await port.read(0, 100, 20), []);
  assert.equal((await port.read(0, 0, 1_000)).length, 100);
});

test('a record of 16 MiB is stored and read; batches are cut at about 1 MiB', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  await port.connect(wanted(1));
  const reader = await Reader.start(port, 0, 0);
  const large = record(1, { value: Buffer.alloc(port.declares.recordBytesMax, 7) });
  const middling = Array.from({ length: 10 }, (_, n) => record(2 + n, { value: Buffer.alloc(300_000, n) }));
  assertStored(await port.append(0, [large, ...middling], 20_000));
  await reader.count(11);
  assert.deepEqual(
    reader.rids,
    Array.from({ length: 11 }, (_, n) => `r${n + 1}`),
  );
  assert.ok(reader.records[0]?.value.equals(large.value));
  const page = await port.read(0, 1, 100);
  assert.ok(page.length >= 3 && page.length < 8, `about 1 MiB of 300,000 bytes each, not ${page.length}`);
});

test('while a follower is not done it is given nothing, another partition goes on, and nothing is lost', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '2' }));
  await port.connect(wanted(2));
  const slow = await Reader.start(port, 0, 0);
  const quick = await Reader.start(port, 1, 0);
  let release: (() => void) | undefined;
  slow.wait = () => new Promise((resolve) => (release = resolve));
  assertStored(await port.append(0, records(0, 1), 10_000));
  await slow.count(1);
  // Far more than is read ahead for one follower.
  for (let n = 0; n < 20; n++) {
    const values = records(1 + n * 10, 10).map((one) => ({ ...one, value: Buffer.alloc(50_000) }));
    assertStored(await port.append(0, values, 10_000));
    assertStored(await port.append(1, records(n, 1), 10_000));
  }
  await quick.count(20);
  assert.equal(slow.records.length, 1);
  slow.wait = undefined;
  release?.();
  await slow.count(201);
  assert.deepEqual(
    slow.rids,
    Array.from({ length: 201 }, (_, n) => `r${n}`),
  );
});

test('a stopped follower is given nothing more, and another may start at once in its place', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  await port.connect(wanted(1));
  assertStored(await port.append(0, records(1, 10), 10_000));
  const first = await Reader.start(port, 0, 0);
  await first.count(10);
  await first.following?.stop();
  const second = await Reader.start(port, 0, 5);
  assertStored(await port.append(0, records(11, 5), 10_000));
  await second.count(10);
  assert.deepEqual(
    second.records.map(({ number }) => number),
    Array.from({ length: 10 }, (_, n) => n + 6),
  );
  assert.equal(first.records.length, 10);
  assert.equal(first.ended, undefined);
});

test('of two nodes that make a log at once one decides its constants', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const url = cluster.url(newName());
  const ports = Array.from({ length: 4 }, () => makePort(t, url));
  const got = await Promise.all(ports.map((port) => port.connect(wanted(3))));
  for (const constants of got) assert.deepEqual(constants, got[0]);
  assert.equal(got[0]?.partitions.length, 3);
  // Whoever wants something else is told what there is.
  const later = await makePort(t, url).connect({ ...wanted(3), window: 5 });
  assert.deepEqual(later, got[0]);
  assert.match(
    (await failure(makePort(t, `${url}?partitions=4`).connect(wanted(4)))).message,
    /3 partitions.*asks for 4/,
  );
});

test('what lies behind a trimmed place is trimmed, a place behind the end is diverged', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1', retention: 'none' }));
  await port.connect(wanted(1));
  assertStored(await port.append(0, records(1, 100), 10_000));
  await port.trim?.(0, 40);
  assert.deepEqual(await port.bounds(0), { oldest: 40, newest: 100 });
  assert.equal(await port.at(0, 40), undefined);
  assert.equal((await port.at(0, 41))?.headers.get('tideway-rid'), 'r41');
  const early = await (await Reader.start(port, 0, 39)).end();
  assert.deepEqual([early.reason, early.oldest], ['trimmed', positionOf(40)]);
  const exact = await Reader.start(port, 0, 40);
  await exact.count(60);
  assert.equal(exact.rids[0], 'r41');
  assert.equal((await (await Reader.start(port, 0, 101)).end()).reason, 'diverged');
  const read = await failure(port.read(0, 39, 10));
  assert.match(read.message, /the oldest kept follows 40/);
});

test('signals reach every node that listens to their subject, the sender too, in order', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const url = cluster.url(newName(), { partitions: '1' });
  const [one, two] = [makePort(t, url), makePort(t, url)];
  await one.connect(wanted(1));
  await two.connect(wanted(1));
  const heard: string[][] = [[], []];
  let look: (() => void) | undefined;
  const listen = (to: string[]) => (bytes: Buffer) => {
    to.push(bytes.toString());
    look?.();
  };
  await one.onSignal('nodes', listen(heard[0] as string[]));
  const stop = await two.onSignal('nodes', listen(heard[1] as string[]));
  await two.onSignal('other', () => assert.fail('nobody sent to it'));
  for (let n = 0; n < 20; n++) one.signal('nodes', Buffer.from(`s${n}`));
  const all = new Promise<void>((resolve) => {
    look = () => heard.every((list) => list.length >= 20) && resolve();
    look();
  });
  await within(all, () => `20 signals, not ${heard.map((list) => list.length).join(' and ')}`);
  const expected = Array.from({ length: 20 }, (_, n) => `s${n}`);
  assert.deepEqual(heard, [expected, expected]);
  stop();
  two.signal('nodes', Buffer.from('last'));
  const last = new Promise<void>((resolve) => {
    look = () => heard[0]?.length === 21 && resolve();
    look();
  });
  await within(last, () => 'the last signal');
  assert.equal(heard[1]?.length, 20);
});

test('signals that together are more than a broker takes at once all arrive, in order', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  await port.connect(wanted(1));
  const heard: number[] = [];
  const all = Promise.withResolvers<void>();
  await port.onSignal('nodes', (bytes) => {
    if (heard.push(bytes.readUInt8()) === 100) all.resolve();
  });
  for (let n = 0; n < 100; n++) port.signal('nodes', Buffer.alloc(50 * 1024, n));
  await within(all.promise, () => `100 signals, not ${heard.length}`);
  assert.deepEqual(
    heard,
    Array.from({ length: 100 }, (_, n) => n),
  );
});
