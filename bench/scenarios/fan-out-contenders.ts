/** The contenders of fan-out by name, and how long each is measured. */
import { measureFanOut, type FanOutPlan, type StartFanOut } from '../fan-out.ts';
import { missingCompiler } from '../floors/compile.ts';
import { startFloor, startSocketIo, startWsLoop } from '../peers/peer.ts';
import type { Case, Contender, Settings } from '../scenario.ts';
import { missingTideway, startPrimaryFanOut, startTidewayFanOut, startWorkerFanOut } from '../tideway.ts';

const starters: Readonly<Record<string, StartFanOut>> = {
  tideway: startTidewayFanOut,
  'tideway worker': startWorkerFanOut,
  'tideway primary': startPrimaryFanOut,
  'C send': startFloor('single'),
  'C joined': startFloor('joined'),
  'ws string': startWsLoop('string'),
  'ws buffer': startWsLoop('buffer'),
  'ws cork': startWsLoop('cork'),
  'Socket.IO': startSocketIo,
};

export const fanOutColumns = ['cpuUs', 'userUs', 'deliveriesPerSecond', 'p50Ms', 'p99Ms', 'rssMb'];

export interface FanOutCase {
  readonly connections: number;
  readonly payloadBytes?: number;
  readonly hz?: number;
  readonly burst?: number;
  readonly channels?: number;
  /** Ticks measured; a third of them with --quick, and a fifth warms up before. */
  readonly ticks: number;
}

export function fanOutContender(name: string, settings: Settings, size: FanOutCase): Contender {
  const start = starters[name];
  if (!start) throw new Error(`no contender of fan-out is called "${name}"`);
  const channels = size.channels ?? 1;
  // Whole rounds over the channels, so that each gets equally many records.
  const round = Math.max(1, channels / (size.burst ?? 1));
  const whole = (ticks: number): number => Math.max(1, Math.round(ticks / round)) * round;
  const ticks = whole(settings.quick ? size.ticks / 3 : size.ticks);
  const plan: FanOutPlan = {
    ticks,
    hz: size.hz ?? 0,
    burst: size.burst ?? 1,
    payloadBytes: size.payloadBytes ?? 128,
    channels,
  };
  return {
    name,
    missing: missingCompiler() ?? (name.startsWith('tideway') ? missingTideway() : undefined),
    measure: () => measureFanOut(start, { connections: size.connections, plan, warmTicks: whole(ticks / 5) }),
  };
}

/** As fast as it goes, and at 50 ticks a second. */
export function unpacedAndPaced(names: readonly string[], settings: Settings, connections: number): Case[] {
  return [
    { name: 'unpaced', contenders: fanOutContenders(names, settings, { connections, ticks: 300 }) },
    { name: '50 ticks/s', contenders: fanOutContenders(names, settings, { connections, hz: 50, ticks: 150 }) },
  ];
}

export function fanOutContenders(names: readonly string[], settings: Settings, size: FanOutCase): Contender[] {
  return names.map((name) => fanOutContender(name, settings, size));
}
