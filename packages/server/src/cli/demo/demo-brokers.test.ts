import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { redis } from '../../../../../scripts/brokers/redis.ts';
import { startRedisCluster } from '../../../../../scripts/brokers/redis-cluster.ts';
import { isAlive } from '../../../../../scripts/leash.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { CliProcess, runCli, temporaryFolder } from '../testing/cli-rig.ts';
import type { DemoBroker } from './demo-broker.ts';
import { openBroker } from './demo-brokers.ts';
import type { DemoStatus } from './demo-front.ts';
import { DemoLeash } from './demo-leash.ts';

const OPTIONS = { timeout: 240_000 };
/** The pages may have to be built first, beside other tests. */
const PATIENT_MS = 120_000;

/** Something that listens, as a broker would. */
async function listener(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function open(t: TestContext, log: string): Promise<DemoBroker> {
  const leash = new DemoLeash();
  const broker = await openBroker({ log, folder: await temporaryFolder(t), leash, onChange: () => {} });
  t.after(async () => {
    await broker.close();
    await leash.release();
  });
  return broker;
}

test('several nodes without a log that they share are refused, with what to write', OPTIONS, async (t) => {
  const wrong = [
    [[], /--nodes 3 needs a log that all of them share: without --log each has its own on disk/],
    [['--log', './data'], /"\.\/data" is for one process only/],
    [['--log', 'file:data'], /"file:data" is for one process only/],
    [['--log', 'memory:'], /"memory:" is for one process only/],
    [['--log', 'postgres://x'], /--log: unknown log scheme "postgres:"/],
    [['--log', 'nats'], /--log: "nats" is a folder of that name; for the broker write --log nats:/],
    [['--log', 'nats://127.0.0.1'], /--log: a log on NATS is written nats:/],
  ] as const;
  for (const [args, message] of wrong) {
    const { exitCode, stderr } = await runCli(t, ['demo', '--nodes', '3', ...args]);
    assert.match(stderr, message);
    assert.equal(exitCode, 2, stderr);
    if (!stderr.includes('--log: ')) assert.match(stderr, /tideway demo --nodes 3 --log redis:/);
  }
  for (const count of ['0', '10', 'many']) {
    const { exitCode, stderr } = await runCli(t, ['demo', '--nodes', count]);
    assert.deepEqual([exitCode, /--nodes.* from 1 to 9/.test(stderr)], [2, true], stderr);
  }
});

test('a broker that is not there, and one whose program is missing, are said in words', OPTIONS, async (t) => {
  const away = await runCli(t, ['demo', '--port', '0', '--nodes', '2', '--log', 'redis://:secret@127.0.0.1:1/x']);
  assert.equal(away.exitCode, 4, away.stderr);
  assert.match(away.stderr, /nobody answers at 127\.0\.0\.1:1: ECONNREFUSED/);
  assert.match(away.stderr, /--log redis:/);
  assert.doesNotMatch(away.stderr, /secret/);
  const environment = { PATH: await temporaryFolder(t), KAFKA_HOME: '' };
  for (const [log, program] of [
    [
      'redis:',
      /^starting Redis …$[\s\S]*redis-server is not on this machine; Redis needs it[\s\S]*apt-get install redis-server/m,
    ],
    ['nats:', /nats-server is not on this machine; NATS needs it[\s\S]*apt-get install nats-server/],
    ['kafka:', /KAFKA_HOME names no folder with a Kafka in it[\s\S]*set KAFKA_HOME/],
  ] as const) {
    const { exitCode, stderr } = await runCli(t, ['demo', '--port', '0', '--log', log], { environment });
    assert.match(stderr, program);
    assert.equal(exitCode, 1);
  }
});

test('the nodes reach a broker through a port that can be closed, under its own name and with all else kept', async (t) => {
  const port = await listener(t);
  const cases: readonly (readonly [log: string, through: RegExp])[] = [
    [`nats://ann:pw@127.0.0.1:${port}/orders?partitions=4`, /^nats:\/\/ann:pw@127\.0\.0\.1:\d+\/orders\?partitions=4$/],
    [`amqp://127.0.0.1:${port}/?name=x`, /^amqp:\/\/127\.0\.0\.1:\d+\/\?name=x$/],
    [`kafka://127.0.0.1:${port}/x`, /^kafka:\/\/127\.0\.0\.1:\d+\/x\?advertised=ignore$/],
    [`kafka://127.0.0.1:${port}/x?partitions=2`, /\/x\?partitions=2&advertised=ignore$/],
    [`kafka://127.0.0.1:${port}/x?advertised=ignore`, /\/x\?advertised=ignore$/],
  ];
  for (const [log, through] of cases) {
    const broker = await open(t, log);
    assert.match(broker.address, through);
    assert.ok(!broker.address.includes(`:${port}`), broker.address);
    assert.deepEqual([broker.status.state, broker.status.isOwn, broker.status.refusal], ['up', false, undefined]);
    assert.equal(broker.status.place, `127.0.0.1:${port}`);
    await broker.stop();
    assert.equal(broker.status.state, 'down');
    await broker.start();
    assert.equal(broker.status.state, 'up');
  }
});

test('where no port of ours can stand before a broker, the nodes go straight to it, and the button says why', async (t) => {
  for (const [log, why] of [
    ['nats://127.0.0.1:1,127.0.0.1:2/x', /several servers/],
    ['nats+tls://127.0.0.1:1/x', /with TLS/],
    ['amqps://127.0.0.1:1/', /with TLS/],
    ['rediss://127.0.0.1:1/x', /with TLS/],
    ['kafka+tls://127.0.0.1:1/x', /with TLS/],
  ] as const) {
    const broker = await open(t, log);
    assert.equal(broker.address, log);
    assert.match(broker.status.refusal ?? '', why);
    assert.match(broker.status.place, /^127\.0\.0\.1:1(, 127\.0\.0\.1:2)?$/);
  }
});

test('a Redis Cluster is recognized by what it says of itself', OPTIONS, async (t) => {
  if (!requireService(t, 'redis', redis.missing() === undefined)) return;
  const servers = await startRedisCluster();
  t.after(async () => {
    for (const server of servers) await server.stop();
  });
  const log = servers[0]?.url ?? '';
  const broker = await open(t, log);
  assert.equal(broker.address, log);
  assert.match(broker.status.refusal ?? '', /Redis Cluster/);
});

test('a broker of the demo is killed and comes back on its port and data', OPTIONS, async (t) => {
  if (!requireService(t, 'redis', redis.missing() === undefined)) return;
  const broker = await open(t, 'redis:');
  const { pid, place } = broker.status;
  assert.equal(broker.status.isOwn, true);
  await broker.stop();
  assert.deepEqual([broker.status.state, broker.status.pid], ['down', undefined]);
  await Promise.all([broker.start(), broker.start()]);
  assert.deepEqual([broker.status.state, broker.status.place], ['up', place]);
  assert.notEqual(broker.status.pid, pid);
});

/** The demo on a broker of its own, with one node and everything in a folder of the test's. */
async function startDemo(t: TestContext) {
  const folder = await temporaryFolder(t);
  const environment = { TMPDIR: folder };
  const args = ['demo', '--port', '0', '--json', '--nodes', '2', '--log', 'redis:'];
  const demo = new CliProcess(t, args, { environment });
  await t.waitFor(() => assert.match(demo.stdout.join(), /"event":"ready"/), { timeout: PATIENT_MS, interval: 50 });
  const { url } = JSON.parse(demo.stdout.join()) as { readonly url: string };
  const response = await fetch(`${url.replace('localhost', '127.0.0.1')}/demo/status`);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const { value = '' } = (await reader?.read()) ?? {};
  await reader?.cancel();
  const status = JSON.parse(/data: (.*)/.exec(value)?.[1] ?? '') as DemoStatus;
  const pids = [...status.nodes.map(({ pid }) => pid), status.broker?.pid];
  assert.equal(pids.filter((pid) => pid !== undefined).length, 3);
  return { demo, folder, pids: pids as readonly number[] };
}

test('asked to stop, the demo leaves no process and no folder, paused nodes included', OPTIONS, async (t) => {
  if (!requireService(t, 'redis', redis.missing() === undefined)) return;
  const { demo, folder, pids } = await startDemo(t);
  process.kill(pids[0] as number, 'SIGSTOP');
  demo.child.kill('SIGINT');
  demo.child.kill('SIGINT');
  await demo.finished();
  await untilGone(t, pids, folder);
});

test('killed itself, the demo takes everything it has started with it', OPTIONS, async (t) => {
  if (!requireService(t, 'redis', redis.missing() === undefined)) return;
  const { demo, folder, pids } = await startDemo(t);
  assert.equal((await demoFolders(folder)).length, 1);
  await demo.end('SIGKILL');
  await untilGone(t, pids, folder);
});

async function demoFolders(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => name.startsWith('tideway-demo-'));
}

async function untilGone(t: TestContext, pids: readonly number[], folder: string): Promise<void> {
  await t.waitFor(
    async () => {
      assert.deepEqual(pids.filter(isAlive), []);
      assert.deepEqual(await demoFolders(folder), []);
    },
    { timeout: PATIENT_MS, interval: 50 },
  );
}
