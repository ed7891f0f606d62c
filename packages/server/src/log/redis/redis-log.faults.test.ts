import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { startClusterReplica, startRedisCluster } from '../../../../../scripts/brokers/redis-cluster.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import type { AppendOutcome, PhysicalRecord, TailError, TailRecord } from '../log.ts';
import { parseRedisAddress } from './redis-address.ts';
import { RedisPort, type RedisPortOptions } from './redis-port.ts';
import { redisTest, startServer, until } from './testing/redis-room.ts';

/** What happens to a partition is found soon; a server is given its time to answer. */
const watchful = { times: { answerMs: 5_000, probeMs: 200 } };
const impatient = { times: { answerMs: 2_000, probeMs: 500 } };
let count = 0;

/** A node: a log of one partition, a tail of it, and what it was told. */
class Node {
  readonly log: BrokerLog;
  readonly records: TailRecord[] = [];
  error: TailError | undefined;
  epoch = '';
  #isDown = false;
  #look: (() => void) | undefined;

  private constructor(url: string, options: RedisPortOptions) {
    this.log = new BrokerLog({
      partitions: 1,
      port: new RedisPort(parseRedisAddress(url), options),
      report: ({ event }) => {
        if (event === 'down' || event === 'up') this.#isDown = event === 'down';
        this.#look?.();
      },
    });
  }

  static async open(t: TestContext, url: string, options: RedisPortOptions = watchful): Promise<Node> {
    const node = new Node(url, options);
    t.after(() => node.log.close());
    node.epoch = (await node.log.open()).epochs[0]!;
    await node.tail();
    return node;
  }

  async tail(): Promise<void> {
    this.error = undefined;
    this.records.length = 0;
    await this.log.tail(
      0,
      'oldest',
      (batch) => {
        this.records.push(...batch);
        this.#look?.();
        return undefined;
      },
      (error) => {
        this.error = error;
        this.#look?.();
      },
    );
  }

  append(howMany = 1): Promise<readonly AppendOutcome[]> {
    return this.log.append(Array.from({ length: howMany }, () => newRecord()));
  }

  async store(howMany = 1): Promise<void> {
    for (const outcome of await this.append(howMany)) assert.deepEqual(outcome, { state: 'stored' });
  }

  seen(howMany: number): Promise<void> {
    return until((done) => {
      this.#look = () => this.records.length >= howMany && done();
      this.#look();
    }, `${howMany} records; ${this.records.length} came`);
  }

  ended(): Promise<TailError> {
    return until((done) => {
      this.#look = () => this.error !== undefined && done(this.error);
      this.#look();
    }, 'the tail to end');
  }

  /** Later than now, so that a log that is down gets its turn to come back. */
  up(): Promise<void> {
    return until((done) => {
      this.#look = () => !this.#isDown && done();
      setImmediate(this.#look);
    }, 'the log to be up');
  }

  get rids(): readonly (string | undefined)[] {
    return this.records.map(({ record }) => record.rid);
  }
}

function newRecord(): PhysicalRecord {
  return { channel: 'a:b', kind: 'data', encoding: 'json', payload: Buffer.from('1'), rid: `r${++count}` };
}

/** The last so many rids that were given out. */
function ascending(howMany: number): readonly string[] {
  return Array.from({ length: howMany }, (_, n) => `r${count - howMany + 1 + n}`);
}

redisTest(
  'killed and started again: what was appended meanwhile is stored once, in order, and the tail goes on',
  async (t) => {
    const server = await startServer(t);
    const nodes = [await Node.open(t, server.url), await Node.open(t, server.url)] as const;
    await nodes[0].store(100);
    const calls = [nodes[0].append(10), nodes[0].append(10)];
    await server.kill();
    calls.push(nodes[0].append(10));
    await server.restart();
    const outcomes = (await Promise.all(calls)).flat();
    assert.deepEqual(new Set(outcomes.map(({ state }) => state)), new Set(['stored']));
    await nodes[0].store(1);
    for (const node of nodes) {
      await node.seen(131);
      assert.equal(node.error, undefined);
      assert.deepEqual(node.rids, ascending(131));
    }
  },
);

redisTest('paused for longer than it is waited for: nothing is lost, doubled or out of order', async (t) => {
  const server = await startServer(t);
  const node = await Node.open(t, server.url, impatient);
  await node.store(10);
  server.pause();
  const calls = [node.append(5), node.append(5)];
  await assert.rejects(node.log.bounds(0), /accepts connections but does not answer/);
  server.resume();
  for (const outcome of (await Promise.all(calls)).flat()) assert.equal(outcome.state, 'stored');
  await node.store(1);
  await node.seen(21);
  assert.deepEqual(node.rids, ascending(21));
});

redisTest(
  'FLUSHALL under running nodes: each tail is told the new epoch, and a new one gives what is stored now',
  async (t) => {
    const server = await startServer(t);
    const nodes = [await Node.open(t, server.url), await Node.open(t, server.url)] as const;
    await nodes[0].store(20);
    server.cli('FLUSHALL');
    const errors = await Promise.all(nodes.map((node) => node.ended()));
    for (const error of errors) assert.equal(error.reason, 'epoch');
    assert.equal(errors[0]?.epoch, errors[1]?.epoch);
    assert.notEqual(errors[0]?.epoch, nodes[0].epoch);
    for (const node of nodes) await node.tail();
    await nodes[1].store(3);
    for (const node of nodes) {
      await node.seen(3);
      assert.deepEqual(node.rids, ascending(3));
    }
  },
);

redisTest('started again empty: the tail is told the new epoch', async (t) => {
  const server = await startServer(t);
  const node = await Node.open(t, server.url);
  await node.store(20);
  await server.kill();
  await server.wipe();
  await server.restart();
  const error = await node.ended();
  assert.equal(error.reason, 'epoch');
  assert.notEqual(error.epoch, node.epoch);
  await node.tail();
  await node.store(2);
  assert.deepEqual(node.rids, ascending(2));
});

redisTest(
  'a failover to a stale replica is diverged to whoever stands behind it, and nothing to who does not',
  async (t) => {
    const primary = await startServer(t);
    const replica = await startServer(t, { replicaOf: primary });
    const members = `redis://127.0.0.1:${primary.port},127.0.0.1:${replica.port}`;
    const node = await Node.open(t, members);
    await node.store(10);
    await replica.untilReplicated();
    replica.cli('REPLICAOF', 'NO', 'ONE');
    await node.store(5);
    await primary.kill();
    assert.equal((await node.ended()).reason, 'diverged');
    await node.tail();
    await node.seen(10);
    await node.store(7);
    assert.equal(node.records.length, 17);
    const late = await Node.open(t, members);
    await late.seen(17);
    assert.deepEqual(late.rids, node.rids);
  },
);

redisTest('a failover in which the new primary has overtaken the old one is found by the tag', async (t) => {
  const primary = await startServer(t);
  const replica = await startServer(t, { replicaOf: primary });
  const node = await Node.open(t, `redis://127.0.0.1:${primary.port},127.0.0.1:${replica.port}`);
  await node.store(10);
  await replica.untilReplicated();
  replica.cli('REPLICAOF', 'NO', 'ONE');
  await node.store(5);
  const elsewhere = await Node.open(t, replica.url);
  await elsewhere.store(50);
  await primary.kill();
  assert.equal((await node.ended()).reason, 'diverged');
  await node.tail();
  await node.seen(60);
  assert.deepEqual(node.rids, elsewhere.rids);
});

redisTest('a primary of a Cluster that is killed: its replica takes over, nothing replicated is lost', async (t) => {
  const servers = await startRedisCluster();
  t.after(() => Promise.all(servers.map((server) => server.stop())));
  const slot = Number(servers[0]!.cli('CLUSTER', 'KEYSLOT', '{tideway:0}:records'));
  const primary = servers[Math.floor(slot / (16_384 / 3))]!;
  const replica = await startClusterReplica(servers, primary);
  t.after(() => replica.stop());
  const others = servers.filter((server) => server !== primary);
  const node = await Node.open(t, `redis://${others.map(({ port }) => `127.0.0.1:${port}`).join()}`);
  await node.store(20);
  await replica.untilReplicated(primary);
  await primary.kill();
  // Appends are refused until the replica has taken over and the node has found it.
  const endMs = performance.now() + 60_000;
  for (;;) {
    const [outcome] = await node.append();
    if (outcome?.state === 'stored') break;
    assert.ok(performance.now() < endMs, JSON.stringify(outcome));
    await node.up();
  }
  assert.equal(node.error, undefined);
  assert.equal(new Set(node.rids).size, node.rids.length);
  assert.ok(replica.cli('ROLE').startsWith('master'));
});
