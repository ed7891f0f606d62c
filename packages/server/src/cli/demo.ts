/**
 * `tideway demo`: a supervisor that serves the pages and starts `tideway dev` as its child, or several on one log, so that
 * a visitor can kill them with `kill -9`, pause them and stop their broker, and see that nothing is lost. Loopback only.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { settings } from '../ops/config-schema.ts';
import { version } from '../version.ts';
import { defineCommand } from './command.ts';
import type { DemoBroker } from './demo/demo-broker.ts';
import { isShared, openBroker, ownBrokerName } from './demo/demo-brokers.ts';
import { openFront, type DemoFront, type DemoStage } from './demo/demo-front.ts';
import { DemoLeash } from './demo/demo-leash.ts';
import { DemoNodes } from './demo/demo-nodes.ts';
import { loadPages } from './demo/demo-pages.ts';
import type { DemoServerOptions } from './demo/demo-server.ts';
import { isTrouble } from './demo/demo-talk.ts';
import { CliError, exitCodes, usageError, type ExitCode } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { paint, printJson, say, type Io } from './io.ts';
import { programBeside } from './program-beside.ts';
import { endOnSignal } from './signals.ts';

const PORT = settings.port.default;
/** Half a day at the pace of the page's bot. */
const RETENTION_RECORDS = 1_000_000;
const NODES_MAX = 9;
/** The producer of the ticker appends to it all the time. */
const BUSY_CHANNEL = 'ticker:market';

export const command = defineCommand({
  usage: 'demo',
  about: 'Starts a server and serves a page on which you can kill it: records flow, nothing is lost.',
  flags: {
    port: {
      kind: 'port',
      min: 0,
      max: 65_535,
      meaning: `The port of the pages. Default ${PORT}, or a free one where that is taken.`,
    },
    nodes: {
      kind: 'count',
      min: 1,
      max: NODES_MAX,
      default: 1,
      meaning: 'How many servers; more than one need a log on a broker. Each can be killed and paused on the page.',
    },
    log: {
      kind: 'text',
      value: 'ADDRESS',
      variable: 'TIDEWAY_LOG',
      meaning:
        'Where records are ordered and kept, as for `tideway serve`; the page can cut the servers off from the broker. A scheme alone (redis:, nats:, amqp:, kafka:) starts that broker for the demo, and the page can kill it.',
    },
    data: {
      kind: 'text',
      value: 'DIR',
      meaning: 'Keeps the records there. Default: a temporary folder, removed at the end.',
    },
    open: { kind: 'switch', default: false, meaning: 'Opens the page in your browser.' },
    json: { ...jsonFlag, meaning: 'Prints {"event":"ready","url":…} on stdout when it is ready.' },
  },
  examples: ['tideway demo --open', 'tideway demo --nodes 3 --log redis:'],
  arguments: [0, 0],
  run: ({ flags, io }) => runDemo(io, flags),
});

interface DemoOptions {
  readonly port: number | undefined;
  readonly nodes: number;
  readonly log: string | undefined;
  readonly data: string | undefined;
  readonly open: boolean;
  readonly json: boolean;
}

async function runDemo(io: Io, options: DemoOptions): Promise<ExitCode> {
  refuseLonelyLogs(options);
  const end = endOnSignal();
  const ended = new Promise<void>((done) => end.addEventListener('abort', () => done(), { once: true }));
  const pages = await loadPages((text) => say(io, text));
  const front = await openFront(options.port, PORT);
  // Whatever ends this process, what it has started ends with it, and its temporary folder is gone.
  const leash = new DemoLeash();
  const temporary = options.data === undefined ? await mkdtemp(join(tmpdir(), 'tideway-demo-')) : undefined;
  if (temporary !== undefined) leash.holdFolder(temporary);
  const data = temporary ?? resolve(io.folder, options.data ?? '');
  const server = Promise.withResolvers<string>();
  const staged = Promise.withResolvers<DemoStage>();
  let stage: DemoStage | undefined;
  let producer: ChildProcess | undefined;
  const onExit = (): void => {
    stage?.nodes.killAll();
    producer?.kill('SIGKILL');
  };
  process.once('exit', onExit);
  // A page may be faster than the first start; it waits.
  front.serve(pages, staged.promise);
  try {
    await Promise.race([start(), ended]);
    await ended;
  } finally {
    producer?.kill('SIGTERM');
    await stage?.nodes.stop();
    await stage?.broker?.close();
    await front.close();
    process.off('exit', onExit);
    await leash.release();
  }
  return exitCodes.ok;

  async function start(): Promise<void> {
    const onChange = (): void => {
      if (stage !== undefined) front.tell(stage);
    };
    const log = options.log;
    let broker: DemoBroker | undefined;
    if (log !== undefined && isShared(log)) {
      const own = ownBrokerName(log);
      if (own !== undefined) say(io, `starting ${own} …`);
      broker = await openBroker({ log, folder: join(data, 'broker'), leash, onChange });
    }
    const nodes = createNodes({ io, front, data, leash, count: options.nodes, log: broker?.address ?? log, onChange });
    stage = { server: server.promise, nodes, broker };
    staged.resolve(stage);
    if (end.aborted) return;
    if (broker !== undefined) say(io, `starting ${options.nodes} ${options.nodes === 1 ? 'node' : 'nodes'} …`);
    const url = await nodes.start().catch((error: Error) => {
      throw new CliError(exitCodes.failed, error.message);
    });
    server.resolve(url);
    if (end.aborted) return;
    producer = spawn(process.execPath, [...process.execArgv, programBeside('demo/demo-producer'), url], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    leash.hold(producer);
    const readyMs = Math.round(performance.now());
    if (options.json) {
      await printJson(io, { event: 'ready', version, pid: process.pid, url: front.url, server: url, readyMs });
    }
    greet(io, { url: front.url, server: url, nodes, broker, data: options.data, readyMs });
    if (options.open) openBrowser(front.url);
  }
}

/**
 * Several servers need a log that they can share.
 *
 * @throws CliError (usage) where they have none
 */
function refuseLonelyLogs({ nodes, log }: DemoOptions): void {
  if (isShared(log) || nodes === 1) return;
  const given = log === undefined ? 'without --log each has its own on disk' : `"${log}" is for one process only`;
  throw usageError(
    `--nodes ${nodes} needs a log that all of them share: ${given}`,
    `tideway demo --nodes ${nodes} --log redis:, or redis://HOST, nats://HOST/NAME, amqp://HOST, kafka://HOST`,
  );
}

interface NodesOptions {
  readonly io: Io;
  readonly front: DemoFront;
  readonly data: string;
  readonly leash: DemoLeash;
  readonly count: number;
  readonly log: string | undefined;
  readonly onChange: () => void;
}

function createNodes({ io, front, data, leash, count, log, onChange }: NodesOptions): DemoNodes {
  const environment = {
    ...process.env,
    TIDEWAY_ORIGINS: `${front.url},http://127.0.0.1:${front.port}`,
    // A visitor may keep the server dead for long: what waits for its readers must not be trimmed meanwhile.
    TIDEWAY_NAMESPACES: JSON.stringify({ demo: { retention: { records: RETENTION_RECORDS } } }),
    // Not an argument, which every user of the machine may read: it may hold a password.
    ...(log !== undefined && { TIDEWAY_LOG: log }),
  };
  const serverOptions = (n: number): Omit<DemoServerOptions, 'onStatus'> => {
    const folder = count === 1 ? data : join(data, `node-${n}`);
    const dev = [programBeside('main'), 'dev', '--data', folder, '--faults', '--json', '--log-level', 'error'];
    return {
      command: [process.execPath, ...process.execArgv, ...dev],
      environment,
      onSpawn: (child) => leash.hold(child),
      onTalk(text) {
        for (const line of text.split('\n')) if (isTrouble(line)) say(io, line);
      },
    };
  };
  return new DemoNodes({ count, serverOptions, channel: BUSY_CHANNEL, onChange });
}

interface Greeting {
  readonly url: string;
  readonly server: string;
  readonly nodes: DemoNodes;
  readonly broker: DemoBroker | undefined;
  readonly data: string | undefined;
  readonly readyMs: number;
}

function greet(io: Io, { url, server, nodes, broker, data, readyMs }: Greeting): void {
  const arrow = paint(io, 'stderr', 'green', '➜');
  const line = (name: string, text: string): void => say(io, `  ${arrow}  ${name.padEnd(8)}${text}`);
  const pids = nodes.status.map(({ pid }) => pid).join(', ');
  const folder = data ?? 'a temporary folder, removed at the end';
  say(io, `\n  ${paint(io, 'stderr', 'bold', `TIDEWAY ${version}`)}  ready in ${readyMs} ms\n`);
  line('Open', paint(io, 'stderr', 'cyan', url));
  if (nodes.status.length === 1) line('Server', `${server}, pid ${pids}: the page's Kill button is a real kill -9`);
  else line('Nodes', `pid ${pids} behind ${server}: the page's Kill buttons are real kill -9s`);
  if (broker === undefined) line('Log', folder);
  else line('Log', `${broker.status.name} at ${broker.status.place}${brokerNote(broker)}`);
  say(io, '\n  Ctrl-C stops it.\n');
}

function brokerNote({ status: { isOwn, pid, refusal } }: DemoBroker): string {
  if (isOwn) return `, pid ${pid}, started for the demo`;
  return refusal === undefined ? '' : `; it cannot be stopped from the page: ${refusal}`;
}

/** Opens the page where there is a desktop; where there is none, the printed address is enough. */
function openBrowser(url: string): void {
  const openers: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
    darwin: ['open', url],
    win32: ['cmd', '/c', 'start', '', url],
  };
  const [program, ...args] = openers[process.platform] ?? ['xdg-open', url];
  const opener = spawn(program, args, { stdio: 'ignore', detached: true });
  opener.on('error', () => {});
  opener.unref();
}
