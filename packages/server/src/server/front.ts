/**
 * The front door: gives HTTP requests to the API and WebSocket handshakes to their transport, on a server of our own or on
 * one that the application has. Host, origin and room are looked at before anything else.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ReadClientSide } from '../auth/forwarded.ts';
import type { OriginPolicy } from '../auth/origin.ts';
import type { Env } from '../env.ts';
import type { Slices } from '../hub/slices.ts';
import { endConnectionBehind, type Request, type Response } from '../transport/exchange.ts';
import type { HttpApi } from '../transport/http-api.ts';
import type { Pipelines } from '../transport/pipelines.ts';
import { errorBody, type ReferRequest, type RequestRefusal } from '../transport/request-refusal.ts';
import type { WebSocketTransport } from '../transport/websocket.ts';
import { createBrokenRequests, type BrokenRequest } from './broken-request.ts';
import { pathOf, readHandshake, readTarget, whyNoHost } from './handshake.ts';
import { answerRaw } from './raw-answer.ts';
import type { SessionRoom } from './session-room.ts';

/** Answers what is not ours: pages, an application's own routes. */
export type Fallback = (request: Request, response: Response) => void;

export interface Front {
  /** Whether a path is Tideway's. */
  serves(path: string): boolean;
  handle(request: Request, response: Response, fallback: Fallback | undefined): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Ends a connection whose bytes are no request. */
  broken(error: BrokenRequest, socket: Duplex): void;
  /** Refuses a request that expects more than `100-continue`. */
  unexpected(request: Request, response: Response): void;
}

export function createFront(parts: {
  readonly env: Env;
  readonly slices: Slices;
  readonly api: HttpApi;
  readonly webSockets: WebSocketTransport;
  readonly pipelines: Pipelines;
  readonly origins: OriginPolicy;
  readonly clientSide: ReadClientSide;
  readonly room: SessionRoom;
  readonly refer: ReferRequest;
}): Front {
  const { env, api, webSockets, origins, clientSide, refer } = parts;

  function refuse(request: IncomingMessage, socket: Duplex, refusal: RequestRefusal): void {
    const { remoteAddress } = clientSide(request);
    answerRaw(env, socket, errorBody(refusal, refer(refusal, { path: pathOf(request), remoteAddress })));
  }

  return {
    serves: (path) => api.serves(path),
    broken: createBrokenRequests(parts),

    unexpected(request, response) {
      parts.pipelines.begin(request, response, () => {
        const message = '100-continue is the only expectation that is understood';
        api.refuse(request, response, { code: 'bad_frame', status: 417, message, headers: lastOf(request) });
      });
    },

    upgrade(request, socket, head) {
      socket.on('error', () => socket.destroy());
      // Nothing begins in front of an answer that is still to be given (HTTP-14).
      if (parts.pipelines.answerOn(socket) !== undefined) return void socket.destroy();
      readTarget(request);
      // Of a crowd that comes at once each has its turn, and those who are there have theirs in between.
      parts.slices.add(() => {
        const handshake = readHandshake(request, origins, clientSide(request));
        if ('code' in handshake) return refuse(request, socket, handshake);
        const room = parts.room.refusal();
        if (room !== undefined) return refuse(request, socket, room);
        // The page's own cookies count only where its origin may use them.
        if (!handshake.cookies) delete request.headers.cookie;
        // Others may have been offered beside it.
        request.headers.upgrade = 'websocket';
        webSockets.accept(request, socket, head);
      });
    },

    handle(request, response, fallback) {
      const path = pathOf(request);
      parts.pipelines.begin(request, response, () => {
        if (isLastWithUpgrade(request)) endConnectionBehind(response);
        const fault = whyNoHost(request);
        if (fault !== undefined)
          return api.refuse(request, response, { code: 'bad_frame', message: fault, headers: lastOf(request) });
        if (api.serves(path)) {
          readTarget(request);
          if (parts.room.isLeaving) endConnectionBehind(response);
          return void api.handle(request, response);
        }
        if (fallback !== undefined) return fallback(request, response);
        api.refuse(request, response, {
          code: 'not_found',
          message: `there is nothing at ${path.slice(0, 80)}; the API is under /v1/`,
        });
      });
    },
  };
}

/**
 * Behind a request whose `Upgrade` is ignored Node drops what came in one piece with it, and would read what comes next,
 * which may be a body, as a request.
 */
function isLastWithUpgrade(request: Request): boolean {
  return request.httpVersionMajor === 1 && request.headers.upgrade !== undefined;
}

/** The answer is the last one of its connection; one of HTTP/2 goes on. */
function lastOf(request: Request): Readonly<Record<string, string>> {
  return request.httpVersionMajor === 1 ? { Connection: 'close' } : {};
}
