/**
 * `tideway demo`: a supervisor that serves the pages and starts `tideway dev` as its child, so that a visitor can kill
 * the server with `kill -9` and see that nothing is lost. Loopback only.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { settings } from '../ops/config-schema.ts';
import { version } from '../version.ts';
import { defineCommand } from './command.ts';
import { openFront, type DemoFront } from './demo-front.ts';
import { loadPages } from './demo-pages.ts';
import { DemoServer } from './demo-server.ts';
import { CliError, exitCodes, type ExitCode } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { type Io, paint, printJson, say } from './io.ts';
import { endOnSignal } from './signals.ts';

const PORT = settings.port.default;
/** Half a day at the pace of the page's bot. */
const RETENTION_RECORDS = 1_000_000;

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
    data: {
      kind: 'text',
      value: 'DIR',
      meaning: 'Keeps the records there. Default: a temporary folder, removed at the end.',
    },
    open: { kind: 'switch', default: false, meaning: 'Opens the page in your browser.' },
    json: { ...jsonFlag, meaning: 'Prints {"event":"ready","url":…} on stdout when it is ready.' },
  },
  examples: ['tideway demo --open'],
  arguments: [0, 0],
  run: ({ flags, io }) => runDemo(io, flags),
});

interface DemoOptions {
  readonly port: number | undefined;
  readonly data: string | undefined;
  readonly open: boolean;
  readonly json: boolean;
}

async function runDemo(io: Io, options: DemoOptions): Promise<ExitCode> {
  const end = endOnSignal();
  const ended = new Promise<void>((done) => end.addEventListener('abort', () => done(), { once: true }));
  const pages = await loadPages((text) => say(io, text));
  const front = await openFront(options.port, PORT);
  const temporary = options.data === undefined ? await mkdtemp(join(tmpdir(), 'tideway-demo-')) : undefined;
  const data = temporary ?? resolve(io.folder, options.data ?? '');
  const child = createChild({ io, front, data });
  // Whatever ends this process, the server and the producer end with it.
  let producer: ChildProcess | undefined;
  const onExit = (): void => {
    child.kill();
    producer?.kill('SIGKILL');
  };
  process.once('exit', onExit);
  front.serve(pages, child);
  try {
    await Promise.race([start(), ended]);
    await ended;
  } finally {
    producer?.kill('SIGTERM');
    await child.stop();
    await front.close();
    process.off('exit', onExit);
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
  return exitCodes.ok;

  async function start(): Promise<void> {
    const server = await child.start().catch((error: Error) => {
      throw new CliError(exitCodes.failed, error.message);
    });
    if (end.aborted) return;
    producer = spawn(process.execPath, [...process.execArgv, programBeside('demo-producer'), server], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const readyMs = Math.round(performance.now());
    const { pid } = child.status;
    if (options.json)
      await printJson(io, { event: 'ready', version, pid: process.pid, url: front.url, server, readyMs });
    greet(io, { url: front.url, server, pid, data: options.data, readyMs });
    if (options.open) openBrowser(front.url);
  }
}

function createChild({ io, front, data }: { readonly io: Io; readonly front: DemoFront; readonly data: string }) {
  const dev = [programBeside('main'), 'dev', '--data', data, '--faults', '--json', '--log-level', 'warn'];
  return new DemoServer({
    command: [process.execPath, ...process.execArgv, ...dev],
    environment: {
      ...process.env,
      TIDEWAY_ORIGINS: `${front.url},http://127.0.0.1:${front.port}`,
      // A visitor may keep the server dead for long: what waits for its readers must not be trimmed meanwhile.
      TIDEWAY_NAMESPACES: JSON.stringify({ demo: { retention: { records: RETENTION_RECORDS } } }),
    },
    onStatus: (status) => front.tell(status),
    onTalk(text) {
      // Its greeting is for whoever starts it by hand; what matters are its log lines.
      for (const line of text.split('\n')) if (line.startsWith('{') || /error/i.test(line)) say(io, line);
    },
  });
}

interface Greeting {
  readonly url: string;
  readonly server: string;
  readonly pid: number | undefined;
  readonly data: string | undefined;
  readonly readyMs: number;
}

function greet(io: Io, { url, server, pid, data, readyMs }: Greeting): void {
  const arrow = paint(io, 'stderr', 'green', '➜');
  const line = (name: string, text: string): void => say(io, `  ${arrow}  ${name.padEnd(8)}${text}`);
  say(io, `\n  ${paint(io, 'stderr', 'bold', `TIDEWAY ${version}`)}  ready in ${readyMs} ms\n`);
  line('Open', paint(io, 'stderr', 'cyan', url));
  line('Server', `${server}, pid ${pid}: the page's Kill button is a real kill -9`);
  line('Log', data ?? 'a temporary folder, removed at the end');
  say(io, '\n  Ctrl-C stops it.\n');
}

/** A program beside this file, built or not. */
function programBeside(name: string): string {
  return fileURLToPath(new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));
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
