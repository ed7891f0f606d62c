/**
 * `tideway demo`: a supervisor that serves the pages and starts `tideway dev` as its child, so that a visitor can kill
 * the server with `kill -9` and see that nothing is lost. Loopback only.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createOriginPolicy } from '../auth/origin.ts';
import { version } from '../version.ts';
import { defineCommand } from './command.ts';
import { preparePages, servePage } from './demo-pages.ts';
import { DemoServer, type DemoServerStatus } from './demo-server.ts';
import { CliError, exitCodes, type ExitCode } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import type { Io } from './io.ts';

const PORT = 7400;

export const command = defineCommand({
  usage: 'demo [flags]',
  about: 'Starts a server and opens a page on which you can kill it: records flow, nothing is lost.',
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
      meaning: 'Keep the records there. Default: a temporary folder, removed at the end.',
    },
    open: { kind: 'switch', default: false, meaning: 'Open the page in your browser.' },
    json: jsonFlag,
  },
  examples: ['tideway demo --open'],
  arguments: [0, 0],
  run: ({ flags, io }) => runDemo(io, flags),
});

async function runDemo(
  io: Io,
  options: {
    readonly port: number | undefined;
    readonly data: string | undefined;
    readonly open: boolean;
    readonly json: boolean;
  },
): Promise<ExitCode> {
  const pages = await preparePages((text) => void io.stderr.write(text));
  const temporary = options.data === undefined ? await mkdtemp(join(tmpdir(), 'tideway-demo-')) : undefined;
  const secret = randomBytes(24).toString('base64url');
  const watchers = new Set<ServerResponse>();
  const { server, port } = await listen(options.port);
  const url = `http://localhost:${port}`;
  const environment = {
    ...process.env,
    TIDEWAY_ORIGINS: `${url},http://127.0.0.1:${port}`,
    // A visitor may keep the server dead for long: what waits for its readers must not be trimmed meanwhile.
    TIDEWAY_NAMESPACES: JSON.stringify({ demo: { retention: { records: 1_000_000 } } }),
  };
  const child = new DemoServer({
    command: [
      process.execPath,
      ...process.execArgv,
      own('main'),
      'dev',
      '--data',
      options.data ?? (temporary as string),
      '--faults',
      '--json',
      '--log-level',
      'warn',
    ],
    environment,
    onStatus: (status) => {
      for (const watcher of watchers) tell(watcher, status);
    },
    onTalk: (text) => {
      if (!options.json) io.stderr.write(text);
    },
  });
  let producer: ChildProcess | undefined;
  const handle = createHandler({ pages, secret, child, watchers, port });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => void handle(request, response));
  try {
    await child.start();
    producer = spawn(process.execPath, [...process.execArgv, own('demo-producer'), child.status.url as string], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const readyMs = Math.round(performance.now());
    if (options.json)
      io.stdout.write(`${JSON.stringify({ event: 'ready', url, server: child.status.url, pid: process.pid })}\n`);
    else io.stderr.write(greeting(url, child.status, readyMs));
    if (options.open) openBrowser(url);
    await stopSignal();
  } finally {
    producer?.kill('SIGTERM');
    for (const watcher of watchers) watcher.end();
    server.close();
    server.closeAllConnections();
    await child.stop();
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
  return exitCodes.ok;
}

/** A program beside this file, built or not. */
function own(name: string): string {
  return fileURLToPath(new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));
}

function greeting(url: string, status: DemoServerStatus, readyMs: number): string {
  return [
    `\n  TIDEWAY v${version}  ready in ${readyMs} ms\n`,
    `  ➜ Open     ${url}`,
    `  ➜ Server   ${status.url}  (pid ${status.pid}: the page's Kill button is a real kill -9)`,
    '  Press Ctrl-C to stop.\n\n',
  ].join('\n');
}

/** The port that was asked for; without one the usual, or a free one where that is taken. */
async function listen(wanted: number | undefined): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer();
  const on = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host: '127.0.0.1' }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  try {
    await on(wanted ?? PORT);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE') throw error;
    if (wanted !== undefined)
      throw new CliError(exitCodes.failed, `port ${wanted} is in use`, 'choose another with --port');
    await on(0);
  }
  return { server, port: (server.address() as { readonly port: number }).port };
}

function createHandler(parts: {
  readonly pages: string;
  readonly secret: string;
  readonly child: DemoServer;
  readonly watchers: Set<ServerResponse>;
  readonly port: number;
}) {
  const { pages, secret, child, watchers } = parts;
  const origins = createOriginPolicy({ origins: [], hosts: [], listenHost: '127.0.0.1', development: true });

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '/').split('?')[0] as string;
    // A page elsewhere that rebinds its name to this machine must not press the buttons (DNS rebinding).
    if (!origins.checkHost(request.headers).allowed) return end(response, 403, 'this name is not ours');
    if (path === '/demo/config') return json(response, 200, { server: child.status.url, secret, version });
    if (path === '/demo/status') return watch(response);
    if (path === '/demo/kill') {
      if (request.method !== 'POST') return end(response, 405, 'POST it');
      if (!origins.checkOrigin(request.headers, false).allowed || !isSecret(request.headers['x-demo-secret'])) {
        return end(response, 403, 'only the page itself may kill the server');
      }
      const { pid } = child.status;
      return json(response, 200, { killed: child.kill(), pid });
    }
    if (request.method === 'GET' && (await servePage(pages, path, response))) return;
    end(response, 404, 'there is no such page');
  };

  function isSecret(given: string | string[] | undefined): boolean {
    const bytes = Buffer.from(String(given));
    const ours = Buffer.from(secret);
    return bytes.length === ours.length && timingSafeEqual(bytes, ours);
  }

  function watch(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    watchers.add(response);
    response.on('close', () => watchers.delete(response));
    tell(response, child.status);
  }
}

function tell(watcher: ServerResponse, status: DemoServerStatus): void {
  watcher.write(`data: ${JSON.stringify(status)}\n\n`);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}

/** Opens the page where there is a desktop; where there is none, the printed address is enough. */
function openBrowser(url: string): void {
  const [program = '', ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['cmd', '/c', 'start', '', url]
        : ['xdg-open', url];
  const opener = spawn(program, args, { stdio: 'ignore', detached: true });
  opener.on('error', () => {});
  opener.unref();
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}
