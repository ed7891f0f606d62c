/**
 * One cell of the matrix: three nodes on a broker, writers and readers on every transport, one fault, then peace, and the
 * checker's verdict.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashData, HistoryChecker, type Verdict } from '../checker.ts';
import { FaultProxy } from '../raw/fault-proxy.ts';
import { ServerProcess } from '../raw/server-process.ts';
import { PostWriter } from '../torture/http-clients.ts';
import { headOf, settleReaders, settleWriters, untilPeace } from '../torture/peace.ts';
import { Random } from '../torture/random.ts';
import { SdkClient } from '../torture/sdk-client.ts';
import { rest, type Stage, type TortureClient } from '../torture/stage.ts';
import { StreamReader } from '../torture/stream-reader.ts';
import { Crowd, type CrowdVerdict } from './crowd.ts';
import type { Fault, FaultyBroker } from './faults.ts';
import { Nodes, type Node, type Place } from './nodes.ts';
import { Silence, type Interruptions } from './silence.ts';

export interface FaultReport {
  readonly fault: string;
  readonly ok: boolean;
  readonly verdict: Verdict;
  /** What was wrong besides the history. */
  readonly failures: readonly string[];
  /** The longest that a reader was given nothing while others wrote, in milliseconds. */
  readonly longestSilenceMs: number;
  /** How late each reader by itself was given what others had, for records of the time of the fault. */
  readonly interruptions: Interruptions;
  /** The same of readers in processes of their own, against the time that a record has. */
  readonly crowd: CrowdVerdict['interruptions'] | undefined;
}

const CHANNELS = ['chat:a', 'chat:b', 'chat:c'] as const;
/** Has one record, from before the fault: whoever holds that may be told of nothing but another epoch. */
const QUIET = 'chat:quiet';
const NODES = 3;
/** The share of the stored records that the checker may leave unjudged: behind more, a loss could hide. */
const UNJUDGED_SHARE_MAX = 0.05;
const WARM_MS = 2_000;
const everything = { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone' };
const NAMESPACES = { chat: { ...everything, retention: { records: 50_000 } } };

/** @param isProxied false for a broker whose clients are told its own address, past any proxy */
export async function runFault(options: {
  readonly fault: Fault;
  readonly broker: FaultyBroker;
  readonly isProxied: boolean;
  readonly seed: number;
  /** Starts a load balancer in front of nodes at these ports; without it each client is led by a proxy of its own. */
  readonly front?: (ports: readonly number[]) => Promise<Place>;
  /** Clients speak TLS, with a certificate that this process trusts; streams then come over HTTP/2 as over HTTP/1.1. */
  readonly isEncrypted?: boolean;
  /** More flags of each node. */
  readonly flags?: readonly string[];
  readonly appendsPerSecond?: number;
  /** So many more clients that only read. */
  readonly readers?: number;
  /** And so many more behind the load balancer, in processes of their own. */
  readonly crowd?: number;
  /** How long clients may take to move; by default short, as there are few. */
  readonly drainMs?: number;
}): Promise<FaultReport> {
  const { fault, broker } = options;
  const random = new Random(options.seed);
  const data = await mkdtemp(join(tmpdir(), 'tideway-faults-'));
  const failures: string[] = [];
  const checker = new HistoryChecker({ closedWorld: true, manyNodes: true, mayDiverge: fault.mayDiverge === true });
  const silence = new Silence();
  const stage: Stage = {
    checker: silence.listen(checker),
    channels: [...CHANNELS, QUIET],
    appendsPerSecond: options.appendsPerSecond ?? 40,
    fail(what) {
      if (failures.length < 50) failures.push(what);
    },
  };
  const nodes = new Nodes(
    await Promise.all(Array.from({ length: NODES }, (_, n) => makeNode(`node ${n + 1}`, data, options))),
    options.isEncrypted === true ? 'https' : 'http',
  );
  let settled = new Set<string>();
  let clients: readonly TortureClient[] = [];
  let crowd: Crowd | undefined;
  let crowded: CrowdVerdict | undefined;
  try {
    await nodes.start();
    nodes.front = await options.front?.(nodes.all.map(({ server }) => server.port));
    clients = await makeClients(stage, nodes, random, options.readers ?? 0);
    await appendQuietly(stage, nodes);
    if (options.crowd !== undefined && nodes.front !== undefined) {
      const { host, port } = nodes.front;
      crowd = await Crowd.start({ url: `${nodes.scheme}://${host}:${port}`, channel: CHANNELS[0] }, options.crowd);
    }
    await rest(WARM_MS);
    silence.begin();
    crowd?.begin();
    await fault.run({ broker, nodes });
    await rest(WARM_MS);
    silence.end();
    for (const { server } of nodes.all) if (server.hasEnded) await server.start();
    nodes.balance();
    settled = await makePeace(stage, nodes, clients);
    const [first] = nodes.all;
    crowded = first && (await crowd?.end((await headOf(first.server, CHANNELS[0])) ?? ''));
    for (const failure of crowded?.failures ?? []) stage.fail(failure);
  } catch (error) {
    stage.fail(error instanceof Error ? error.message : String(error));
  }
  crowd?.stop();
  const verdict = checker.finish(settled);
  for (const { reader, channel, gaps } of verdict.readers) {
    const isFalse = channel === QUIET && gaps.diverged + gaps.trimmed > 0;
    if (isFalse) stage.fail(`${reader} was told of a gap in ${channel}, which lost nothing: ${JSON.stringify(gaps)}`);
  }
  const unjudged = tooManyUnjudged(verdict);
  if (unjudged !== undefined) stage.fail(unjudged);
  await Promise.all(clients.map((client) => client.stop()));
  await Promise.all(clients.map(({ proxy }) => proxy.close()));
  for (const exit of await nodes.stop()) if (exit !== 0) stage.fail(`a node ended with ${exit} when asked to stop`);
  for (const { server } of nodes.all) await server.kill();
  const ok = verdict.ok && failures.length === 0;
  await rm(data, { recursive: true, force: true });
  return {
    fault: fault.name,
    ok,
    verdict,
    failures,
    longestSilenceMs: silence.longestMs,
    interruptions: silence.interruptions,
    crowd: crowded?.interruptions,
  };
}

/** What is wrong with a verdict that leaves open too much; nothing where no history may take the place of another. */
export function tooManyUnjudged({ unjudged, appends }: Pick<Verdict, 'unjudged' | 'appends'>): string | undefined {
  if (unjudged <= UNJUDGED_SHARE_MAX * appends.stored) return undefined;
  return `${unjudged} of ${appends.stored} acknowledged records were never judged; ${100 * UNJUDGED_SHARE_MAX} % may be`;
}

async function makeNode(
  name: string,
  data: string,
  { broker, isProxied, flags = [], drainMs = 2_000 }: Parameters<typeof runFault>[0],
): Promise<Node> {
  const at = /^(?<before>[a-z+]+:\/\/(?:[^@/]*@)?)(?<host>[^:/,]+):(?<port>\d+)(?<after>.*)$/.exec(broker.url)?.groups;
  if (isProxied && at === undefined) throw new Error(`${broker.url} names no single host and port`);
  const brokerProxy =
    isProxied && at !== undefined
      ? await FaultProxy.listen({ host: at['host'] as string, port: Number(at['port']) })
      : undefined;
  const log =
    brokerProxy === undefined || at === undefined
      ? broker.url
      : `${at['before']}127.0.0.1:${brokerProxy.port}${at['after']}`;
  const clock = join(data, `${name}.clock`);
  const server = new ServerProcess({
    data: join(data, name),
    flags: [
      ...['--faults', '--ping-ms', '1000', '--drain-ms', String(drainMs)],
      ...['--log-format', 'json', '--log', log, ...flags],
    ],
    env: { TIDEWAY_NAMESPACES: JSON.stringify(NAMESPACES), TIDEWAY_FAULT_CLOCK_FILE: clock },
  });
  return { name, server, brokerProxy, setClock: (offsetMs) => writeFile(clock, String(offsetMs)) };
}

async function makeClients(
  stage: Stage,
  nodes: Nodes,
  random: Random,
  readers: number,
): Promise<readonly TortureClient[]> {
  const base = async (name: string) => ({ name, proxy: await nodes.door(), random: random.fork() });
  const [a, b, c] = CHANNELS;
  const clients: TortureClient[] = [
    new SdkClient(stage, { ...(await base('ws 1')), transport: 'websocket', reads: stage.channels, writes: [a, b] }),
    new SdkClient(stage, { ...(await base('ws 2')), transport: 'websocket', reads: [a], writes: [a, c] }),
    new SdkClient(stage, { ...(await base('ws 3')), transport: 'websocket', reads: [b, c], writes: [c] }),
    new SdkClient(stage, { ...(await base('sse')), transport: 'sse', reads: CHANNELS, writes: [b] }),
    new StreamReader(stage, { ...(await base('stream')), reads: stage.channels, version: '1.1' }),
    ...(nodes.scheme === 'https'
      ? [new StreamReader(stage, { ...(await base('stream 2')), reads: CHANNELS, version: '2' })]
      : []),
    new PostWriter(stage, { ...(await base('post')), channel: a }),
  ];
  for (let n = 1; n <= readers; n++) {
    const transport = n % 4 === 0 ? 'sse' : 'websocket';
    clients.push(new SdkClient(stage, { ...(await base(`reader ${n}`)), transport, reads: [a], writes: [] }));
  }
  for (const client of clients) nodes.watch(client);
  return clients;
}

/** Lets writers finish, and waits until every reader is at the end of every channel on every node; gives who is. */
async function makePeace(stage: Stage, nodes: Nodes, clients: readonly TortureClient[]): Promise<Set<string>> {
  const settled = await settleWriters(stage, clients);
  for (const channel of stage.channels) {
    const heads = await Promise.all(nodes.all.map(({ server }) => headOf(server, channel)));
    const head = heads.reduce((a, b) => ((a ?? '') > (b ?? '') ? a : b));
    if (head === undefined) continue;
    await settleReaders(stage, clients, { channel, head, settled });
    await untilPeace(async () =>
      (await Promise.all(nodes.all.map(({ server }) => headOf(server, channel)))).every((now) => now === head),
    );
    for (const { name, server } of nodes.all) {
      const now = await headOf(server, channel);
      if (now !== head) stage.fail(`${name} has ${now} as the newest record of ${channel}, another has ${head}`);
    }
  }
  return settled;
}

/** The one record of the quiet channel. */
async function appendQuietly({ checker }: Stage, nodes: Nodes): Promise<void> {
  const [rid, text] = ['quiet', '"quiet"'];
  checker.accept({ kind: 'append', channel: QUIET, rid, writer: 'quiet', sequence: 1, hash: hashData(text) });
  const url = new URL('/v1/records', nodes.all[0]?.server.url);
  url.searchParams.set('channel', QUIET);
  const post = (): Promise<Response> => fetch(url, { method: 'POST', body: text, headers: { 'Idempotency-Key': rid } });
  let answer = await post();
  // A broker that has just begun may be too busy; that is said with "try again".
  await untilPeace(async () => answer.status !== 503 || (answer = await post()).status !== 503);
  if (answer.status !== 201) throw new Error(`the append to ${QUIET} was answered ${answer.status}`);
  const { cursor } = (await answer.json()) as { readonly cursor: string };
  checker.accept({ kind: 'outcome', channel: QUIET, rid, outcome: { state: 'stored', cursor, duplicate: false } });
}
