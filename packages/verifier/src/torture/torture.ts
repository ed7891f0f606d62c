/**
 * The torture run: a real server that is killed and started over and over, writers and readers on every transport
 * behind faulty networks, a disk and a clock that misbehave, trims under load; then peace, and the checker's verdict.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HistoryChecker, type Verdict } from '../checker.ts';
import { FaultProxy } from '../raw/fault-proxy.ts';
import { ServerProcess } from '../raw/server-process.ts';
import { CHANNELS, NAMESPACES, SHORT, SHORT_RECORDS, TRIMMED } from './channels.ts';
import { makeClients } from './clients.ts';
import { slowReaders, stepClock, trim, troubleDisk, troubleNetwork, type FaultCounts } from './faults.ts';
import type { KillEvidence } from './inside-message.ts';
import { killAgain, readEvidence, type KillCounts } from './kills.ts';
import { headOf, settleReaders, settleWriters, untilPeace } from './peace.ts';
import { Random } from './random.ts';
import { RawClient } from './raw-client.ts';
import { rest, type SlowReader, type Stage, type TortureClient } from './stage.ts';
import { troubleWorkers, WorkerPids } from './worker-faults.ts';

export interface TortureOptions {
  readonly seconds: number;
  readonly seed: number;
  /** How many kills there should be, about. Default: one every 3 s. */
  readonly kills?: number | undefined;
  /** Of a hundred kills so many are inside the write of a batch. */
  readonly insidePercent?: number | undefined;
  /** Appends of each writer in a second. */
  readonly appendsPerSecond?: number | undefined;
  /** The folder of the server's data; absent: one of its own, removed when nothing was wrong. */
  readonly data?: string | undefined;
  /** So many processes serve its clients, and are killed and paused too. */
  readonly workers?: number | undefined;
  readonly onProgress?: (progress: TortureProgress) => void;
  /** Asked once the seconds are over: while it says no the run goes on, up to five times as long. */
  readonly isEnough?: (events: TortureEvents) => boolean;
}

/** What has happened so far. */
export interface TortureEvents {
  readonly kills: number;
  readonly killsInsideWrite: number;
  readonly workerKills: number;
  readonly verdict: Verdict;
}

export interface TortureProgress {
  readonly secondsLeft: number;
  readonly kills: number;
  readonly verdict: Verdict;
}

export interface TortureReport {
  readonly ok: boolean;
  readonly seed: number;
  readonly seconds: number;
  readonly kills: KillCounts;
  readonly killsInsideWrite: {
    readonly total: number;
    readonly byMode: Readonly<Record<KillEvidence['mode'], number>>;
  };
  /** Torn writes that a starting server found and cut off. */
  readonly repairs: number;
  readonly cuts: number;
  readonly faults: FaultCounts;
  readonly verdict: Verdict;
  /** What was wrong besides the history: a client that got stuck, an answer that must not be. */
  readonly failures: readonly string[];
  /** Where the server's data is, if something was wrong. */
  readonly data: string | undefined;
}

const PROGRESS_MS = 5_000;
/** What a run that has not seen enough goes on by, and how many times its own length it may take. */
const LONGER_MS = 500;
const LONGER_MAX = 5;

export async function torture(options: TortureOptions): Promise<TortureReport> {
  const random = new Random(options.seed);
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'tideway-torture-')));
  const evidence = join(data, 'kills.ndjson');
  const environment: Record<string, string> = {
    TIDEWAY_NAMESPACES: JSON.stringify(NAMESPACES),
    TORTURE_EVIDENCE: evidence,
  };
  let repairs = 0;
  const workers = new WorkerPids();
  const server = new ServerProcess({
    data: join(data, 'server'),
    flags: ['--ping-ms', '1000', '--log-format', 'json', '--workers', String(options.workers ?? 0)],
    env: environment,
    preload: new URL('./inside.ts', import.meta.url),
    onLogLine(line) {
      if (line.includes('"log.repaired"')) repairs++;
      workers.hear(line);
    },
  });
  const failures: string[] = [];
  const checker = new HistoryChecker({
    closedWorld: true,
    mayDiverge: false,
    manyNodes: options.workers !== undefined,
    retentionRecords: (channel) => (channel === SHORT ? SHORT_RECORDS : undefined),
  });
  const stage: Stage = {
    checker,
    channels: CHANNELS,
    appendsPerSecond: options.appendsPerSecond ?? 100,
    fail(what) {
      if (failures.length < 50) failures.push(what);
    },
  };
  const kills: KillCounts = { kills: 0, halfStarted: 0, refusedStarts: 0, missed: 0, slowestStartMs: 0 };
  const faults: FaultCounts = {
    network: 0,
    rests: 0,
    slowDisk: 0,
    fullDisk: 0,
    clockSteps: 0,
    trims: 0,
    workerKills: 0,
    workerPauses: 0,
  };
  await server.start();
  const clients = await makeClients(stage, random, server);
  const proxies = clients.all.map(({ proxy }) => proxy);
  const trouble = new AbortController();
  const world = { random: random.fork(), signal: trouble.signal, counts: faults };
  const lifeMs = options.kills === undefined ? 2_500 : Math.max(50, (options.seconds * 1_000) / options.kills - 700);
  const running = Promise.all([
    killAgain(server, {
      random: random.fork(),
      signal: trouble.signal,
      lifeMs,
      insidePercent: options.insidePercent ?? 30,
      counts: kills,
    }),
    troubleNetwork({ ...world, random: random.fork() }, clients.all),
    slowReaders({ ...world, random: random.fork() }, clients.slow),
    troubleDisk({ ...world, random: random.fork() }, server),
    stepClock({ ...world, random: random.fork() }, server, environment),
    trim({ ...world, random: random.fork() }, stage, server, TRIMMED),
    troubleWorkers({ ...world, random: random.fork() }, server, workers),
  ]);
  const broken = running.then(
    () => {},
    (error: unknown) => {
      stage.fail(String(error));
      trouble.abort();
    },
  );
  let settled = new Set<string>();
  try {
    const beginMs = performance.now();
    const endMs = beginMs + options.seconds * 1_000;
    const isEnough = (): boolean =>
      options.isEnough?.({
        kills: kills.kills,
        killsInsideWrite: readEvidence(evidence).length,
        workerKills: faults.workerKills,
        verdict: checker.verdict(),
      }) !== false || performance.now() - beginMs > LONGER_MAX * options.seconds * 1_000;
    while ((endMs - performance.now() > 1 || !isEnough()) && !trouble.signal.aborted) {
      const leftMs = Math.ceil(endMs - performance.now());
      await rest(Math.min(PROGRESS_MS, leftMs > 1 ? leftMs : LONGER_MS), trouble.signal);
      options.onProgress?.({
        secondsLeft: Math.max(0, Math.round((endMs - performance.now()) / 1_000)),
        kills: kills.kills,
        verdict: checker.verdict(),
      });
    }
    trouble.abort();
    await broken;
    settled = await makePeace(stage, server, clients.all, clients.slow);
    await readAll(stage, server);
    settled.add('last');
  } catch (error) {
    stage.fail(String(error));
  }
  // Who did not get to the end is a failure of its own, not one loss for each record it did not reach.
  const verdict = checker.finish(settled);
  await Promise.all(clients.all.map((client) => client.stop()));
  await Promise.all(proxies.map((proxy) => proxy.close()));
  const exit = await server.stop();
  if (exit !== 0)
    stage.fail(`the server ended with ${exit} when it was asked to stop:\n${server.lines.slice(-10).join('\n')}`);
  await server.kill();
  const inside = readEvidence(evidence);
  const count = (mode: KillEvidence['mode']): number => inside.filter((one) => one.mode === mode).length;
  const ok = verdict.ok && failures.length === 0;
  if (ok && options.data === undefined) await rm(data, { recursive: true, force: true });
  return {
    ok,
    seed: options.seed,
    seconds: options.seconds,
    kills,
    killsInsideWrite: {
      total: inside.length,
      byMode: { before: count('before'), torn: count('torn'), during: count('during'), after: count('after') },
    },
    repairs,
    cuts: proxies.reduce((sum, proxy) => sum + proxy.cuts, 0),
    faults,
    verdict,
    failures,
    data: ok ? undefined : data,
  };
}

/** Takes all faults back, lets writers finish, and waits until every reader is at the end of every channel; gives who is. */
async function makePeace(
  stage: Stage,
  server: ServerProcess,
  clients: readonly TortureClient[],
  slow: readonly SlowReader[],
): Promise<Set<string>> {
  for (const reader of slow) reader.restMs = 0;
  for (const { proxy } of clients) proxy.setFault({});
  if (server.hasEnded) await server.start();
  server.tell({ writeDelayMs: 0, diskFull: false });
  const settled = await settleWriters(stage, clients);
  for (const channel of stage.channels) {
    const head = await headOf(server, channel);
    if (head !== undefined) await settleReaders(stage, clients, { channel, head, settled });
  }
  return settled;
}

/** One more reader, new and in peace, reads every channel from its floor to its end. */
async function readAll(stage: Stage, server: ServerProcess): Promise<void> {
  const proxy = await FaultProxy.listen({ host: '127.0.0.1', port: server.port });
  const reader = new RawClient(stage, {
    name: 'last',
    proxy,
    random: new Random(1),
    reads: stage.channels,
    writes: [],
  });
  for (const channel of stage.channels) {
    const head = await headOf(server, channel);
    if (head !== undefined) await untilPeace(() => (reader.place(channel) ?? '') >= head);
  }
  await reader.stop();
  await proxy.close();
}
