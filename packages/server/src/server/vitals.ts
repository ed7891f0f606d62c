/** The server's own figures, once a second, as records of `$system:vitals`: the console reads them like any channel. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Env } from '../env.ts';
import type { Hub } from '../hub/hub.ts';
import type { Policy } from '../hub/policy.ts';
import type { Health } from '../ops/health.ts';

const CHANNEL = '$system:vitals';
const PERIOD_MS = 1_000;

/** What a process does, rates over the time since they were taken last. */
export interface Figures {
  readonly sessions: number;
  readonly subscriptions: number;
  readonly deliveriesPerS: number;
  readonly signalsPerS: number;
  readonly framesReceivedPerS: number;
  readonly bytesSentPerS: number;
  readonly socketWritesPerS: number;
  readonly rssBytes: number | null;
  readonly cpu: number;
  readonly eventLoopLagMs: number;
  readonly outboxBytes: number;
  readonly ringBytes: number;
}

/** Takes the figures of this process. */
export interface FigureTaker {
  take(): Figures & { readonly appendsPerS: number; readonly commitMs: number | null };
  stop(): void;
}

function createFigures(env: Env, hub: Hub): FigureTaker {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  let before = sample();

  function sample() {
    const { figures, backbones } = hub;
    const cpu = process.cpuUsage();
    return {
      atMs: env.monotonicMs(),
      cpuMs: (cpu.user + cpu.system) / 1_000,
      applied: backbones.appended,
      delivered: figures.recordsDelivered,
      bytesSent: figures.bytesSent,
      writes: figures.socketWrites,
      signals: figures.signalsDelivered,
      received: figures.framesReceived,
      appendMs: backbones.appendMsSum,
    };
  }

  return {
    take() {
      const now = sample();
      const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1_000);
      const rate = (name: 'applied' | 'delivered' | 'bytesSent' | 'writes' | 'signals' | 'received'): number =>
        round((now[name] - before[name]) / seconds);
      const applied = now.applied - before.applied;
      const taken = {
        sessions: hub.sessions.size,
        subscriptions: hub.subscriptions,
        appendsPerS: rate('applied'),
        deliveriesPerS: rate('delivered'),
        signalsPerS: rate('signals'),
        framesReceivedPerS: rate('received'),
        bytesSentPerS: rate('bytesSent'),
        socketWritesPerS: rate('writes'),
        rssBytes: residentBytes(),
        cpu: round((now.cpuMs - before.cpuMs) / 10 / seconds),
        eventLoopLagMs: round(delay.percentile(99) / 1e6),
        commitMs: applied === 0 ? null : round((now.appendMs - before.appendMs) / applied),
        outboxBytes: hub.budget.outboxBytes,
        ringBytes: hub.rings.bytes,
      };
      delay.reset();
      before = now;
      return taken;
    },
    stop: () => delay.disable(),
  };
}

/**
 * Appends a record a second while anybody follows the channel or the namespace keeps it; returns what stops it.
 *
 * @param parts.workers the newest figures of each worker, where clients are theirs: then theirs count, with the CPU and
 *   the memory of all
 */
export function startVitals(parts: {
  readonly env: Env;
  readonly hub: Hub;
  readonly policy: Policy;
  readonly health: Health;
  readonly workers?: (() => readonly Figures[]) | undefined;
}): () => void {
  const { env, hub, policy, health } = parts;
  if (policy.rules(CHANNEL) === undefined) return () => {};
  const figures = createFigures(env, hub);
  const startedMs = env.monotonicMs();
  let cancel = env.setTimer(PERIOD_MS, tell);

  function tell(): void {
    cancel = env.setTimer(PERIOD_MS, tell);
    const own = figures.take();
    const workers = parts.workers?.();
    const payload = {
      uptimeS: Math.round((env.monotonicMs() - startedMs) / 1_000),
      log: health.isLogUp ? 'up' : 'down',
      channels: hub.channels,
      appendsInFlight: hub.backbones.appendsInFlight,
      ...own,
      ...(workers === undefined ? {} : { workers: workers.length, ...sumOf(own, workers) }),
    };
    const record = { channel: CHANNEL, kind: 'data', encoding: 'json', time: env.now() } as const;
    hub.backbones.appender(CHANNEL).append({ ...record, payload: Buffer.from(JSON.stringify(payload)) }, () => {});
  }

  return () => {
    cancel();
    figures.stop();
  };
}

/** Tells a worker's figures once a second; returns what stops it. */
export function tellFigures(env: Env, hub: Hub, tell: (figures: Figures) => void): () => void {
  const figures = createFigures(env, hub);
  let cancel = env.setTimer(PERIOD_MS, again);

  function again(): void {
    cancel = env.setTimer(PERIOD_MS, again);
    tell(figures.take());
  }

  return () => {
    cancel();
    figures.stop();
  };
}

function sumOf(own: Figures, workers: readonly Figures[]): Figures {
  const of = (name: Exclude<keyof Figures, 'rssBytes' | 'cpu' | 'eventLoopLagMs'>): number =>
    round(workers.reduce((sum, figures) => sum + figures[name], 0));
  const all = [own, ...workers];
  return {
    sessions: of('sessions'),
    subscriptions: of('subscriptions'),
    deliveriesPerS: of('deliveriesPerS'),
    signalsPerS: of('signalsPerS'),
    framesReceivedPerS: of('framesReceivedPerS'),
    bytesSentPerS: of('bytesSentPerS'),
    socketWritesPerS: of('socketWritesPerS'),
    outboxBytes: of('outboxBytes'),
    ringBytes: of('ringBytes'),
    rssBytes: all.some(({ rssBytes }) => rssBytes === null)
      ? null
      : all.reduce((sum, { rssBytes }) => sum + (rssBytes ?? 0), 0),
    cpu: round(all.reduce((sum, { cpu }) => sum + cpu, 0)),
    eventLoopLagMs: Math.max(...all.map(({ eventLoopLagMs }) => eventLoopLagMs)),
  };
}

/** Where no file descriptor is left even this cannot be read; the figure is missing then, and nothing else. */
function residentBytes(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
