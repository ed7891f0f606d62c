/**
 * Tideway on a server that the application has (Express, Fastify, plain Node): our paths are answered by us, everything
 * else goes on to whoever was there before.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Front } from './front.ts';
import { isWebSocket, pathOf, WEBSOCKET_PATH } from './handshake.ts';

type Listener = (request: IncomingMessage, response: ServerResponse) => void;
/** Node asks this of each request with an `Upgrade` that somebody listens for (24.9 and newer). */
type UpgradeQuestion = { shouldUpgradeCallback?: (request: IncomingMessage) => boolean };

/** Returns what takes Tideway off the server again. */
export function attach(front: Front, server: Server): () => void {
  const before = server.listeners('request') as Listener[];
  const onRequest: Listener = (request, response) => {
    const others = (): void => {
      for (const listener of before) listener.call(server, request, response);
    };
    front.handle(request, response, before.length === 0 ? undefined : others);
  };
  const isAlone = (): boolean => server.listenerCount('upgrade') === 1;
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Nobody else answers it either: refused, it does not stay open.
    if (isAlone() || pathOf(request) === WEBSOCKET_PATH) front.upgrade(request, socket, head);
  };
  const asked: UpgradeQuestion = server as UpgradeQuestion;
  const wouldUpgrade = asked.shouldUpgradeCallback;
  asked.shouldUpgradeCallback = (request) => {
    const path = pathOf(request);
    if (isWebSocket(request)) return path === WEBSOCKET_PATH || wouldUpgrade?.call(server, request) !== false;
    return !isAlone() && !front.serves(path) && wouldUpgrade?.call(server, request) !== false;
  };
  server.removeAllListeners('request');
  server.on('request', onRequest);
  server.on('upgrade', onUpgrade);
  return () => {
    server.off('request', onRequest);
    server.off('upgrade', onUpgrade);
    for (const listener of before) server.on('request', listener);
    if (wouldUpgrade === undefined) delete asked.shouldUpgradeCallback;
    else asked.shouldUpgradeCallback = wouldUpgrade;
  };
}
