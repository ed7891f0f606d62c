/**
 * A resume storm: a server starts on a folder of records, a few sessions append all the while, and then thousands of
 * clients connect at once, say hello, resume from a place 100 records back and are served the rest. It is over when
 * every client has every record; then each channel gets one more, which all must get too: they are live.
 *
 * At most 256 connections are on their way at a time, so that it is the server that is measured and not the kernel's
 * queue of new connections. The receiver of all that gives way to the few sessions that append: their latency shall be
 * the server's doing, not that of generators who share a core. Each measurement starts a fresh process on a copy of the same folder: caches of the process
 * are cold, as after the restart that makes such a storm.
 */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import type { TokenIssuer } from './json-web-token.ts';
import { Meter } from './meter.ts';
import { processRssBytes } from './proc.ts';
import { Receiver, type Received } from './receiver.ts';
import type { Sample } from './scenario.ts';
import {
  explained,
  helloText,
  newAppender,
  newDataFolder,
  removeDataFolder,
  startTideway,
  subscribeText,
  tidewayDialect,
  type Tideway,
} from './tideway.ts';

export const recordsBehind = 100;
const payloadBytes = 100;
const prefix = 'bench:resume-';

/**
 * Fills channels, in turn, each with one record and then as many as the clients will be behind; the appender writes the
 * cursors beside the server's data. The place after its first record, by channel.
 */
export async function fillChannels(
  port: number,
  {
    channel,
    channels,
    dataFolder,
  }: { readonly channel: string; readonly channels: number; readonly dataFolder: string },
): Promise<readonly string[]> {
  const cursorsPath = join(dataFolder, 'cursors.txt');
  const appender = newAppender(port, {
    channel,
    channels,
    connections: Math.min(10, channels),
    payloadBytes,
    pace: { window: 50 },
    records: channels * (recordsBehind + 1),
    cursorsPath,
  });
  try {
    await appender.ready();
    appender.go();
    await appender.done(300_000);
  } finally {
    await appender.stop();
  }
  return readFileSync(cursorsPath, 'utf8').trim().split('\n');
}

/** @throws Error where a client lacks a record, has one twice, or one that another has not */
export function assertEachCaughtUp(there: Received): void {
  const { least, most, lost, repeated } = there;
  if (least === recordsBehind && most === recordsBehind && lost === 0 && repeated === 0) return;
  throw new Error(
    `clients got ${least} to ${most} records, not ${recordsBehind} each; ${lost} lost, ${repeated} repeated`,
  );
}

export interface Prepared {
  readonly dataFolder: string;
  /** By channel: the place after its first record. */
  readonly cursors: readonly string[];
}

/** A folder whose channels hold one record and then as many as the clients will be behind, the channels in turn. */
export async function prepareStorm(channels: number): Promise<Prepared> {
  const dataFolder = newDataFolder();
  const server = await startTideway({ dataFolder }).catch((error: unknown) => {
    removeDataFolder(dataFolder);
    throw error;
  });
  try {
    return { dataFolder, cursors: await fillChannels(server.port, { channel: prefix, channels, dataFolder }) };
  } catch (error) {
    throw explained(error, server);
  } finally {
    await server.stop();
  }
}

export interface Storm {
  readonly prepared: Prepared;
  readonly clients: number;
  /** Verify a token in every hello. */
  readonly issuer?: TokenIssuer;
}

function startServer(dataFolder: string, issuer: TokenIssuer | undefined): Promise<Tideway> {
  if (!issuer) return startTideway({ dataFolder });
  const namespaces = { bench: { subscribe: 'user', append: 'user', history: 'user' } };
  const env = { TIDEWAY_AUTH_JWT_PUBLIC_KEY: issuer.publicKey, TIDEWAY_NAMESPACES: JSON.stringify(namespaces) };
  return startTideway({ dataFolder, command: 'serve', env });
}

export async function measureStorm(storm: Storm): Promise<Sample> {
  const { prepared, issuer } = storm;
  const dataFolder = newDataFolder();
  cpSync(prepared.dataFolder, dataFolder, { recursive: true });
  const server = await startServer(dataFolder, issuer).catch((error: unknown) => {
    removeDataFolder(dataFolder);
    throw error;
  });
  const token = issuer?.tokenOf('bench-appender');
  const others = newAppender(server.port, {
    channel: 'bench:others-',
    channels: 4,
    connections: 4,
    payloadBytes,
    pace: { ratePerSecond: 1_000 },
    ...(token === undefined ? {} : { token }),
  });
  try {
    await others.ready();
    others.go();
    await after(1_500);
    await others.lap();
    await after(3_000);
    const before = await others.lap();
    const meter = new Meter(server.pid, [others.pid]);
    const receiver = new Receiver({
      port: server.port,
      connections: storm.clients,
      opening: 256,
      polite: true,
      sampleEvery: 1,
      dialect: tidewayDialect(scriptsOf(storm)),
    });
    try {
      const there = await receiver.until(storm.clients * recordsBehind);
      const during = await others.lap();
      const spent = meter.read();
      assertEachCaughtUp(there);
      await receiver.ready();
      await proveLive(storm, server, receiver, token);
      const beforeMs = before.latencyMs?.p99 ?? Number.NaN;
      const duringMs = during.latencyMs?.p99 ?? Number.NaN;
      return {
        clients: storm.clients,
        allThereMs: there.sinceOpenMs,
        serverCpuMs: spent.serverMs,
        acksBeforeP99Ms: beforeMs,
        acksDuringP99Ms: duringMs,
        acksRatio: duringMs / beforeMs,
        rssMb: processRssBytes(server.pid) / 1e6,
        generatorPercent: (100 * there.cpuMs) / there.sinceOpenMs,
        otherPercent: spent.otherPercent,
      };
    } finally {
      await receiver.stop();
    }
  } catch (error) {
    throw explained(error, server);
  } finally {
    await others.stop();
    await server.stop();
    removeDataFolder(dataFolder);
  }
}

function scriptsOf({ prepared, clients, issuer }: Storm): string[][] {
  const { cursors } = prepared;
  return Array.from({ length: clients }, (_, client) => [
    helloText(`client-${client}`, issuer?.tokenOf(`user-${client}`)),
    subscribeText(`${prefix}${client % cursors.length}`, cursors[client % cursors.length]),
  ]);
}

async function proveLive(storm: Storm, server: Tideway, receiver: Receiver, token: string | undefined): Promise<void> {
  const channels = storm.prepared.cursors.length;
  const appender = newAppender(server.port, {
    channel: prefix,
    channels,
    payloadBytes,
    pace: { window: 20 },
    records: channels,
    ...(token === undefined ? {} : { token }),
  });
  try {
    await appender.ready();
    appender.go();
    await Promise.all([appender.done(), receiver.until(storm.clients * (recordsBehind + 1))]);
  } finally {
    await appender.stop();
  }
}
