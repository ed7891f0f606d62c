/** The clients of a torture run: writers and readers on every transport, each behind a proxy of its own. */
import { FaultProxy } from '../raw/fault-proxy.ts';
import type { ServerProcess } from '../raw/server-process.ts';
import { CHANNELS, LONG, SHORT } from './channels.ts';
import { BatchWriter, PageReader, PostWriter } from './http-clients.ts';
import type { Random } from './random.ts';
import { RawClient } from './raw-client.ts';
import { SdkClient } from './sdk-client.ts';
import type { SlowReader, Stage, TortureClient } from './stage.ts';
import { StreamReader } from './stream-reader.ts';

export interface Clients {
  readonly all: readonly [TortureClient, ...TortureClient[]];
  readonly slow: readonly [SlowReader, ...SlowReader[]];
}

export async function makeClients(stage: Stage, random: Random, server: ServerProcess): Promise<Clients> {
  const base = async (name: string): Promise<{ name: string; proxy: FaultProxy; random: Random }> => {
    const proxy = await FaultProxy.listen({ host: '127.0.0.1', port: server.port });
    return { name, proxy, random: random.fork() };
  };
  const rawA = new RawClient(stage, { ...(await base('raw-a')), reads: CHANNELS, writes: CHANNELS });
  const rawB = new RawClient(stage, { ...(await base('raw-b')), reads: [LONG[0], SHORT], writes: [LONG[0]] });
  const rawReader = new RawClient(stage, { ...(await base('raw-reader')), reads: CHANNELS, writes: [] });
  const sdk = new SdkClient(stage, {
    ...(await base('sdk-ws')),
    transport: 'websocket',
    reads: CHANNELS,
    writes: CHANNELS,
  });
  const sse = new SdkClient(stage, {
    ...(await base('sdk-sse')),
    transport: 'sse',
    reads: [LONG[0], SHORT],
    writes: [LONG[0], LONG[1]],
  });
  const stream = new StreamReader(stage, { ...(await base('stream')), reads: CHANNELS });
  const single = new StreamReader(stage, { ...(await base('stream-one')), reads: [LONG[0]] });
  const pages = new PageReader(stage, { ...(await base('pages')), channel: LONG[0] });
  const shortPages = new PageReader(stage, { ...(await base('pages-short')), channel: SHORT });
  const post = new PostWriter(stage, { ...(await base('post')), channel: LONG[0] });
  const batch = new BatchWriter(stage, { ...(await base('batch')), channel: SHORT });
  return {
    all: [rawA, rawB, rawReader, sdk, sse, stream, single, pages, shortPages, post, batch],
    slow: [rawReader, rawB, sdk, sse, pages, shortPages],
  };
}
