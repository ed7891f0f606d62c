/** What is done to the world of a torture run while it lasts: the network, the disk, the clock, slow readers, trims. */
import type { ServerProcess } from '../raw/server-process.ts';
import type { ProxyFault } from '../raw/fault-proxy.ts';
import type { Random } from './random.ts';
import { rest, type SlowReader, type Stage, type TortureClient } from './stage.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const YEAR_MS = 365 * 24 * HOUR_MS;

export interface FaultCounts {
  network: number;
  rests: number;
  slowDisk: number;
  fullDisk: number;
  clockSteps: number;
  trims: number;
  /** Of a server with workers: processes killed, and paused. */
  workerKills: number;
  workerPauses: number;
}

interface World {
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly counts: FaultCounts;
}

/** A fault on the way of one client after the other, for a moment each. */
export async function troubleNetwork(
  { random, signal, counts }: World,
  clients: readonly [TortureClient, ...TortureClient[]],
): Promise<void> {
  while (!signal.aborted) {
    await rest(random.between(50, 600), signal);
    const { proxy } = random.pick(clients);
    counts.network++;
    if (random.percent(35)) {
      proxy.cut();
      continue;
    }
    proxy.setFault(drawFault(random));
    await rest(random.between(200, 2_000), signal);
    proxy.setFault({});
  }
}

function drawFault(random: Random): ProxyFault {
  switch (random.between(0, 4)) {
    case 0:
      return { cutAfterBytes: random.between(1, 20_000) };
    case 1:
      return { delayMs: random.between(10, 300) };
    case 2:
      return { pieceBytes: random.between(1, 60), delayMs: random.between(0, 5) };
    case 3:
      return { bytesPerSecond: random.between(2_000, 60_000) };
    default:
      return { freeze: true };
  }
}

/** Readers that read slowly, or not at all, for a while. */
export async function slowReaders(
  { random, signal, counts }: World,
  readers: readonly [SlowReader, ...SlowReader[]],
): Promise<void> {
  while (!signal.aborted) {
    await rest(random.between(500, 3_000), signal);
    const reader = random.pick(readers);
    counts.rests++;
    reader.restMs = random.between(2, 1_500);
    await rest(random.between(500, 4_000), signal);
    reader.restMs = 0;
  }
}

/** A disk that is slow, or full, for a moment. */
export async function troubleDisk({ random, signal, counts }: World, server: ServerProcess): Promise<void> {
  while (!signal.aborted) {
    await rest(random.between(2_000, 6_000), signal);
    if (random.percent(60)) {
      counts.slowDisk++;
      server.tell({ writeDelayMs: random.between(5, 120) });
    } else {
      counts.fullDisk++;
      server.tell({ diskFull: true, fraction: random.fraction() });
    }
    await rest(random.between(100, 900), signal);
    server.tell({ writeDelayMs: 0, diskFull: false });
  }
}

/** A wall clock that steps by seconds, hours and years, back and forth. */
export async function stepClock(
  { random, signal, counts }: World,
  server: ServerProcess,
  environment: Record<string, string>,
): Promise<void> {
  while (!signal.aborted) {
    await rest(random.between(1_500, 5_000), signal);
    const stepMs = random.pick([0, 2_000, MINUTE_MS, HOUR_MS, 30 * HOUR_MS, YEAR_MS]);
    const clockMs = Math.round((random.fraction() * 2 - 1) * stepMs);
    counts.clockSteps++;
    environment['TORTURE_CLOCK_MS'] = String(clockMs);
    server.tell({ clockMs });
  }
}

/** Trims a channel on purpose while it is written and read. */
export async function trim(
  { random, signal, counts }: World,
  stage: Stage,
  server: ServerProcess,
  channel: string,
): Promise<void> {
  while (!signal.aborted) {
    await rest(random.between(1_000, 5_000), signal);
    try {
      const url = new URL('/v1/records', server.url);
      url.searchParams.set('channel', channel);
      const response = await fetch(url, { method: 'DELETE', signal: AbortSignal.timeout(5_000) });
      const { cursor } = (await response.json()) as { cursor?: string };
      if (cursor === undefined) continue;
      counts.trims++;
      stage.checker.accept({ kind: 'trim', channel, cursor });
    } catch {
      // The server is down; whether it trimmed is not known, and the channel's retention is not judged.
    }
  }
}
