import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { KafkaCluster } from '../../../../../scripts/brokers/kafka.ts';
import { kafkaJars } from '../../../../../scripts/brokers/kafka-jars.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { fromNative, partitionOfChannel } from '../broker/native-record.ts';
import type { KafkaPort } from './kafka-port.ts';
import { assertStored, kafkaRoom, makePort, newName, Reader, record, wanted } from './testing/kafka-room.ts';

const run = promisify(execFile);
const broker = kafkaRoom();
const PARTITIONS = 4;

async function kcat(t: TestContext): Promise<boolean> {
  const found = await run('kcat', ['-V']).then(
    () => true,
    () => undefined,
  );
  return requireService(t, "kcat, Kafka's plain client in C (Debian: kafkacat)", found);
}

async function compiler(t: TestContext): Promise<boolean> {
  const found = await run('javac', ['-version']).then(
    () => true,
    () => undefined,
  );
  return requireService(t, 'javac, to run a client in Java (Debian: openjdk-17-jdk-headless)', found);
}

function produce(
  cluster: KafkaCluster,
  topic: string,
  lines: readonly string[],
  more: readonly string[],
): Promise<void> {
  const child = spawn('kcat', ['-P', '-b', cluster.bootstrap, '-t', topic, '-K', '\t', ...more], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`kcat ended with ${code}`))));
  });
}

/** Produces, then prints everything the topic holds. */
function java(cluster: KafkaCluster, topic: string, codec: string): Promise<{ stdout: string }> {
  const file = join(import.meta.dirname, 'testing', 'PlainClient.java');
  const quick = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  return run('java', [...quick, '-cp', join(kafkaJars(), '*'), file, cluster.bootstrap, topic, codec]);
}

async function start(t: TestContext, cluster: KafkaCluster): Promise<{ name: string; port: KafkaPort; all: Reader[] }> {
  const name = newName();
  const port = makePort(t, cluster.url(name, { partitions: String(PARTITIONS) }));
  await port.connect(wanted(PARTITIONS));
  const all = await Promise.all(Array.from({ length: PARTITIONS }, (_, n) => Reader.start(port, n, 0)));
  return { name, port, all };
}

test('what a plain client produces with a channel as the key is where we look for it, compressed in any way', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined || !(await kcat(t))) return;
  const { name, all } = await start(t, cluster);
  const channels = Array.from({ length: 40 }, (_, n) => `чат:ü${n}`);
  const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
  for (const codec of codecs) {
    const lines = channels.map((channel, n) => `${channel}\t{"n":${n},"codec":"${codec}"}`);
    await produce(cluster, name, lines, ['-z', codec, '-H', `tideway-rid=${codec}`, '-H', 'other=1']);
  }
  for (const [partition, reader] of all.entries()) {
    const here = channels.filter((channel) => partitionOfChannel(channel, PARTITIONS) === partition);
    await reader.count(here.length * codecs.length);
    for (const codec of codecs) {
      const came = reader.records.filter(({ headers }) => headers.get('tideway-rid') === codec).map(fromNative);
      assert.deepEqual(came.map(({ channel }) => channel).toSorted(), here.toSorted());
      for (const { channel, payload, kind, encoding, rid, time } of came) {
        const expected = `{"n":${channels.indexOf(channel)},"codec":"${codec}"}`;
        assert.deepEqual([String(payload), kind, encoding, rid], [expected, 'data', 'json', codec]);
        assert.ok(Math.abs((time ?? 0) - Date.now()) < 3_600_000, "it has the broker's time");
      }
    }
  }
});

test('records without a key, with one that is no text, or without a value are records that say nothing', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined || !(await kcat(t))) return;
  const { name, port, all } = await start(t, cluster);
  await produce(cluster, name, ['\t{}'], ['-p', '0', '-Z']);
  await produce(cluster, name, ['test:1\t'], ['-p', '0', '-Z']);
  const { Producer } = await import('@platformatic/kafka');
  const producer = new Producer({ clientId: 'test', bootstrapBrokers: cluster.bootstrap.split(',') });
  t.after(() => producer.close());
  const bad = Buffer.from([0xff, 0xfe]);
  const value = Buffer.from('{}');
  const key = Buffer.from('test:1');
  const headers = new Map([[Buffer.from('tideway-user'), bad]]);
  await producer.send({ messages: [{ topic: name, partition: 0, key: bad, value }] });
  await producer.send({ messages: [{ topic: name, partition: 0, key, value, headers }] });
  await producer.send({ messages: [{ topic: name, partition: 0, key, value: bad }] });
  assertStored(await port.append(0, [record(1)], 10_000));
  await all[0]?.count(6);
  const channels = all[0]?.records.map((one) => fromNative(one).channel);
  assert.deepEqual(channels, ['', '', '', '', '', 'test:1']);
});

test('a plain client in C reads what was appended: channel, payload and headers', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined || !(await kcat(t))) return;
  const { name, port } = await start(t, cluster);
  const own = [1, 2, 3].map((n) => record(n, { channel: `чат:${n}` }));
  assertStored(await port.append(2, own, 10_000));
  const format = ['-f', '%p %o %k %s %h\n'];
  const { stdout } = await run('kcat', ['-C', '-q', '-e', '-b', cluster.bootstrap, '-t', name, ...format]);
  assert.deepEqual(
    stdout.trim().split('\n'),
    [1, 2, 3].map((n) => `2 ${n - 1} чат:${n} {"n":${n}} tideway-time=${1_764_000_000_000 + n},tideway-rid=r${n}`),
  );
});

test('Java reads what was appended, and what it produces in transactions has no holes: their markers say nothing', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined || !(await compiler(t))) return;
  const { name, port, all } = await start(t, cluster);
  assertStored(await port.append(1, [record(1, { channel: 'чат:1' })], 10_000));
  const { stdout } = await java(cluster, name, 'lz4');
  const [first] = stdout.split('\n').filter((line) => line.startsWith('1\t0\t'));
  assert.equal(first, '1\t0\tчат:1\t{"n":1}\ttideway-rid=r1,tideway-time=1764000000001');
  // Ten channels, ten records each, in two transactions; each transaction leaves a marker in each partition it wrote to.
  const channels = Array.from({ length: 10 }, (_, n) => `java:${n}`);
  for (const [partition, reader] of all.entries()) {
    const here = channels.filter((channel) => partitionOfChannel(channel, PARTITIONS) === partition);
    const before = partition === 1 ? 1 : 0;
    const markers = here.length === 0 ? 0 : 2;
    const count = before + here.length * 10 + markers;
    await reader.count(count);
    assert.deepEqual(await port.bounds(partition), { oldest: 0, newest: count });
    assert.deepEqual(
      reader.records.map(({ number }) => number),
      Array.from({ length: count }, (_, n) => n + 1),
    );
    assert.equal(reader.records.filter((one) => fromNative(one).channel === '').length, markers);
    for (const channel of here) {
      const rids = reader.records.filter((one) => one.channel === channel).map((one) => fromNative(one).rid);
      const expected = Array.from({ length: 10 }, (_, n) => `j${n * 10 + Number(channel.slice(5))}`);
      assert.deepEqual(rids, expected);
    }
  }
});
