/** The server's own figures, once a second, as records of `$system:vitals`: the console reads them like any channel. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Env } from '../env.ts';
import type { Hub } from '../hub/hub.ts';
import type { Policy } from '../hub/policy.ts';
import type { Health } from '../ops/health.ts';

const CHANNEL = '$system:vitals';
const PERIOD_MS = 1_000;

/** Appends a record a second while anybody follows the channel or the namespace keeps it; returns what stops it. */
export function startVitals(parts: {
  readonly env: Env;
  readonly hub: Hub;
  readonly policy: Policy;
  readonly health: Health;
}): () => void {
  const { env, hub, policy, health } = parts;
  if (policy.rules(CHANNEL) === undefined) return () => {};
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const startedMs = env.monotonicMs();
  let before = sample();
  let cancel = env.setTimer(PERIOD_MS, tell);

  function sample() {
    const { figures } = hub;
    const cpu = process.cpuUsage();
    return {
      atMs: env.monotonicMs(),
      cpuMs: (cpu.user + cpu.system) / 1_000,
      applied: hub.appended,
      delivered: figures.recordsDelivered,
      bytesSent: figures.bytesSent,
      writes: figures.socketWrites,
      signals: figures.signalsDelivered,
      received: figures.framesReceived,
      commitMs: hub.commitMsSum,
      commits: hub.commits,
    };
  }

  function tell(): void {
    cancel = env.setTimer(PERIOD_MS, tell);
    const now = sample();
    const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1_000);
    const rate = (name: 'applied' | 'delivered' | 'bytesSent' | 'writes' | 'signals' | 'received'): number =>
      round((now[name] - before[name]) / seconds);
    const commits = now.commits - before.commits;
    const payload = {
      uptimeS: Math.round((now.atMs - startedMs) / 1_000),
      log: health.isLogUp ? 'up' : 'down',
      sessions: hub.sessions.size,
      subscriptions: hub.subscriptions,
      channels: hub.channels,
      appendsPerS: rate('applied'),
      deliveriesPerS: rate('delivered'),
      signalsPerS: rate('signals'),
      framesReceivedPerS: rate('received'),
      bytesSentPerS: rate('bytesSent'),
      socketWritesPerS: rate('writes'),
      rssBytes: residentBytes(),
      cpu: round((now.cpuMs - before.cpuMs) / 10 / seconds),
      eventLoopLagMs: round(delay.percentile(99) / 1e6),
      commitMs: commits === 0 ? null : round((now.commitMs - before.commitMs) / commits),
      outboxBytes: hub.outboxBytes,
      ringBytes: hub.ringBytes,
      appendsInFlight: hub.appendsInFlight,
    };
    delay.reset();
    before = now;
    const record = { channel: CHANNEL, kind: 'data', encoding: 'json', time: env.now() } as const;
    hub.appender(CHANNEL).append({ ...record, payload: Buffer.from(JSON.stringify(payload)) }, () => {});
  }

  return () => {
    cancel();
    delay.disable();
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
