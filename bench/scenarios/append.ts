/**
 * Appends over WebSocket, 200 bytes each, acknowledged when they are durable: one at a time; 10,000 a second whatever
 * the server does (latency from the intended time); and as many as it takes, 10 connections with 100 unanswered each.
 * A server may read less far ahead than 100 (Tideway: 64 commands of a session); the rest waits in the socket.
 *
 * The floor answers with the same frames but reads, checks, numbers and indexes nothing (floors/append-floor.ts): it
 * shows what the disk and `ws` allow. Beside it stands one that reads the JSON, as every server of the protocol must.
 */
import { setTimeout as after } from 'node:timers/promises';
import type { AppendLoad, AppendServer } from '../append-server.ts';
import { startFloorAppend, startTidewayAppend } from '../append-server.ts';
import type { Appended } from '../appender.ts';
import { missingCompiler } from '../floors/compile.ts';
import { Meter, type Spent } from '../meter.ts';
import type { Contender, Sample, Scenario, Settings } from '../scenario.ts';
import { missingTideway } from '../tideway.ts';

const payloadBytes = 200;

const loads: Readonly<Record<string, AppendLoad>> = {
  lone: { channel: 'bench:append', payloadBytes, pace: { lockstep: 1 } },
  '10,000/s': {
    channel: 'bench:append-',
    channels: 10,
    connections: 10,
    payloadBytes,
    pace: { ratePerSecond: 10_000 },
  },
  saturated: { channel: 'bench:append-', channels: 10, connections: 10, payloadBytes, pace: { window: 100 } },
};

function sampleOf(appended: Appended, spent: Spent): Sample {
  const { latencyMs } = appended;
  if (!latencyMs) throw new Error('nothing was acknowledged');
  return {
    perSecond: appended.perSecond,
    p50Ms: latencyMs.p50,
    p99Ms: latencyMs.p99,
    p999Ms: latencyMs.p999,
    maxMs: latencyMs.max,
    cpuUs: (spent.serverMs * 1e3) / appended.acked,
    generatorPercent: spent.generatorPercent,
    otherPercent: spent.otherPercent,
  };
}

async function measure(start: () => Promise<AppendServer>, load: AppendLoad, quick: boolean): Promise<Sample> {
  const server = await start();
  try {
    const appender = server.appender(load);
    try {
      await appender.ready();
      appender.go();
      await after(quick ? 500 : 2_000);
      await appender.lap();
      const meter = new Meter(server.pid, [appender.pid]);
      await after(quick ? 1_500 : 5_000);
      const appended = await appender.lap();
      const sample = sampleOf(appended, meter.read());
      await appender.finish();
      return sample;
    } finally {
      await appender.stop();
    }
  } catch (error) {
    throw server.explained?.(error) ?? error;
  } finally {
    await server.stop();
  }
}

function contenders(load: AppendLoad, settings: Settings): Contender[] {
  const missing = missingCompiler();
  return [
    {
      name: 'tideway',
      missing: missing ?? missingTideway(),
      measure: () => measure(startTidewayAppend, load, settings.quick),
    },
    { name: 'floor', missing, measure: () => measure(() => startFloorAppend(), load, settings.quick) },
    { name: 'floor, JSON read', missing, measure: () => measure(() => startFloorAppend(true), load, settings.quick) },
  ];
}

export const append: Scenario = {
  name: 'append',
  title: 'durable appends of 200 B over WebSocket: lone, 10,000/s open loop, saturated',
  columns: ['perSecond', 'p50Ms', 'p99Ms', 'p999Ms', 'maxMs', 'cpuUs'],
  async open(settings) {
    return {
      cases: Object.entries(loads).map(([name, load]) => ({ name, contenders: contenders(load, settings) })),
    };
  },
};
