/**
 * A listening server of our own: plain HTTP, or TLS with HTTP/2; limits on slow senders and on descriptors; its end.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { limits, TidewayError, timing } from '@tideway/protocol';
import { loadTls, watchTls, type TlsFiles } from '../auth/tls.ts';
import type { Env } from '../env.ts';
import { connectionsMax, countDescriptors } from '../ops/descriptors.ts';
import type { Logger } from '../ops/logger.ts';
import type { Request, Response } from '../transport/exchange.ts';
import type { BrokenRequest } from './broken-request.ts';
import type { Fallback, Front } from './front.ts';
import { isWebSocket } from './handshake.ts';

/** A listening server of our own. */
export interface Listener {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Node looks for slow senders this often: among those that are sending a request, not among what is idle or upgraded. */
const CHECK_MS = 1_000;
/** The kernel cuts it to net.core.somaxconn; a storm of reconnects needs more than Node's 511. */
const BACKLOG = 4_096;
/**
 * Where each process has a queue of its own on a shared port (SO_REUSEPORT that balances). Elsewhere Node's cluster hands
 * the one that the primary opened to all.
 */
const REUSES_PORT: ReadonlySet<string> = new Set(['linux', 'freebsd', 'aix', 'sunos']);

export async function listen(options: {
  readonly front: Front;
  readonly fallback: Fallback | undefined;
  readonly host: string;
  readonly port: number;
  /** Others listen on the same port. */
  readonly isShared?: boolean;
  readonly tls: TlsFiles | undefined;
  readonly env: Env;
  readonly logger: Logger;
  /** How long a sender may take: for the header of a request, for all of it. */
  readonly patience?: { readonly headerMs: number; readonly requestMs: number; readonly checkMs: number };
  /** A connection was turned away before anything was read of it. */
  readonly onRefused: (why: { readonly port: number; readonly count?: number; readonly message: string }) => void;
}): Promise<Listener> {
  const { front, fallback, host, port, tls, env, logger, onRefused } = options;
  const { headerMs, requestMs, checkMs } = options.patience ?? { ...timing, checkMs: CHECK_MS };
  const http1 = {
    maxHeaderSize: limits.httpHeaderBytes,
    headersTimeout: headerMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: checkMs,
    // Node's own refusal has no words.
    requireHostHeader: false,
  };
  const onRequest = (request: Request, response: Response): void => front.handle(request, response, fallback);
  let stopWatching = (): void => {};
  let server: NetServer;
  if (tls === undefined) {
    server = createHttpServer(http1, onRequest);
  } else {
    const first = await loadTls(tls);
    const settings = { maxConcurrentStreams: limits.requestsAtOnce };
    const secureOptions = { ...first, ...http1, allowHTTP1: true, settings };
    const secure = createSecureServer(secureOptions, onRequest);
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
  // With Node's 5 s a proxy that keeps its own for 60 would send into connections that are just being closed. Set here,
  // since the option does not reach HTTP/1.1 over TLS.
  Object.assign(server, { shouldUpgradeCallback: isWebSocket, keepAliveTimeout: timing.keepAliveMs });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    front.upgrade(request, socket, head),
  );
  server.on('clientError', (error: BrokenRequest, socket: Duplex) => front.broken(error, socket));
  server.on('checkExpectation', (request: Request, response: Response) => front.unexpected(request, response));
  server.on('tlsClientError', (_error: Error, socket: Duplex) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, host, port)));
    const reusePort = options.isShared === true && REUSES_PORT.has(process.platform);
    server.listen({ host, port, backlog: BACKLOG, reusePort }, resolve);
  });
  const address = server.address() as { readonly port: number };
  const max = connectionsMax(countDescriptors());
  if (max !== undefined) {
    server.maxConnections = max;
    server.on('drop', () => {
      const message = `at most ${max} connections fit this process; raise its limit of open files (ulimit -n, LimitNOFILE)`;
      onRefused({ port: address.port, count: max, message });
    });
  }
  // From here on an error is an accept that the system refused: said, and survived.
  server.on('error', ({ message }: Error) => onRefused({ port: address.port, message }));
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

/** Why a port cannot be listened on, in words. */
export function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const words =
    error.code === 'EADDRINUSE'
      ? `port ${port} on ${host} is in use (EADDRINUSE); stop the other program or choose another with --port`
      : error.code === 'EACCES'
        ? `port ${port} on ${host} needs more rights (EACCES); choose one above 1023`
        : error.code === 'EADDRNOTAVAIL'
          ? `${host} is no address of this machine (EADDRNOTAVAIL); choose another with --host`
          : `cannot listen on ${host}:${port}: ${error.message}`;
  return new TidewayError('internal', words, { cause: error });
}
