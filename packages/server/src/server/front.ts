/**
 * The front door: gives HTTP requests to the API and upgrades to the WebSocket transport, on a server of our own or on
 * one that the application has. Host, origin and room are looked at before anything else.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { codes, TidewayError, type Code } from '@tideway/protocol';
import type { OriginPolicy } from '../auth/origin.ts';
import { loadTls, watchTls, type TlsFiles } from '../auth/tls.ts';
import type { Env } from '../env.ts';
import type { Logger } from '../ops/logger.ts';
import type { HttpApi } from '../transport/http-api.ts';
import type { Request, Response } from '../transport/exchange.ts';
import type { WebSocketTransport } from '../transport/websocket.ts';

/** Answers what is not ours: pages, an application's own routes. */
export type Fallback = (request: Request, response: Response) => void;

export interface Front {
  handle(request: Request, response: Response, fallback: Fallback | undefined): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

const WEBSOCKET_PATH = '/v1/ws';

export function createFront(parts: {
  readonly api: HttpApi;
  readonly webSockets: WebSocketTransport;
  readonly origins: OriginPolicy;
  /** Why no further session may begin now; `undefined` where one may. */
  readonly roomFor: () => { readonly code: Code; readonly message: string } | undefined;
  readonly refused: (code: Code, message: string, path: string) => string;
}): Front {
  const { api, webSockets, origins } = parts;

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = (request.url ?? '/').split('?')[0] as string;
    socket.on('error', () => socket.destroy());
    const isEncrypted = (socket as { encrypted?: boolean }).encrypted === true;
    const host = origins.checkHost(request.headers);
    if (path !== WEBSOCKET_PATH)
      return refuse(socket, 'not_found', `there is no WebSocket at this path; ${WEBSOCKET_PATH} is`, path);
    if (!host.allowed) return refuse(socket, 'forbidden', host.reason ?? 'this name is not ours', path);
    const origin = origins.checkOrigin(request.headers, isEncrypted);
    if (!origin.allowed) return refuse(socket, 'forbidden', origin.reason ?? 'this origin is not allowed', path);
    const offered = request.headers['sec-websocket-protocol']?.split(',').map((one) => one.trim());
    if (offered?.includes('tideway.v1') !== true) {
      return refuse(socket, 'bad_frame', 'ask for the subprotocol tideway.v1 (Sec-WebSocket-Protocol)', path);
    }
    if (request.headers['sec-websocket-version'] === '8') {
      return refuse(socket, 'bad_frame', 'this is a draft of WebSocket; version 13 is (RFC 6455)', path);
    }
    const room = parts.roomFor();
    if (room !== undefined) return refuse(socket, room.code, room.message, path);
    // The page's own cookies count only where its origin may use them.
    if (!origin.cookies) delete request.headers.cookie;
    webSockets.accept(request, socket, head);
  }

  function refuse(socket: Duplex, code: Code, message: string, path: string): void {
    const { http } = codes[code];
    const body = JSON.stringify({ error: { code, message, ref: parts.refused(code, message, path) } });
    const head = [
      `HTTP/1.1 ${http} ${code}`,
      'Connection: close',
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
    socket.once('finish', () => socket.destroy());
  }

  return {
    upgrade,
    handle(request, response, fallback) {
      void api.handle(request, response).then((isOurs) => {
        if (isOurs) return;
        if (fallback !== undefined) return fallback(request, response);
        const path = (request.url ?? '/').split('?')[0] as string;
        const message = `there is nothing at ${path.slice(0, 80)}; the API is under /v1/`;
        answerNotFound(response, message, parts.refused('not_found', message, path));
      });
    },
  };
}

function answerNotFound(response: Response, message: string, ref: string): void {
  const body = JSON.stringify({ error: { code: 'not_found', message, ref } });
  (response as ServerResponse).writeHead(404, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
  });
  (response as ServerResponse).end(body);
}

/** A listening server of our own. */
export interface Listener {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Headers must be here within this time, a whole request within that: slow senders cost a socket, not for ever. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
/** The kernel cuts it to net.core.somaxconn; a storm of reconnects needs more than Node's 511. */
const BACKLOG = 4_096;

export async function listen(options: {
  readonly front: Front;
  readonly fallback: Fallback | undefined;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsFiles | undefined;
  readonly env: Env;
  readonly logger: Logger;
}): Promise<Listener> {
  const { front, fallback, host, port, tls, env, logger } = options;
  const onRequest = (request: Request, response: Response): void => front.handle(request, response, fallback);
  let stopWatching = (): void => {};
  let server: NetServer;
  if (tls === undefined) {
    server = createHttpServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS }, onRequest);
  } else {
    const first = await loadTls(tls);
    const secure = createSecureServer({ ...first, allowHTTP1: true }, onRequest);
    stopWatching = watchTls({
      files: tls,
      first,
      server: secure,
      env,
      onEvent: (event, fields) => logger.log(event, fields),
    });
    server = secure;
  }
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    front.upgrade(request, socket, head),
  );
  server.on('clientError', (_error: Error, socket: Duplex) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    else socket.destroy();
  });
  server.on('tlsClientError', (_error: Error, socket: Duplex) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, host, port)));
    server.listen({ host, port, backlog: BACKLOG }, resolve);
  });
  // From here on an error is a lost accept (no file descriptors left): said, and survived.
  server.on('error', (error: Error) => logger.log('connections.refused', { message: error.message }));
  const address = server.address() as { readonly port: number };
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return {
    port: address.port,
    url: `${tls === undefined ? 'http' : 'https'}://${name}:${address.port}`,
    async close() {
      stopWatching();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      (server as HttpServer).closeIdleConnections?.();
      // Whatever is still open has been told and has had its time.
      env.setTimer(1_000, () => {
        for (const socket of sockets) socket.destroy();
      });
      for (const socket of sockets) if (socket.writableLength === 0) socket.destroySoon();
      await closed;
    },
  };
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const words =
    error.code === 'EADDRINUSE'
      ? `port ${port} on ${host} is in use; stop the other program or choose another with --port`
      : error.code === 'EACCES'
        ? `port ${port} on ${host} needs more rights; choose one above 1023`
        : error.code === 'EADDRNOTAVAIL'
          ? `${host} is no address of this machine`
          : `cannot listen on ${host}:${port}: ${error.message}`;
  return new TidewayError('internal', words, { cause: error });
}
