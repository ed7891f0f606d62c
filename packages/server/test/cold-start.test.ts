/**
 * A node without a view before a long log on a real broker: it serves what is new at once, says `behind` of what it has
 * not read yet, and has everything in the end; stopped before that, it goes on where it was.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect } from '@tideway/client';
import { formatCursor } from '@tideway/protocol';
import { assertKept, hashData, HistoryChecker } from '@tideway/verifier/checker';
import type { BrokerKind } from '../../../scripts/brokers/broker.ts';
import { kafka } from '../../../scripts/brokers/kafka.ts';
import { nats } from '../../../scripts/brokers/nats.ts';
import { rabbitmq } from '../../../scripts/brokers/rabbitmq.ts';
import { redis } from '../../../scripts/brokers/redis.ts';
import { requireService } from '../../../scripts/services.ts';
import { hashKey } from '../src/auth/api-keys.ts';
import { BrokerLog } from '../src/log/broker/broker-log.ts';
import type { BrokerPort } from '../src/log/broker/broker-port.ts';
import { parseKafkaAddress } from '../src/log/kafka/kafka-address.ts';
import { KafkaPort } from '../src/log/kafka/kafka-port.ts';
import { parseNatsAddress } from '../src/log/nats/nats-address.ts';
import { NatsPort } from '../src/log/nats/nats-port.ts';
import { parseRabbitmqAddress } from '../src/log/rabbitmq/rabbitmq-address.ts';
import { RabbitmqPort } from '../src/log/rabbitmq/rabbitmq-port.ts';
import { parseRedisAddress } from '../src/log/redis/redis-address.ts';
import { RedisPort } from '../src/log/redis/redis-port.ts';
import { startNode, type Node } from './node.ts';
import { DEADLINE, join, type Peer } from './peer.ts';

/** A log to write: the window is small, so that what a node reads before it serves is little beside what comes then. */
interface Long {
  readonly records: number;
  readonly window: number;
  readonly port: (url: string) => BrokerPort;
}

const onRedis: Long = { records: 40_000, window: 2_000, port: (url) => new RedisPort(parseRedisAddress(url)) };
const others: readonly (Long & { readonly kind: BrokerKind })[] = [
  { kind: nats, records: 30_000, window: 1_000, port: (url) => new NatsPort(parseNatsAddress(url)) },
  { kind: rabbitmq, records: 30_000, window: 1_000, port: (url) => new RabbitmqPort(parseRabbitmqAddress(url)) },
  { kind: kafka, records: 30_000, window: 1_000, port: (url) => new KafkaPort(parseKafkaAddress(url)) },
];
const CHANNELS = 100;
const BATCH = 500;
const CHANNEL = 'chat:7';
const KEY = `tw_key_${'a'.repeat(43)}`;
const SERVICE = { name: 'service', sha256: hashKey(KEY), roles: ['admin'] };
/** On a machine that does other things too. */
const FILLED = { timeout: 300_000, interval: 20 };

/** Writes the log as services of any kind would have; resolves with the cursors of one channel's records. */
async function writeLog(url: string, { records, window, port }: Long): Promise<readonly string[]> {
  const log = new BrokerLog({ partitions: 1, window, port: port(url) });
  const { epochs } = await log.open();
  for (let from = 0; from < records; from += BATCH) {
    const outcomes = await log.append(
      Array.from({ length: BATCH }, (_, i) => ({
        channel: `chat:${(from + i) % CHANNELS}`,
        kind: 'data' as const,
        encoding: 'json' as const,
        payload: Buffer.from(String(from + i)),
        time: Date.now(),
        rid: `r${from + i}`,
      })),
    );
    for (const { state } of outcomes) assert.equal(state, 'stored');
  }
  const cursors: string[] = [];
  let read = 0;
  const all = Promise.withResolvers<void>();
  const tail = await log.tail(
    0,
    'oldest',
    (batch) => {
      for (const { position, tag, record } of batch)
        if (record.channel === CHANNEL) cursors.push(formatCursor(epochs[0] as string, position, tag));
      read += batch.length;
      if (read === records) all.resolve();
      return undefined;
    },
    all.reject,
  );
  await all.promise;
  await tail.stop();
  await log.close();
  return cursors;
}

function startChat(t: TestContext, log: string, data: string): Promise<Node> {
  const namespaces = {
    chat: { subscribe: 'anyone', append: 'anyone', history: 'anyone', retention: { records: 1_000_000 } },
  } as const;
  return startNode(t, { log, data, namespaces, auth: { keys: [SERVICE] } });
}

interface Ready {
  readonly status: string;
  readonly toFill?: number;
}

async function readyz(url: string, query = ''): Promise<{ readonly http: number; readonly body: Ready }> {
  const response = await fetch(`${url}/readyz${query}`);
  return { http: response.status, body: (await response.json()) as Ready };
}

async function codeOf(
  url: string,
  headers: Record<string, string> = {},
): Promise<readonly [number, string | undefined]> {
  const response = await fetch(url, { headers });
  const { error } = (await response.json()) as { readonly error?: { readonly code: string } };
  return [response.status, error?.code];
}

/** The cursors of the records that a peer was given. */
function given(peer: Peer): readonly unknown[] {
  return peer.frames.flatMap(({ op, cursor }) => (op === 'record' ? [cursor] : []));
}

/** Tells the checker what a peer was given of the channel. */
function tell(checker: HistoryChecker, reader: string, peer: Peer): void {
  let payload = 0;
  for (const frame of peer.frames) {
    const { op, channel, cursor } = frame as unknown as Record<string, string>;
    if (op === 'ok' && channel === CHANNEL)
      checker.accept({ ...(frame as object), kind: 'subscribed', reader } as Parameters<typeof checker.accept>[0]);
    if (op === 'gap') assert.fail(`a gap at ${cursor}`);
    if (op !== 'record') continue;
    const hash = hashData(peer.payloads[payload++] as string);
    checker.accept({ ...(frame as object), kind: 'record', reader, hash } as Parameters<typeof checker.accept>[0]);
  }
}

test('a node without a view serves what is new at once, says behind of the rest, and has it in the end', async (t) => {
  if (!requireService(t, redis.name, redis.missing() === undefined)) return;
  const broker = await redis.start();
  t.after(() => broker.stop());
  const cursors = await writeLog(broker.url, onRedis);
  const place = cursors[0] as string;
  const data = await mkdtemp(joinPath(tmpdir(), 'tideway-node-'));
  t.after(() => rm(data, { recursive: true, force: true, maxRetries: 20 }));
  const node = await startChat(t, broker.url, data);
  const { url, port } = node;

  // It says that it is not whole, and how far it is
  const atFirst = await readyz(url);
  assert.deepEqual([atFirst.http, atFirst.body.status], [503, 'filling']);
  assert.ok((atFirst.body.toFill ?? 0) > onRedis.records / 2, JSON.stringify(atFirst));
  assert.equal((await readyz(url, '?filling=ok')).http, 200);
  assert.match(await (await fetch(`${url}/metrics`)).text(), /^tideway_view_to_fill [1-9]\d*$/m);

  // What is new: a subscriber, appends, the newest history
  const checker = new HistoryChecker();
  const live = await join(t, port);
  assert.equal((await live.ask(t, { op: 'subscribe', id: 2, channel: CHANNEL, from: 'last:3' })).op, 'ok');
  const writer = connect({ url, transport: 'websocket' });
  t.after(() => writer.close());
  const appended: string[] = [];
  for (let n = 0; n < 20; n++) appended.push((await writer.channel(CHANNEL).append({ n })).cursor);
  await writer.channel('chat:new').append({ first: true });
  await t.waitFor(() => assert.equal(live.frames.filter(({ op }) => op === 'record').length, 23), DEADLINE);
  const newest = await fetch(`${url}/v1/records?channel=${CHANNEL}&limit=5`);
  assert.equal(newest.status, 200);

  // What is old: behind, whatever way it is asked for
  const old = await join(t, port);
  const refused = await old.ask(t, { op: 'subscribe', id: 2, channel: CHANNEL, from: place });
  assert.deepEqual([refused.op, refused.code, refused['retryMs']], ['error', 'behind', 1_000]);
  assert.equal((await old.ask(t, { op: 'subscribe', id: 3, channel: CHANNEL, from: 'oldest' })).code, 'behind');
  assert.equal((await old.ask(t, { op: 'subscribe', id: 4, channel: CHANNEL, from: 'last:1000' })).code, 'behind');
  const behind = [503, 'behind'];
  assert.deepEqual(await codeOf(`${url}/v1/records?channel=${CHANNEL}&after=${place}`), behind);
  assert.deepEqual(await codeOf(`${url}/v1/records?channel=${CHANNEL}&limit=1000`), behind);
  const authorization = `Bearer ${KEY}`;
  assert.deepEqual(await codeOf(`${url}/v1/feed?channel=chat:*&after=oldest`, { authorization }), behind);
  assert.deepEqual(await codeOf(`${url}/v1/feed?channel=chat:*&after=${place}`, { authorization }), behind);
  assert.equal((await readyz(url)).body.status, 'filling', 'all of this was asked while it fills');

  // A reader of the SDK just waits; one that asks itself asks again
  const read: string[] = [];
  const last = appended.at(-1);
  const reader = writer.channel(CHANNEL).read({ from: place, onGap: ({ reason }) => assert.fail(`a gap: ${reason}`) });
  const reading = (async () => {
    for await (const { cursor } of reader) {
      read.push(cursor);
      if (cursor === last) break;
    }
  })();
  await t.waitFor(async () => assert.equal((await readyz(url)).http, 200), FILLED);
  assert.match(await (await fetch(`${url}/metrics`)).text(), /^tideway_view_to_fill 0$/m);
  const resumed = await old.ask(t, { op: 'subscribe', id: 5, channel: CHANNEL, from: place });
  assert.deepEqual([resumed.op, resumed['resumed']], ['ok', true]);
  for (let n = 20; n < 30; n++) appended.push((await writer.channel(CHANNEL).append({ n })).cursor);
  const expected = [...cursors.slice(1), ...appended];
  await t.waitFor(() => {
    for (const [peer, count] of [
      [live, 3 + appended.length],
      [old, expected.length],
    ] as const)
      assert.equal(peer.frames.filter(({ op }) => op === 'record').length, count);
  }, FILLED);
  await reading;
  assert.deepEqual(read, expected.slice(0, -10));
  assert.deepEqual(given(old), expected);
  old.frames.splice(
    0,
    old.frames.findIndex(({ id }) => id === 5),
  );
  Object.assign(old.frames[0] as object, { from: place });
  tell(checker, 'live', live);
  tell(checker, 'old', old);
  assertKept(checker.verdict());
  await node.close();
  assert.ok(!(await readdir(joinPath(data, 'views'))).includes('0-forerunner'), 'what served meanwhile is removed');
});

test('a node that is stopped while it fills goes on where it was, and serves at once again', async (t) => {
  if (!requireService(t, redis.name, redis.missing() === undefined)) return;
  const broker = await redis.start();
  t.after(() => broker.stop());
  const cursors = await writeLog(broker.url, onRedis);
  const data = await mkdtemp(joinPath(tmpdir(), 'tideway-node-'));
  t.after(() => rm(data, { recursive: true, force: true, maxRetries: 20 }));
  const first = await startChat(t, broker.url, data);
  const total = (await readyz(first.url)).body.toFill as number;
  const left = await t.waitFor(async () => {
    const { toFill = 0 } = (await readyz(first.url)).body;
    assert.ok(toFill < total - onRedis.window);
    return toFill;
  }, FILLED);
  assert.ok(left > 4 * onRedis.window, `it was stopped while it filled: ${left} of ${total}`);
  await first.close();

  const second = await startChat(t, broker.url, data);
  const again = await readyz(second.url);
  assert.equal(again.body.status, 'filling');
  assert.ok((again.body.toFill as number) <= left, `${again.body.toFill} are to be filled, ${left} were`);
  const peer = await join(t, second.port);
  assert.equal((await peer.ask(t, { op: 'subscribe', id: 2, channel: CHANNEL, from: cursors[0] })).code, 'behind');
  await t.waitFor(async () => assert.equal((await readyz(second.url)).http, 200), FILLED);
  await peer.ask(t, { op: 'subscribe', id: 3, channel: CHANNEL, from: cursors[0] });
  await t.waitFor(() => assert.deepEqual(given(peer), cursors.slice(1)), FILLED);
  await second.close();
});

for (const long of others) {
  test(`${long.kind.name}: a node without a view serves at once, goes on filling after a stop, and has everything in the end`, async (t) => {
    if (!requireService(t, long.kind.name, long.kind.missing() === undefined)) return;
    const broker = await long.kind.start();
    t.after(() => broker.stop());
    const address = new URL(broker.url);
    address.searchParams.set('partitions', '1');
    const cursors = [...(await writeLog(address.href, long))];
    const data = await mkdtemp(joinPath(tmpdir(), 'tideway-node-'));
    t.after(() => rm(data, { recursive: true, force: true, maxRetries: 20 }));
    const filling = async (url: string): Promise<number> => {
      const { http, body } = await readyz(url);
      assert.deepEqual([http, body.status], [503, 'filling']);
      return body.toFill as number;
    };
    const first = await startChat(t, address.href, data);
    const left = await filling(first.url);
    assert.ok(left > long.records / 2, `${left} are to be filled`);
    await first.close();

    const node = await startChat(t, address.href, data);
    const again = await filling(node.url);
    assert.ok(again <= left, `${again} are to be filled, ${left} were`);
    const peer = await join(t, node.port);
    const refused = await peer.ask(t, { op: 'subscribe', id: 2, channel: CHANNEL, from: cursors[0] });
    assert.deepEqual([refused.op, refused.code], ['error', 'behind']);
    assert.equal((await readyz(node.url, '?filling=ok')).http, 200);
    assert.equal((await peer.ask(t, { op: 'subscribe', id: 3, channel: CHANNEL, from: 'last:3' })).op, 'ok');
    const appended = await peer.ask(t, { op: 'append', id: 4, channel: CHANNEL, rid: 'new' }, '"new"');
    cursors.push(appended['cursor'] as string);
    await t.waitFor(() => assert.deepEqual(given(peer), cursors.slice(-4)), DEADLINE);

    await t.waitFor(async () => assert.equal((await readyz(node.url)).http, 200), FILLED);
    const old = await join(t, node.port);
    const resumed = await old.ask(t, { op: 'subscribe', id: 2, channel: CHANNEL, from: cursors[0] });
    assert.deepEqual([resumed.op, resumed['resumed']], ['ok', true]);
    await t.waitFor(() => assert.deepEqual(given(old), cursors.slice(1)), FILLED);
    await node.close();
    assert.ok(!(await readdir(joinPath(data, 'views'))).includes('0-forerunner'), 'what served is removed');
  });
}
