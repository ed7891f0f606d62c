/**
 * Appends of 200 bytes through one node, as many as it takes: 10 connections with 100 unanswered each, to 100 channels
 * in turns (on NATS a channel has one record under way at a time, so their number counts there). Beside it the
 * broker's own client with 1,000 unanswered, which asks for the same durability: every append waits for the
 * acknowledgement that the node's log waits for. A node also reads each record back before it answers, folds it and
 * keeps it in its view.
 */
import { setTimeout as after } from 'node:timers/promises';
import { brokerKinds, brokerTitles, missingBroker, SharedBroker, startLogClient, startNode } from '../brokers.ts';
import { Meter } from '../meter.ts';
import { processCpu } from '../proc.ts';
import type { Sample, Scenario } from '../scenario.ts';
import { explained, newAppender } from '../tideway.ts';

const payloadBytes = 200;
const connections = 10;
const channels = 100;
const window = 100;

interface Times {
  readonly warmMs: number;
  readonly measuredMs: number;
}

async function measureNode(shared: SharedBroker, { warmMs, measuredMs }: Times): Promise<Sample> {
  const broker = await shared.get();
  const node = await startNode(broker.logAddress(shared.newName()));
  const load = { channel: 'bench:append-', channels, connections, payloadBytes, pace: { window } };
  const appender = newAppender(node.port, load);
  try {
    await appender.ready();
    appender.go();
    await after(warmMs);
    await appender.lap();
    const meter = new Meter(node.pid, [appender.pid, broker.pid]);
    const brokerBeforeMs = processCpu(broker.pid).totalMs;
    await after(measuredMs);
    const { acked, perSecond, latencyMs } = await appender.lap();
    const { serverMs, otherPercent } = meter.read();
    const brokerMs = processCpu(broker.pid).totalMs - brokerBeforeMs;
    await appender.finish();
    if (latencyMs === undefined) throw new Error('nothing was acknowledged');
    return {
      perSecond,
      p99Ms: latencyMs.p99,
      cpuUs: (serverMs / acked) * 1e3,
      brokerCpuUs: (brokerMs / acked) * 1e3,
      otherPercent,
    };
  } catch (error) {
    throw explained(error, node);
  } finally {
    await appender.stop();
    await node.stop();
  }
}

async function measureBare(shared: SharedBroker, { warmMs, measuredMs }: Times): Promise<Sample> {
  const broker = await shared.get();
  const { kind, url } = broker;
  const place = { own: shared.newName() };
  const work = { do: 'append', inFlight: connections * window } as const;
  const client = await startLogClient({ kind, url, place, channel: 'bench', payloadBytes, work });
  try {
    client.send('go');
    await after(warmMs);
    client.send('lap');
    await client.next('lap');
    const meter = new Meter(client.pid, [broker.pid]);
    const brokerBeforeMs = processCpu(broker.pid).totalMs;
    await after(measuredMs);
    client.send('lap');
    const lap = await client.next('lap');
    const { serverMs, otherPercent } = meter.read();
    const brokerMs = processCpu(broker.pid).totalMs - brokerBeforeMs;
    const acked = Number(lap['acked']);
    if (acked === 0) throw new Error('nothing was acknowledged');
    return {
      perSecond: Number(lap['perSecond']),
      cpuUs: (serverMs / acked) * 1e3,
      brokerCpuUs: (brokerMs / acked) * 1e3,
      otherPercent,
    };
  } finally {
    await client.stop();
  }
}

export const logAppend: Scenario = {
  name: 'log-append',
  title: 'appends of 200 B through one node on each log, saturated, beside the bare client',
  columns: ['perSecond', 'p99Ms', 'cpuUs', 'brokerCpuUs'],
  async open({ quick }) {
    const times = quick ? { warmMs: 300, measuredMs: 1_000 } : { warmMs: 700, measuredMs: 2_500 };
    const brokers = brokerKinds.map((kind) => ({ kind, missing: missingBroker(kind), shared: new SharedBroker(kind) }));
    return {
      cases: brokers.map(({ kind, missing, shared }) => ({
        name: brokerTitles[kind],
        contenders: [
          { name: 'tideway', missing, measure: () => measureNode(shared, times) },
          { name: 'bare client', missing, measure: () => measureBare(shared, times) },
        ],
      })),
      async close() {
        await Promise.all(brokers.map(({ shared }) => shared.stop()));
      },
    };
  },
};
