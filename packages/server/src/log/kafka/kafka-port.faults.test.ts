import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { NativeRecord } from '../broker/native-record.ts';
import type { KafkaPort } from './kafka-port.ts';
import { AnswerProxy } from './testing/answer-proxy.ts';
import {
  assertStored,
  down,
  eventually,
  kafkaRoom,
  makePort,
  newName,
  Reader,
  reconnect,
  record,
  records,
  wanted,
} from './testing/kafka-room.ts';

const proxy = new AnswerProxy();
after(() => proxy.stop());
const broker = kafkaRoom({ advertise: proxy.start });

/** Appends until something else than `stored` comes; returns the rids that were stored and what came. */
async function appendUntilFailure(port: KafkaPort, deadlineMs: number): Promise<{ stored: string[]; last: string }> {
  const stored: string[] = [];
  for (let n = 0; ; n++) {
    const [outcome] = await port.append(0, [record(n)], deadlineMs);
    if (outcome?.state !== 'stored') return { stored, last: outcome?.state ?? 'nothing' };
    stored.push(`r${n}`);
  }
}

/** What the partition holds. */
async function ridsOf(port: KafkaPort): Promise<string[]> {
  const rids: string[] = [];
  for (;;) {
    const page = await port.read(0, rids.length, 1_000);
    if (page.length === 0) return rids;
    rids.push(...page.map(({ headers }) => String(headers.get('tideway-rid'))));
  }
}

test('a batch whose answer is lost is sent again and stored once', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  await port.connect(wanted(1));
  for (let n = 0; n < 50; n += 10) {
    proxy.loseNextAnswer();
    assertStored(await port.append(0, records(n, 10), 10_000));
  }
  assert.equal(proxy.lost, 5);
  assert.deepEqual(
    await ridsOf(port),
    Array.from({ length: 50 }, (_, n) => `r${n}`),
  );
});

test('a batch that its leader stored before it was none any more may be stored, and takes the place of no other', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  await port.connect(wanted(1));
  assertStored(await port.append(0, [record(0)], 10_000));
  // So answers a leader that loses its office while it waits for its replicas, of what it has appended already.
  proxy.answersProduceWith = 6;
  const outcomes = await port.append(0, [record(1)], 500);
  proxy.answersProduceWith = undefined;
  assert.equal(outcomes[0]?.state, 'unknown');
  assertStored(await port.append(0, [record(2)], 10_000));
  assert.deepEqual(await ridsOf(port), ['r0', 'r1', 'r2']);
});

test('killed and started again: it is said once, everything stored is there, the follower is told', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  const before = await port.connect(wanted(1));
  const reader = await Reader.start(port, 0, 0);
  const isDown = down(port);
  const appending = appendUntilFailure(port, 5_000);
  await reader.count(20);
  await cluster.members[0]?.kill();
  const { stored } = await appending;
  assert.match((await isDown).message, /kafka:\/\/127\.0\.0\.1.*nobody listens there|ended the connection/);
  assert.equal((await reader.end()).reason, 'unavailable');
  assert.equal((await port.append(0, [record(0)], 100))[0]?.state, 'refused');
  await cluster.members[0]?.restart();
  assert.deepEqual(await reconnect(port, wanted(1)), before);
  const rids = await ridsOf(port);
  assert.deepEqual(rids.slice(0, stored.length), stored);
  assert.ok(rids.length <= stored.length + 1);
  const again = await Reader.start(port, 0, reader.records.length);
  assertStored(await port.append(0, records(10_000, 1), 10_000));
  await again.count(rids.length + 1 - reader.records.length);
});

test('a broker that accepts and never answers is found; what it takes later never stands behind newer records', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  await port.connect(wanted(1));
  const reader = await Reader.start(port, 0, 0);
  assertStored(await port.append(0, records(0, 5), 10_000));
  await reader.count(5);
  let isFound = false;
  const isDown = down(port).then(() => (isFound = true));
  cluster.members[0]?.pause();
  let outcomes: readonly { readonly state: string }[];
  try {
    outcomes = await port.append(0, [record(5)], 1_000);
    assert.ok(!isFound, 'it answers by its deadline, which comes first');
    await isDown;
  } finally {
    cluster.members[0]?.resume();
  }
  assert.deepEqual(outcomes, [{ ...outcomes[0], state: 'unknown' }]);
  assert.equal((await reader.end()).reason, 'unavailable');
  await reconnect(port, wanted(1));
  for (let n = 6; n < 20; n++) assertStored(await port.append(0, [record(n)], 10_000));
  const rids = await ridsOf(port);
  const certain = Array.from({ length: 20 }, (_, n) => `r${n}`).filter((rid) => rid !== 'r5');
  assert.deepEqual(
    rids.filter((rid) => rid !== 'r5'),
    certain,
  );
  if (rids.includes('r5')) assert.deepEqual(rids.indexOf('r5'), 5);
});

test('a topic that was deleted and made again is another log: followers are told, epochs are new', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const { Admin } = await import('@platformatic/kafka');
  const name = newName();
  const port = makePort(t, cluster.url(name, { partitions: '2' }));
  const before = await port.connect(wanted(2));
  const reader = await Reader.start(port, 0, 0);
  assertStored(await port.append(0, records(0, 5), 10_000));
  await reader.count(5);
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: cluster.bootstrap.split(',') });
  t.after(() => admin.close());
  await admin.deleteTopics({ topics: [name] });
  assert.equal((await reader.end()).reason, 'epoch');
  const after = await reconnect(port, wanted(2));
  for (const [n, { epoch, identity }] of before.partitions.entries()) {
    assert.notEqual(after.partitions[n]?.epoch, epoch);
    assert.notEqual(after.partitions[n]?.identity, identity);
  }
  assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 0 });
  // Another node agrees, and so does this one later.
  assert.deepEqual(await makePort(t, cluster.url(name)).connect(wanted(2)), after);
  assertStored(await port.append(0, records(0, 5), 10_000));

  await admin.deleteTopics({ topics: [name] });
  await admin.createTopics({ topics: [name], partitions: 3, replicas: 1 });
  // The broker hears of it from its controller a moment later.
  await eventually(
    async () => {
      const said = String(await port.connect(wanted(2)).catch((error: unknown) => error));
      return said.includes('the topic has 3 partitions, the log was made with 2');
    },
    () => 'the port to say that the topic is another one',
  );
});

test('a broker that lost its disk has another log', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const [member] = cluster.members;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  const before = await port.connect(wanted(1));
  const batch: NativeRecord[] = records(0, 5);
  assertStored(await port.append(0, batch, 10_000));
  await Reader.start(port, 0, 0);
  const isDown = down(port);
  await member?.kill();
  await isDown;
  await member?.wipe();
  await member?.restart();
  const after = await reconnect(port, wanted(1));
  assert.notEqual(after.partitions[0]?.epoch, before.partitions[0]?.epoch);
  assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 0 });
  // Numbers of producers begin anew there, too: none of before is taken for one of now.
  for (let n = 0; n < 5; n++) assertStored(await port.append(0, [record(n)], 10_000));
  assert.deepEqual(await ridsOf(port), ['r0', 'r1', 'r2', 'r3', 'r4']);
});
