import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { nats, startNats, type NatsBroker } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import { TailError, type PhysicalRecord, type Tail, type TailRecord, type TailStart } from '../log.ts';
import { parseNatsAddress } from './nats-address.ts';
import { NatsPort } from './nats-port.ts';
import { NatsRoom, newName, recordsOf, within } from './testing/nats-room.ts';

async function start(t: TestContext): Promise<NatsBroker | undefined> {
  const missing = nats.missing();
  if (!requireService(t, missing ?? 'nats-server', missing === undefined)) return undefined;
  const broker = await startNats();
  t.after(() => broker.stop());
  return broker;
}

async function openRoom(t: TestContext, broker: NatsBroker, name = newName()): Promise<NatsRoom> {
  const room = await NatsRoom.open(broker.urlOf(name, 'partitions=2'));
  t.after(() => room.port.close());
  return room;
}

/** By another client than the port's. */
async function managerOf(t: TestContext, broker: NatsBroker): Promise<JetStreamManager> {
  const connection = await connect({ servers: `127.0.0.1:${broker.port}` });
  t.after(() => connection.close());
  return await jetstreamManager(connection);
}

function records(count: number): PhysicalRecord[] {
  return Array.from({ length: count }, (_, n) => ({
    channel: 'chat:a',
    kind: 'data',
    encoding: 'json',
    payload: Buffer.from(String(n)),
    rid: `r${n}`,
  }));
}

/** A log of one partition with one tail. */
class TailedLog {
  readonly log: BrokerLog;
  readonly seen: TailRecord[] = [];
  error: TailError | undefined;
  tail: Tail | undefined;
  #look = (): void => {};

  constructor(broker: NatsBroker, name: string) {
    const port = new NatsPort(parseNatsAddress(broker.urlOf(name, 'partitions=1')));
    this.log = new BrokerLog({ port, partitions: 1 });
  }

  static async open(
    t: TestContext,
    broker: NatsBroker,
    name = newName(),
    after: TailStart = 'oldest',
  ): Promise<TailedLog> {
    const tailed = new TailedLog(broker, name);
    t.after(() => tailed.log.close());
    await tailed.log.open();
    await tailed.read(after);
    return tailed;
  }

  async read(after: TailStart): Promise<void> {
    this.tail = await this.log.tail(
      0,
      after,
      (batch) => {
        this.seen.push(...batch);
        this.#look();
        return undefined;
      },
      (error) => {
        this.error = error;
        this.#look();
      },
    );
  }

  async store(count: number): Promise<void> {
    for (const outcome of await this.log.append(records(count))) assert.deepEqual(outcome, { state: 'stored' });
  }

  ended(): Promise<TailError> {
    const came = new Promise<TailError>((resolve) => {
      this.#look = () => {
        if (this.error !== undefined) resolve(this.error);
      };
      this.#look();
    });
    return within(came, 'the tail to end');
  }
}

test('a killed server: what was under way ends, and all is there when it is back', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const room = await openRoom(t, broker);
  const constants = await room.connect();
  await room.store(0, recordsOf('chat:a', 100));
  const reading = await room.follow(0);
  await reading.count(100);
  await broker.kill();
  await room.down();
  assert.match(String(room.downs), /is down/);
  assert.match((await reading.ended()).message, /closed|ended|disconnect/i);
  const outcomes = await room.port.append(0, recordsOf('chat:a', 1), 500);
  assert.ok(outcomes[0]?.state === 'refused' && outcomes[0].code === 'not_durable');
  await assert.rejects(room.connect(), /nobody listens/);
  await broker.restart();
  assert.deepEqual(await room.connect(), constants);
  assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 100 });
  assert.equal(room.downs.length, 1);
});

test('a server that stops to answer is found, and what was under way is unknown', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const room = await openRoom(t, broker);
  const reading = await room.follow(0);
  broker.pause();
  const [outcomes] = await Promise.all([room.port.append(0, recordsOf('chat:a', 3), 1_000), room.down()]);
  assert.equal(outcomes[0]?.state, 'unknown');
  assert.ok(outcomes.every(({ state }) => state !== 'stored'));
  await reading.ended();
  broker.resume();
  await room.connect();
  // The server may have found them in its socket, and stores them then: the log looks for that.
  assert.ok((await room.port.bounds(0)).newest <= 3);
});

test('a server that is found only by its followers', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const room = await openRoom(t, broker);
  const reading = await room.follow(1);
  broker.pause();
  await room.down();
  assert.match(String(room.downs), /does not answer any more/);
  await reading.ended();
  broker.resume();
});

test('a server that lost its data has a new epoch for every partition', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const room = await openRoom(t, broker);
  const before = await room.connect();
  await room.store(0, recordsOf('chat:a', 10));
  await broker.kill();
  await room.down();
  await broker.wipe();
  await broker.restart();
  const again = new NatsRoom(room.port.place.replace(/$/, '?partitions=2'));
  t.after(() => again.port.close());
  const after = await again.connect();
  assert.deepEqual(await room.connect(), after);
  for (const [n, { epoch }] of after.partitions.entries()) assert.notEqual(epoch, before.partitions[n]?.epoch);
  assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 0 });
});

test('a stream that is removed ends the session; its partition, and no other, has a new epoch then', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const name = newName();
  const room = await openRoom(t, broker, name);
  const before = await room.connect();
  await room.store(0, recordsOf('chat:a', 10));
  const reading = await room.follow(0);
  const manager = await managerOf(t, broker);
  const { config } = await manager.streams.info(`${name}-0`);
  for (const isMadeAnew of [false, true]) {
    await manager.streams.delete(`${name}-0`);
    if (isMadeAnew) await manager.streams.add(config);
    else await reading.ended();
    room.downs.length = 0;
    await assert.rejects(room.port.bounds(0));
    await room.down();
    const after = await room.connect();
    assert.notEqual(after.partitions[0]?.epoch, before.partitions[0]?.epoch);
    assert.notEqual(after.partitions[0]?.identity, before.partitions[0]?.identity);
    assert.deepEqual(after.partitions[1], before.partitions[1]);
    assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 0 });
  }
});

test('a tail on a stream that was made anew is told the new epoch', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const name = newName();
  const tailed = await TailedLog.open(t, broker, name);
  await tailed.store(10);
  const manager = await managerOf(t, broker);
  const { config } = await manager.streams.info(`${name}-0`);
  await manager.streams.delete(`${name}-0`);
  await manager.streams.add(config);
  const error = await tailed.ended();
  assert.equal(error.reason, 'epoch');
  const { partitions } = await new NatsRoom(broker.urlOf(name)).connect();
  assert.equal(error.epoch, partitions[0]?.epoch);
  await tailed.read('oldest');
  await tailed.store(1);
  assert.equal(tailed.seen.length, 11);
});

test('a server restored from an older copy has diverged, under the same epoch', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const name = newName();
  const tailed = await TailedLog.open(t, broker, name);
  await tailed.store(50);
  // A copy as a backup takes it: of a server that is stopped.
  await broker.kill();
  await broker.saveData();
  await broker.restart();
  await tailed.store(50);
  assert.equal(tailed.seen.length, 100);
  await broker.kill();
  await broker.restoreData();
  await broker.restart();
  const error = await tailed.ended();
  assert.equal(error.reason, 'diverged');
  // A place that both have is still good, one that is gone is not.
  const at = ({ position, tag }: TailRecord): TailStart => ({ position, tag });
  await tailed.read(at(tailed.seen[49] as TailRecord));
  await tailed.store(60);
  assert.equal(tailed.seen.length, 160);
  await assert.rejects(
    tailed.read(at(tailed.seen[99] as TailRecord)),
    (rejected: unknown) => rejected instanceof TailError && rejected.reason === 'diverged',
  );
});

test('records go from the oldest on or not at all: one in the middle cannot be removed, a hole is damage', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const name = newName();
  const room = await openRoom(t, broker, name);
  await room.store(0, [...recordsOf('chat:a', 5), ...recordsOf('chat:b', 5), ...recordsOf('chat:a', 5)]);
  const manager = await managerOf(t, broker);
  await assert.rejects(manager.streams.deleteMessage(`${name}-0`, 7), /not permitted|denied/i);
  await manager.streams.purge(`${name}-0`, { filter: `${name}.0.chat:b` });
  const isDamaged = (error: unknown): boolean => error instanceof TailError && error.reason === 'damaged';
  const reading = await room.follow(0);
  assert.ok(isDamaged(await reading.ended()));
  assert.equal(reading.records.length, 5);
  await assert.rejects(room.port.read(0, 5, 5), isDamaged);
  await assert.rejects(room.port.read(0, 0, 15), isDamaged);
  assert.equal((await room.port.read(0, 10, 5)).length, 5);
});

test('a stream that would lose records from its middle is refused', async (t) => {
  const broker = await start(t);
  if (broker === undefined) return;
  const name = newName();
  const manager = await managerOf(t, broker);
  await manager.streams.add({ name: `${name}-1`, subjects: [`${name}.1.*`], max_msgs_per_subject: 1 });
  await assert.rejects(
    NatsRoom.open(broker.urlOf(name, 'partitions=2')),
    /max_msgs_per_subject.*vanish from its middle/,
  );
});
