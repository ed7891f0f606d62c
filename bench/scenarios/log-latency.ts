/**
 * From an append on one node to its delivery at a client of another: lone records of 200 bytes, 100 a second whatever
 * happens, counted from the intended time. Beside each broker stands its own client, appending in one process and
 * reading in another; the first case is one node with the embedded log, where nothing lies between.
 */
import { setTimeout as after } from 'node:timers/promises';
import { brokerKinds, brokerTitles, missingBroker, SharedBroker, startLogClient, startNode } from '../brokers.ts';
import type { Child } from '../child.ts';
import { missingCompiler } from '../floors/compile.ts';
import { Meter } from '../meter.ts';
import { Receiver, type Latency } from '../receiver.ts';
import type { Case, Sample, Scenario, Settings } from '../scenario.ts';
import {
  explained,
  helloText,
  missingTideway,
  newAppender,
  startTideway,
  subscribeText,
  tidewayDialect,
  type Tideway,
} from '../tideway.ts';

const channel = 'bench:latency';
const payloadBytes = 200;
const ratePerSecond = 100;

/** Appends on one node, receives on the other, which may be the same. */
async function measureNodes(from: Tideway, to: Tideway, seconds: number): Promise<Sample> {
  const dialect = tidewayDialect([[helloText('bench-latency'), subscribeText(channel)]]);
  const receiver = new Receiver({ port: to.port, connections: 1, dialect, sampleEvery: 1 });
  const records = ratePerSecond * seconds;
  const newPaced = (count: number) =>
    newAppender(from.port, { channel, payloadBytes, pace: { ratePerSecond }, records: count });
  try {
    await receiver.ready();
    for (const count of [ratePerSecond, records]) {
      const appender = newPaced(count);
      try {
        await appender.ready();
        await receiver.reset();
        const meter = new Meter(to.pid, [receiver.pid, appender.pid]);
        appender.go();
        const [received] = await Promise.all([receiver.until(count), appender.done()]);
        if (count < records) continue;
        if (received.lost > 0 || received.repeated > 0) {
          throw new Error(`${received.lost} records were lost, ${received.repeated} came twice`);
        }
        return sampleOf(received.latencyMs, meter.read().otherPercent);
      } finally {
        await appender.stop();
      }
    }
    throw new Error('nothing was measured');
  } finally {
    await receiver.stop();
  }
}

function sampleOf(latency: Pick<Latency, 'p50' | 'p99'> | undefined, otherPercent: number): Sample {
  if (latency === undefined) throw new Error('no latency was measured');
  return { p50Ms: latency.p50, p99Ms: latency.p99, otherPercent };
}

async function measureEmbedded(seconds: number): Promise<Sample> {
  const node = await startTideway({});
  try {
    return await measureNodes(node, node, seconds);
  } catch (error) {
    throw explained(error, node);
  } finally {
    await node.stop();
  }
}

async function measureTideway(shared: SharedBroker, seconds: number): Promise<Sample> {
  const address = (await shared.get()).logAddress(shared.newName());
  const [one, two] = await Promise.all([startNode(address), startNode(address)]);
  try {
    return await measureNodes(one, two, seconds);
  } catch (error) {
    throw explained(error, two);
  } finally {
    await Promise.all([one.stop(), two.stop()]);
  }
}

async function measureBare(shared: SharedBroker, seconds: number): Promise<Sample> {
  const { kind, url } = await shared.get();
  const own = shared.newName();
  const options = { kind, url, place: { own }, channel, payloadBytes };
  const clients: Child[] = [];
  const start = async (work: Parameters<typeof startLogClient>[0]['work']): Promise<Child> => {
    const client = await startLogClient({ ...options, work });
    clients.push(client);
    return client;
  };
  try {
    const warm = await start({ do: 'pace', rate: ratePerSecond, records: ratePerSecond });
    const reader = await start({ do: 'read', timed: true });
    warm.send('go');
    reader.send(`until ${ratePerSecond}`);
    await reader.next('reached');
    const records = ratePerSecond * seconds;
    const writer = await start({ do: 'pace', rate: ratePerSecond, records });
    await after(200);
    const meter = new Meter(reader.pid, [writer.pid]);
    writer.send('go');
    reader.send(`until ${ratePerSecond + records}`);
    const { latencyMs } = await reader.next('reached');
    // The client is ours: its report has what `readOn` in log-client.ts puts there.
    return sampleOf(latencyMs as Latency, meter.read().otherPercent);
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
  }
}

export const logLatency: Scenario = {
  name: 'log-latency',
  title: 'append on one node to delivery on another, lone records of 200 B, 100/s open loop',
  columns: ['p50Ms', 'p99Ms'],
  async open(settings: Settings) {
    const seconds = settings.quick ? 1 : 3;
    const brokers = brokerKinds.map((kind) => ({ kind, shared: new SharedBroker(kind) }));
    const missing = missingCompiler() ?? missingTideway();
    const cases: Case[] = [
      { name: 'embedded', contenders: [{ name: 'one node', missing, measure: () => measureEmbedded(seconds) }] },
      ...brokers.map(({ kind, shared }) => ({
        name: brokerTitles[kind],
        contenders: [
          { name: 'tideway', missing: missingBroker(kind), measure: () => measureTideway(shared, seconds) },
          { name: 'bare client', missing: missingBroker(kind), measure: () => measureBare(shared, seconds) },
        ],
      })),
    ];
    return {
      cases,
      async close() {
        await Promise.all(brokers.map(({ shared }) => shared.stop()));
      },
    };
  },
};
