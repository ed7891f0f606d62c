/**
 * The supervisor's own HTTP: the pages, how nodes and broker are doing, and what breaks them. On loopback, and only for
 * its own pages: a page elsewhere that rebinds its name to this machine, or posts here, gets nothing.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createOriginPolicy } from '../../auth/origin.ts';
import { version } from '../../version.ts';
import { CliError, exitCodes } from '../exit-codes.ts';
import { commandLine } from '../program-beside.ts';
import type { BrokerStatus, DemoBroker } from './demo-broker.ts';
import type { DemoNodes, NodeStatus } from './demo-nodes.ts';
import { servePage, type Pages } from './demo-pages.ts';

const HOST = '127.0.0.1';
/** A fault in words is short. */
const BODY_BYTES_MAX = 1_024;

/** What the pages are told, again at each change. */
export interface DemoStatus {
  readonly nodes: readonly NodeStatus[];
  readonly broker?: BrokerStatus;
}

/** What the pages show and break. */
export interface DemoStage {
  /** The address of all nodes, once they have started. */
  readonly server: Promise<string>;
  readonly nodes: DemoNodes;
  readonly broker: DemoBroker | undefined;
}

/** What a button asks for; what it returns is answered as JSON, what it throws in words. */
type Deed = (call: {
  readonly stage: DemoStage;
  /** The path, and its parts. */
  readonly words: readonly string[];
  readonly request: IncomingMessage;
  readonly query: URLSearchParams;
}) => unknown;

const deeds: readonly (readonly [path: RegExp, deed: Deed])[] = [
  [/^\/demo\/nodes\/(\d)\/kill$/, ({ stage, words }) => ({ killed: stage.nodes.kill(Number(words[1])) ?? null })],
  [/^\/demo\/nodes\/(\d)\/(pause|resume)$/, holdNode],
  [/^\/demo\/broker\/(stop|start)$/, ({ stage, words }) => stage.broker?.[words[1] as 'stop' | 'start']()],
  [/^\/demo\/faults$/, putFault],
];

export class DemoFront {
  readonly port: number;
  readonly #server: Server;
  readonly #watchers = new Set<ServerResponse>();
  readonly #secret = randomBytes(24).toString('base64url');
  readonly #origins = createOriginPolicy({ origins: [], hosts: [], listenHost: HOST, development: true });

  constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://localhost:${this.port}`;
  }

  /** Begins to answer. */
  serve(pages: Pages, staged: Promise<DemoStage>): void {
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const answered = staged.then((stage) => this.#answer(pages, stage, request, response));
      answered.catch((error: Error) => {
        if (response.headersSent) response.destroy();
        else end(response, 500, error.message);
      });
    });
  }

  /** Tells every page that watches. */
  tell(stage: DemoStage): void {
    for (const watcher of this.#watchers) tell(watcher, stage);
  }

  async close(): Promise<void> {
    const isClosed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await isClosed;
  }

  async #answer(pages: Pages, stage: DemoStage, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams } = new URL(request.url ?? '/', this.url);
    if (!this.#origins.checkHost(request.headers).allowed) return end(response, 403, 'this name is not ours');
    switch (path) {
      case '/demo/config':
        return json(response, {
          server: await stage.server,
          secret: this.#secret,
          version,
          commandLine,
          nodes: stage.nodes.status.length,
          broker: stage.broker?.status,
        });
      case '/demo/status':
        return this.#watch(stage, response);
      default:
    }
    for (const [pattern, deed] of deeds) {
      const words = pattern.exec(path);
      if (words === null) continue;
      if (request.method !== 'POST') return end(response, 405, 'what breaks things is a POST', { allow: 'POST' });
      if (!this.#origins.checkOrigin(request.headers, false).allowed || !this.#isOurs(request)) {
        return end(response, 403, 'only the page itself may do that');
      }
      return json(response, (await deed({ stage, words, request, query: searchParams })) ?? {});
    }
    if ((request.method === 'GET' || request.method === 'HEAD') && servePage(pages, path, response)) return;
    return end(response, 404, 'there is no such page');
  }

  #isOurs(request: IncomingMessage): boolean {
    const given = Buffer.from(String(request.headers['x-demo-secret']));
    const ours = Buffer.from(this.#secret);
    return given.length === ours.length && timingSafeEqual(given, ours);
  }

  #watch(stage: DemoStage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    this.#watchers.add(response);
    response.on('close', () => this.#watchers.delete(response));
    tell(response, stage);
  }
}

/**
 * Opens the port that was asked for; without one the usual, or a free one where that is taken.
 *
 * @throws CliError when the port that was asked for is taken
 */
export async function openFront(wanted: number | undefined, usual: number): Promise<DemoFront> {
  const server = createServer();
  try {
    await listen(server, wanted ?? usual);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (wanted !== undefined) {
      throw new CliError(exitCodes.failed, `port ${wanted} is taken`, 'tideway demo --port 0 takes a free one');
    }
    await listen(server, 0);
  }
  return new DemoFront(server);
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: HOST }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function tell(watcher: ServerResponse, { nodes, broker }: DemoStage): void {
  const status: DemoStatus = { nodes: nodes.status, ...(broker && { broker: broker.status }) };
  watcher.write(`data: ${JSON.stringify(status)}\n\n`);
}

function holdNode({ stage, words: [, n, verb] }: Parameters<Deed>[0]): void {
  if (stage.nodes[verb as 'pause' | 'resume'](Number(n))) return;
  throw new Error(`there is no process of node ${n} to ${verb}, or this system has no such thing`);
}

async function putFault({ stage: { nodes }, request, query }: Parameters<Deed>[0]): Promise<void> {
  let fault = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) {
    fault += chunk;
    if (fault.length > BODY_BYTES_MAX) throw new Error(`a fault has at most ${BODY_BYTES_MAX} bytes`);
  }
  await nodes.putFault(query.get('instance') ?? '', fault);
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function end(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers });
  response.end(`${text}\n`);
}
