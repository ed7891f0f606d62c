import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { findNatsServer, natsServerVersion } from '../../../../../scripts/brokers/nats-program.ts';
import { nats, startNats, type NatsBroker } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { nodeEnv, type Env } from '../../env.ts';
import { NatsPublisher, RETRY_MS, type Publication } from './nats-publisher.ts';
import { APPEND_MS, NatsRoom, newName, recordsOf, ridOf } from './testing/nats-room.ts';

let broker: NatsBroker | undefined;
before(async () => {
  if (nats.missing() === undefined) broker = await startNats();
});
after(() => broker?.stop());

interface Place {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly stream: string;
}

async function open(t: TestContext, more: object = {}): Promise<Place | undefined> {
  if (!requireService(t, nats.missing() ?? 'nats-server', broker)) return undefined;
  const connection = await connect({ servers: `127.0.0.1:${broker.port}` });
  t.after(() => connection.close());
  const manager = await jetstreamManager(connection);
  const stream = newName();
  await manager.streams.add({ name: stream, subjects: [`${stream}.*`], discard: 'new', ...more });
  return { connection, manager, stream };
}

function publisherOf({ connection }: Place, env = nodeEnv): NatsPublisher {
  return new NatsPublisher({ connection, env, inbox: `_INBOX.${newName()}` });
}

/** Time passes only while a publisher waits before it tries again; answers may take theirs. Keeps the other timers. */
function pausingEnv(): { readonly env: Env; readonly deadlines: readonly number[] } {
  let nowMs = 0;
  const deadlines: number[] = [];
  const setTimer = (delayMs: number, callback: () => void): (() => void) => {
    if (delayMs === RETRY_MS) {
      nowMs += delayMs;
      return nodeEnv.setTimer(1, callback);
    }
    deadlines.push(delayMs);
    return () => {};
  };
  return { env: { ...nodeEnv, monotonicMs: () => nowMs, setTimer }, deadlines };
}

function publications({ stream }: Place, count: number, valueOf = (n: number) => `${n}`): Publication[] {
  return Array.from({ length: count }, (_, n) => ({
    subject: `${stream}.${n % 3}`,
    value: Buffer.from(valueOf(n + 1)),
    headers: new Map(),
  }));
}

async function storedIn({ manager, stream }: Place): Promise<string[]> {
  const { state } = await manager.streams.info(stream);
  const values: string[] = [];
  for (let seq = 1; seq <= state.last_seq; seq++) {
    values.push((await manager.streams.getMessage(stream, { seq }))?.string() ?? 'gone');
  }
  return values;
}

/** A connection that loses what a test wants lost on the way. */
function losing(place: Place, isLost: (value: string) => boolean): Place {
  const { connection } = place;
  const lossy = new Proxy(connection, {
    get(target, name) {
      if (name === 'publish') {
        return (...[subject, data, options]: Parameters<NatsConnection['publish']>): void => {
          if (!isLost(Buffer.from(data ?? '').toString())) target.publish(subject, data, options);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return { ...place, connection: lossy };
}

test('records of many channels are stored whole, each channel in order', async (t) => {
  const place = await open(t);
  if (place === undefined) return;
  const outcomes = await publisherOf(place).publish(publications(place, 300), APPEND_MS);
  assert.equal(outcomes.length, 300);
  assert.ok(outcomes.every(({ state }) => state === 'stored'));
  const values = (await storedIn(place)).map(Number);
  assert.equal(values.length, 300);
  for (let channel = 0; channel < 3; channel++) {
    const ofChannel = values.filter((value) => (value - 1) % 3 === channel);
    assert.deepEqual(
      ofChannel,
      ofChannel.toSorted((a, b) => a - b),
    );
  }
});

test('behind a record that the server refuses none of its channel is stored', async (t) => {
  const place = await open(t, { max_msg_size: 100 });
  if (place === undefined) return;
  const records = publications(place, 10, (n) => (n === 4 ? 'x'.repeat(200) : String(n)));
  const outcomes = await publisherOf(place).publish(records, APPEND_MS);
  assert.deepEqual((await storedIn(place)).toSorted(), ['1', '2', '3', '5', '6']);
  assert.deepEqual(
    outcomes.map(({ state }) => state),
    ['stored', 'stored', 'stored', 'refused', 'unknown', 'unknown', ...Array<string>(4).fill('refused')],
  );
});

test('a stream that is full refuses, says so, and keeps what it has', async (t) => {
  const place = await open(t, { max_msgs: 5 });
  if (place === undefined) return;
  const publisher = publisherOf(place);
  const outcomes = await publisher.publish(publications(place, 8), APPEND_MS);
  assert.equal((await storedIn(place)).length, 5);
  assert.equal(outcomes.filter(({ state }) => state === 'stored').length, 5);
  assert.ok(outcomes.slice(5).every(({ state }) => state !== 'stored'));
  for (const count of [1, 3]) {
    for (const outcome of await publisher.publish(publications(place, count), APPEND_MS)) {
      assert.equal(outcome.state, 'refused');
    }
  }
});

test('nobody takes the subject: tried again until the deadline, then refused', async (t) => {
  const place = await open(t);
  if (place === undefined) return;
  const { config } = await place.manager.streams.info(place.stream);
  await place.manager.streams.delete(place.stream);
  for (const count of [1, 10]) {
    const { env, deadlines } = pausingEnv();
    for (const outcome of await publisherOf(place, env).publish(publications(place, count), 760)) {
      assert.ok(outcome.state === 'refused' && outcome.code === 'not_durable', JSON.stringify(outcome));
    }
    // The last try is given time for an answer: without one the outcome would be unknown.
    assert.deepEqual([...new Set(deadlines)], [760, 610, 460, 310, 160]);
  }
  const waiting = publisherOf(place).publish(publications(place, 10), APPEND_MS);
  const ending = publisherOf(place);
  const ended = ending.publish(publications(place, 10), 60_000);
  // Whoever was tried before this answer came has been refused once.
  await place.manager.getAccountInfo();
  ending.end('closed');
  for (const { state } of await ended) assert.equal(state, 'refused');
  await place.manager.streams.add(config);
  for (const { state } of await waiting) assert.equal(state, 'stored');
});

test('behind a record that is lost on the way none of its channel is stored', async (t) => {
  const place = await open(t);
  if (place === undefined) return;
  const publisher = publisherOf(losing(place, (value) => value === '4'));
  const outcomes = await publisher.publish(publications(place, 12), 3_000);
  // Three channels in turn: 4, 5 and 6 go out together, 7 to 12 never.
  assert.deepEqual(await storedIn(place), ['1', '2', '3', '5', '6']);
  assert.deepEqual(
    outcomes.map(({ state }) => state),
    ['stored', 'stored', 'stored', 'unknown', 'unknown', 'unknown', ...Array<string>(6).fill('refused')],
  );
});

test('an older server takes records all the same, in order', async (t) => {
  const old = ['/usr/sbin/nats-server', '/usr/bin/nats-server', findNatsServer()].find((program) => {
    try {
      return program !== undefined && /^2\.([0-9]|1[0-3])\./.test(natsServerVersion(program));
    } catch {
      return false;
    }
  });
  if (old === undefined) {
    t.skip('every nats-server here is 2.14 or newer');
    return;
  }
  const older = await startNats({ program: old });
  t.after(() => older.stop());
  const room = await NatsRoom.open(older.urlOf(newName(), 'partitions=1'));
  t.after(() => room.port.close());
  const records = [...recordsOf('chat:a', 100), ...recordsOf('chat:b', 100)];
  const reading = await room.follow(0);
  await room.store(0, records);
  await reading.count(200);
  assert.deepEqual(
    reading.rids,
    records.map((one) => ridOf(one)),
  );
  assert.equal((await room.port.read(0, 0, 200)).length, 200);
});
