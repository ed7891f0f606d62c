import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { KafkaCluster as Brokers, KafkaMember } from '../../../../../scripts/brokers/kafka.ts';
import { BrokerLog, type BrokerLogEvent } from '../broker/broker-log.ts';
import type { AppendOutcome, PhysicalRecord, TailRecord } from '../log.ts';
import { parseKafkaAddress } from './kafka-address.ts';
import { KafkaCluster } from './kafka-cluster.ts';
import { loadKafka } from './kafka-library.ts';
import { KafkaPort } from './kafka-port.ts';
import { eventually, kafkaRoom, newName } from './testing/kafka-room.ts';

const brokers = kafkaRoom({ members: 3 });

interface Room {
  readonly name: string;
  readonly log: BrokerLog;
  readonly tail: TailRecord[];
  readonly events: BrokerLogEvent[];
  /** Appends one record after the other until it is told to stop; its outcomes by rid. */
  readonly outcomes: Map<string, AppendOutcome>;
  stop(): Promise<void>;
}

async function startRoom(t: TestContext, cluster: Brokers): Promise<Room> {
  const name = newName();
  const events: BrokerLogEvent[] = [];
  let onUp = (): void => {};
  const report = (event: BrokerLogEvent): void => {
    events.push(event);
    if (event.event === 'up') onUp();
  };
  const port = new KafkaPort(parseKafkaAddress(cluster.url(name, { partitions: '1' })));
  const log = new BrokerLog({ port, partitions: 1, report });
  t.after(() => log.close());
  await log.open();
  assert.match(log.declares.storedSurvives, /the loss of any one broker/);
  const tail: TailRecord[] = [];
  await log.tail(
    0,
    'oldest',
    (batch) => void tail.push(...batch),
    (error) => assert.fail(error),
  );
  const outcomes = new Map<string, AppendOutcome>();
  let isStopped = false;
  const appending = (async () => {
    for (let n = 0; !isStopped; n += 5) {
      const records = Array.from({ length: 5 }, (_, m) => recordOf(n + m));
      const answers = await log.append(records);
      for (const [m, answer] of answers.entries()) outcomes.set(`r${n + m}`, answer);
      // While the partition is down it is answered at once.
      if (events.at(-1)?.event === 'down') await new Promise<void>((resolve) => (onUp = resolve));
    }
  })();
  return {
    name,
    log,
    tail,
    events,
    outcomes,
    async stop() {
      isStopped = true;
      await appending;
    },
  };
}

function recordOf(n: number): PhysicalRecord {
  const payload = Buffer.from(`{"n":${n}}`);
  return { channel: 'test:1', kind: 'data', encoding: 'json', payload, time: 1_764_000_000_000 + n, rid: `r${n}` };
}

async function leaderOf(cluster: Brokers, name: string): Promise<KafkaMember> {
  const seen = await KafkaCluster.connect(await loadKafka(), parseKafkaAddress(cluster.url(name)), [name]);
  const id = seen.leader(name, 0)?.leader;
  await seen.close();
  const member = cluster.members.find(({ place }) => place.id === id);
  assert.ok(member !== undefined, `a leader, not ${id}`);
  return member;
}

/** Waits until all members have everything again: then any one of them may go. */
async function inSync(cluster: Brokers, name: string): Promise<void> {
  const { Admin } = await loadKafka();
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: cluster.bootstrap.split(',') });
  const isInSync = async (): Promise<boolean> => {
    const seen = await admin.metadata({ topics: [name], forceUpdate: true }).catch(() => undefined);
    return seen?.topics.get(name)?.partitions[0]?.isr.length === 3;
  };
  await eventually(isInSync, () => 'all replicas to be in sync');
  await admin.close();
}

/** Waits until so many more appends were answered `stored`. */
async function stored(room: Room, more: number): Promise<void> {
  const count = (): number => [...room.outcomes.values()].filter(({ state }) => state === 'stored').length;
  const wanted = count() + more;
  const last = (): string => JSON.stringify([...room.outcomes.values()].at(-1));
  await eventually(
    () => count() >= wanted,
    () => `${wanted} stored, not ${count()}; ${last()}`,
  );
}

function assertNothingLost(room: Room): void {
  const firsts = [...new Set(room.tail.map(({ record }) => record.rid))];
  const numbers = firsts.map((rid) => Number(rid?.slice(1)));
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
    'in the order of the appends',
  );
  const seen = new Set(firsts);
  for (const [rid, { state }] of room.outcomes) {
    if (state === 'stored') assert.ok(seen.has(rid), `${rid} was stored and is not there`);
    if (state === 'refused') assert.ok(!seen.has(rid), `${rid} was refused and is there`);
  }
}

test('the leader is stopped, goes on, its successor is killed, all under load: nothing stored is lost or out of order', async (t) => {
  const cluster = await brokers(t);
  if (cluster === undefined) return;
  const room = await startRoom(t, cluster);
  await stored(room, 50);
  const first = await leaderOf(cluster, room.name);
  first.pause();
  try {
    await stored(room, 50);
  } finally {
    first.resume();
  }
  await inSync(cluster, room.name);
  const second = await leaderOf(cluster, room.name);
  await second.kill();
  await stored(room, 50);
  assert.notEqual((await leaderOf(cluster, room.name)).place.id, second.place.id);
  await room.stop();
  assertNothingLost(room);
});
