/**
 * What is answered to bytes that are no HTTP/1.1 request, or do not come in time (PROTOCOL.md HTTP-2): never in place of an
 * answer to a request in front of them, and never into the middle of one.
 */
import type { Duplex } from 'node:stream';
import { limits, timing } from '@tideway/protocol';
import type { Env } from '../env.ts';
import { errorBody, type ReferRequest, type RequestRefusal } from '../transport/request-refusal.ts';
import type { Pipelines } from '../transport/pipelines.ts';
import { answerRaw } from './raw-answer.ts';

/** What Node says of bytes that it could not read. */
export interface BrokenRequest extends Error {
  readonly code?: string;
  /** The parser's words. */
  readonly reason?: string;
}

const LOOK_AGAIN_MS = 1_000;

/** Returns a listener for a server's `clientError`. */
export function createBrokenRequests(parts: {
  readonly env: Env;
  readonly pipelines: Pipelines;
  readonly refer: ReferRequest;
}): (error: BrokenRequest, socket: Duplex) => void {
  const { env, pipelines, refer } = parts;
  const ended = new WeakSet<Duplex>();

  function end(error: BrokenRequest, socket: Duplex): void {
    if (!socket.writable) return void socket.destroy();
    const answer = pipelines.answerOn(socket);
    if (answer === undefined || (!answer.req.complete && !answer.headersSent)) {
      const refusal = refusalOf(error);
      const { remoteAddress } = socket as { remoteAddress?: string };
      return answerRaw(env, socket, errorBody(refusal, refer(refusal, { path: '', remoteAddress })));
    }
    const isStream = answer.headersSent && !answer.writableEnded;
    if (isStream || !answer.req.complete) return void socket.destroy();
    // Those in front are answered first. One of them may become a stream, which would never end.
    const again = (): void => {
      cancel();
      answer.off('close', again);
      end(error, socket);
    };
    const cancel = env.setTimer(LOOK_AGAIN_MS, again);
    answer.once('close', again);
  }

  return (error, socket) => {
    if (ended.has(socket)) return;
    ended.add(socket);
    if (error.code === 'ECONNRESET') socket.destroy();
    else end(error, socket);
  };
}

const LATE = `a request comes in within ${timing.requestMs / 1_000} s, its header within ${timing.headerMs / 1_000} s`;

function refusalOf({ code, reason }: BrokenRequest): RequestRefusal {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return {
        code: 'too_large',
        status: 431,
        message: `the header of a request may have ${limits.httpHeaderBytes} bytes`,
      };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { code: 'too_large', message: 'the extensions of a chunk are too long' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'bad_frame', status: 408, message: LATE };
    default:
      return { code: 'bad_frame', message: `this is no HTTP/1.1 request: ${reason ?? 'it cannot be read'}` };
  }
}
