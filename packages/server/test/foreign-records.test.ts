import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createServer } from 'tideway';
import * as v from 'valibot';
import { kafka } from '../../../scripts/brokers/kafka.ts';
import { nats } from '../../../scripts/brokers/nats.ts';
import { rabbitmq } from '../../../scripts/brokers/rabbitmq.ts';
import { redis } from '../../../scripts/brokers/redis.ts';
import { requireService } from '../../../scripts/services.ts';
import type { BrokerPort } from '../src/log/broker/broker-port.ts';
import { partitionOfChannel, type NativeRecord } from '../src/log/broker/native-record.ts';
import { parseKafkaAddress } from '../src/log/kafka/kafka-address.ts';
import { KafkaPort } from '../src/log/kafka/kafka-port.ts';
import { parseNatsAddress } from '../src/log/nats/nats-address.ts';
import { NatsPort } from '../src/log/nats/nats-port.ts';
import { parseRabbitmqAddress } from '../src/log/rabbitmq/rabbitmq-address.ts';
import { RabbitmqPort } from '../src/log/rabbitmq/rabbitmq-port.ts';
import { parseRedisAddress } from '../src/log/redis/redis-address.ts';
import { RedisPort } from '../src/log/redis/redis-port.ts';
import { DEADLINE, join, type Frame, type Peer } from './peer.ts';

// What anybody may put on a broker (F11): subscribers get what can be read, in order, and stay connected. The client of
// these tests checks every text message for UTF-8, as browsers do, and ends a connection that sends anything else.

const SUBSCRIBERS = 100;
const RECORD_BYTES = 1_024;
const ports = {
  redis: (url: string): BrokerPort => new RedisPort(parseRedisAddress(url)),
  nats: (url: string): BrokerPort => new NatsPort(parseNatsAddress(url)),
  rabbitmq: (url: string): BrokerPort => new RabbitmqPort(parseRabbitmqAddress(url)),
  kafka: (url: string): BrokerPort => new KafkaPort(parseKafkaAddress(url)),
} as const;

function native(
  channel: string | undefined,
  value: string | Buffer,
  headers: Record<string, string> = {},
): NativeRecord {
  return { channel, value: Buffer.from(value), headers: new Map(Object.entries(headers)) };
}

const POISON: readonly NativeRecord[] = [
  native('chat:1', Buffer.of(0x22, 0xff, 0xfe, 0x22)),
  native('chat:1', '{"half":'),
  native('chat:1', '1},"user":"admin","data":{"x":2'),
  native('chat:1', ''),
  native('chat:1', '1', { 'tideway-kind': 'claim' }),
  native('chat:1', '1', { 'tideway-encoding': 'gzip' }),
  native('chat:1', '1', { 'tideway-rid': 'x'.repeat(1_000) }),
  native(undefined, '1'),
  native('no channel at all', '1'),
];

/** Of these a node makes records, whatever its own configuration would have said of them. */
const READABLE: readonly NativeRecord[] = [
  native('chat:1', '{"text":"good"}'),
  native('chat:1', '"not what the contract says"'),
  native('chat:1', `{"text":"${'x'.repeat(2 * RECORD_BYTES)}"}`),
  native('chat:1', '{\n  "text": "pretty"\n}'),
  native('chat:1', Buffer.of(0xff, 0xfe), { 'tideway-encoding': 'bytes' }),
  native('chat:1', '{"text":"last"}'),
];

/** A producer that knows the broker and no node. */
async function producerOf(t: TestContext, port: BrokerPort) {
  const constants = await port.connect({ format: 1, window: 65_536, partitions: [] });
  t.after(() => port.close());
  const { length } = constants.partitions;
  const put = async (record: NativeRecord, partition: number): Promise<void> => {
    const [outcome] = await port.append(partition, [record], 10_000);
    assert.equal(outcome?.state, 'stored', JSON.stringify(outcome));
  };
  return {
    right: partitionOfChannel('chat:1', length),
    wrong: (partitionOfChannel('chat:1', length) + 1) % length,
    put,
  };
}

function recordsOf(peer: Peer): readonly Frame[] {
  return peer.frames.filter(({ op }) => op === 'record');
}

/** The records of an event stream up to a cursor; each event is one line of JSON. */
async function readEvents(
  t: TestContext,
  url: string,
  until: string,
): Promise<readonly { readonly cursor?: string }[]> {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const { body } = await fetch(url, { signal: stop.signal });
  let text = '';
  for await (const chunk of body!.pipeThrough(new TextDecoderStream('utf-8', { fatal: true }))) {
    text += chunk;
    if (text.includes(`"cursor":"${until}"`) && text.endsWith('\n\n')) break;
  }
  return text.split('\n\n').flatMap((event) => {
    const [data, ...more] = event.split('\n').filter((line) => line.startsWith('data: '));
    assert.deepEqual(more, []);
    if (data === undefined || event.includes('event: ')) return [];
    return [JSON.parse(data.slice('data: '.length)) as { readonly cursor?: string }];
  });
}

for (const kind of [redis, nats, rabbitmq, kafka]) {
  test(`${kind.name}: whatever a foreign producer writes, nobody is disconnected and nothing else is lost`, async (t) => {
    if (!requireService(t, kind.name, kind.missing() === undefined)) return;
    const broker = await kind.start();
    t.after(() => broker.stop());
    const data = await mkdtemp(joinPath(tmpdir(), 'tideway-node-'));
    t.after(() => rm(data, { recursive: true, force: true, maxRetries: 20 }));
    const server = await createServer({
      log: broker.url,
      data,
      contract: { 'chat:{name}': { record: v.object({ text: v.string() }) } },
      namespaces: { chat: { subscribe: 'anyone', history: 'anyone', append: 'anyone', recordBytes: RECORD_BYTES } },
      logger: () => {},
    });
    t.after(() => server.close({ drainMs: 0 }));
    const { url, port } = await server.listen({ port: 0 });
    const peers = await Promise.all(Array.from({ length: SUBSCRIBERS }, () => join(t, port)));
    await Promise.all(peers.map((peer) => peer.ask(t, { op: 'subscribe', id: 2, channel: 'chat:1', from: 'oldest' })));

    // On NATS a record has a subject, and so always something that stands for its channel.
    const poisons = POISON.filter(({ channel }) => channel !== undefined || kind !== nats);
    const producer = await producerOf(t, ports[kind.name](broker.url));
    for (const record of READABLE) {
      for (const poison of poisons) await producer.put(poison, producer.right);
      await producer.put(native('chat:1', '"misplaced"'), producer.wrong);
      await producer.put(native('unknown:1', '"nobody may see it"'), producer.right);
      await producer.put(record, producer.right);
    }
    for (const peer of peers) {
      await t.waitFor(() => assert.equal(recordsOf(peer).length, READABLE.length), DEADLINE);
      assert.equal(peer.closedWith, undefined);
    }
    // Over HTTP, from the beginning: the same, and nothing that a producer has forged.
    const page = (await (await fetch(`${url}/v1/records?channel=chat:1&after=oldest`)).json()) as {
      readonly records: readonly { readonly cursor: string; readonly user?: string }[];
    };
    assert.deepEqual(
      page.records.map(({ cursor }) => cursor),
      recordsOf(peers[0] as Peer).map(({ cursor }) => cursor),
    );
    assert.ok(page.records.every(({ user }) => user === undefined));
    const last = page.records.at(-1)?.cursor as string;
    const events = await readEvents(t, `${url}/v1/events?channel=chat:1&from=oldest`, last);
    assert.deepEqual(
      events.flatMap(({ cursor }) => (cursor === undefined ? [] : [cursor])),
      page.records.map(({ cursor }) => cursor),
    );
    const unknown = await fetch(`${url}/v1/records?channel=unknown:1&after=oldest`);
    assert.equal(unknown.status, 404, await unknown.text());
  });
}
