/**
 * The supervisor's own HTTP: the pages, how the server is doing, and the kill. On loopback, and only for its own pages:
 * a page elsewhere that rebinds its name to this machine, or posts here, gets nothing.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createOriginPolicy } from '../auth/origin.ts';
import { version } from '../version.ts';
import { type Pages, servePage } from './demo-pages.ts';
import type { DemoServer, DemoServerStatus } from './demo-server.ts';
import { CliError, exitCodes } from './exit-codes.ts';

const HOST = '127.0.0.1';

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
  serve(pages: Pages, child: DemoServer): void {
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(pages, child, request, response).catch(() => response.destroy());
    });
  }

  /** Tells every page that watches. */
  tell(status: DemoServerStatus): void {
    for (const watcher of this.#watchers) tell(watcher, status);
  }

  async close(): Promise<void> {
    const isClosed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await isClosed;
  }

  async #answer(pages: Pages, child: DemoServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (!this.#origins.checkHost(request.headers).allowed) return end(response, 403, 'this name is not ours');
    switch (path) {
      case '/demo/config':
        // A page may be faster than the server's first start; it waits.
        return json(response, { server: await child.url, secret: this.#secret, version });
      case '/demo/status':
        return this.#watch(child, response);
      case '/demo/kill':
        if (request.method !== 'POST') return end(response, 405, 'the kill is a POST', { allow: 'POST' });
        if (!this.#origins.checkOrigin(request.headers, false).allowed || !this.#isOurs(request)) {
          return end(response, 403, 'only the page itself may kill the server');
        }
        return json(response, { killed: child.kill() ?? null });
      default:
        if ((request.method === 'GET' || request.method === 'HEAD') && servePage(pages, path, response)) return;
        return end(response, 404, 'there is no such page');
    }
  }

  #isOurs(request: IncomingMessage): boolean {
    const given = Buffer.from(String(request.headers['x-demo-secret']));
    const ours = Buffer.from(this.#secret);
    return given.length === ours.length && timingSafeEqual(given, ours);
  }

  #watch(child: DemoServer, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    this.#watchers.add(response);
    response.on('close', () => this.#watchers.delete(response));
    tell(response, child.status);
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

function tell(watcher: ServerResponse, status: DemoServerStatus): void {
  watcher.write(`data: ${JSON.stringify(status)}\n\n`);
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

function end(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers });
  response.end(`${text}\n`);
}
