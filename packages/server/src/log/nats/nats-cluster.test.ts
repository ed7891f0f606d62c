import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { nats, startNatsCluster, type NatsBroker, type NatsCluster } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import { TailError, type AppendOutcome, type PhysicalRecord, type TailRecord } from '../log.ts';
import { positionNumber } from '../position.ts';
import { parseNatsAddress } from './nats-address.ts';
import { NatsPort } from './nats-port.ts';
import { eventually, newName, within } from './testing/nats-room.ts';

let cluster: NatsCluster | undefined;
before(async () => {
  if (nats.missing() === undefined) cluster = await startNatsCluster();
});
after(() => cluster?.stop());

function given(t: TestContext): NatsCluster | undefined {
  return requireService(t, nats.missing() ?? 'nats-server', cluster) ? cluster : undefined;
}

async function managerOf(t: TestContext, { members }: NatsCluster): Promise<JetStreamManager> {
  const connection = await connect({
    servers: members.map(({ port }) => `127.0.0.1:${port}`),
    maxReconnectAttempts: -1,
  });
  t.after(() => connection.close());
  return await jetstreamManager(connection);
}

/** The member that leads a stream. */
async function leaderOf(manager: JetStreamManager, stream: string): Promise<number> {
  const { cluster: group } = await manager.streams.info(stream);
  return Number(group?.leader?.slice(1)) - 1;
}

/** A log with one tail, and what it gave. */
async function openLog(
  t: TestContext,
  url: string,
): Promise<{ log: BrokerLog; seen: TailRecord[]; errors: TailError[] }> {
  const { partitions } = parseNatsAddress(url);
  const log = new BrokerLog({ port: new NatsPort(parseNatsAddress(url)), partitions });
  t.after(() => log.close());
  await log.open();
  const [seen, errors]: [TailRecord[], TailError[]] = [[], []];
  await log.tail(
    0,
    'oldest',
    (batch) => {
      seen.push(...batch);
      return undefined;
    },
    (error) => errors.push(error),
  );
  return { log, seen, errors };
}

let rids = 0;

function record(channel: string): PhysicalRecord {
  return { channel, kind: 'data', encoding: 'json', payload: Buffer.from('{}'), rid: `r${++rids}` };
}

/** Appends small batches, a few under way at once, until told to stop; keeps what was said of each rid. */
class Load {
  readonly outcomes = new Map<string, AppendOutcome>();
  readonly #t: TestContext;
  readonly #log: BrokerLog;
  readonly #channel: string;
  #isOver = false;
  #look = (): void => {};
  readonly #done: Promise<unknown>;

  constructor(t: TestContext, log: BrokerLog, channel: string) {
    this.#t = t;
    this.#log = log;
    this.#channel = channel;
    this.#done = Promise.all([1, 2, 3, 4].map(() => this.#run()));
  }

  get stored(): string[] {
    return [...this.outcomes].filter(([, { state }]) => state === 'stored').map(([rid]) => rid);
  }

  /** Resolves once so many more were stored. */
  more(count: number): Promise<void> {
    const goal = this.stored.length + count;
    const came = new Promise<void>((resolve) => {
      this.#look = () => {
        if (this.stored.length >= goal) resolve();
      };
    });
    return within(came, `${count} more records`);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const records = Array.from({ length: 5 }, () => record(this.#channel));
      const outcomes = await this.#log.append(records);
      outcomes.forEach((outcome, n) => this.outcomes.set(records[n]?.rid ?? '', outcome));
      this.#look();
      if (outcomes[0]?.state !== 'stored') await eventually(this.#t, () => this.#log.bounds(0));
    }
  }
}

/** What the tail gave holds every stored record, and the first copies in the order of their appends. */
function assertWhole(load: Load, seen: readonly TailRecord[]): void {
  const first = new Map<string, number>();
  seen.forEach(({ record: one }, n) => {
    if (one.rid !== undefined && !first.has(one.rid)) first.set(one.rid, n);
  });
  const missing = load.stored.filter((rid) => !first.has(rid));
  assert.deepEqual(missing, []);
  seen.slice(1).forEach(({ position }, n) => assert.ok(position > (seen[n] as TailRecord).position));
  // One channel: the order of the calls is that of the rids. One of unknown outcome may come late, out of a server that
  // was paused; one that was refused never comes.
  const order = [...first.keys()].filter((rid) => load.outcomes.get(rid)?.state !== 'unknown');
  for (const rid of order) assert.equal(load.outcomes.get(rid)?.state, 'stored', rid);
  const numbers = order.map((rid) => Number(rid.slice(1)));
  numbers.slice(1).forEach((rid, n) => assert.ok(rid > (numbers[n] as number), `r${rid} behind r${numbers[n]}`));
}

for (const [what, harm, heal] of [
  ['killed', (member: NatsBroker) => member.kill(), (member: NatsBroker) => member.restart()],
  ['paused', (member: NatsBroker) => member.pause(), (member: NatsBroker) => member.resume()],
] as const) {
  test(`the leader of a partition is ${what} under load: nothing acknowledged is lost, and it goes on`, async (t) => {
    const servers = given(t);
    if (servers === undefined) return;
    const name = newName();
    const url = servers.urlOf(name, 'partitions=1&replicas=3');
    const { log, seen, errors } = await openLog(t, url);
    const manager = await managerOf(t, servers);
    const load = new Load(t, log, 'chat:a');
    await load.more(200);
    const leader = await leaderOf(manager, `${name}-0`);
    const member = servers.members[leader] as NatsBroker;
    await harm(member);
    await load.more(200);
    await heal(member);
    await load.more(200);
    await load.stop();
    assertWhole(load, seen);
    assert.deepEqual(errors, []);
    assert.match(log.declares.storedSurvives, /loss of 1 of the 3/);
    // What nobody was told of may come a little later.
    await eventually(t, async () => {
      const { newest } = await log.bounds(0);
      assert.equal(seen.at(-1)?.position, newest);
      assert.equal(seen.length, positionNumber(newest));
    });
  });
}
