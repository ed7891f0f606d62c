/**
 * Channels in process: the SDK, with a wire that is a function call. The same surface, the same guarantees, and no
 * second implementation of either.
 */
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Env as ClientEnv, SocketEvents } from '@tideway/client/custom-env';
import { decodeClientHeader, splitBytes, splitText } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import type { Env } from '../env.ts';
import { websocketCodec } from '../hub/codec-websocket.ts';
import type { Commands } from '../hub/commands.ts';
import type { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import { Exchange, type Request } from '../transport/exchange.ts';
import { getFeed } from '../transport/http-feed.ts';
import { getRecords, type Reading } from '../transport/http-records.ts';
import { refusalOf } from '../transport/request-refusal.ts';
import { frameLength } from '../view/frame.ts';

const TEXT = 0x81;

export function createInProcessEnv(parts: {
  readonly env: Env;
  readonly hub: Hub;
  readonly commands: Commands;
  /** Told what a handler of the application threw. */
  readonly complain: (error: unknown) => void;
  readonly reading: Reading;
  /** Who the application that made the server is. */
  readonly identity: Identity;
}): ClientEnv {
  const { env, hub, commands, complain, reading, identity } = parts;
  return {
    now: () => env.now(),
    monotonicMs: () => env.monotonicMs(),
    randomBytes: (count) => env.randomBytes(count),
    setTimer: (delayMs, callback) => env.setTimer(delayMs, callback),
    soon: (callback) => queueMicrotask(callback),
    openSocket: (_url, _protocol, events) => openSocket(hub, commands, events),
    fetch: (url, init) => readHistory(reading, identity, url, init),
    onWake: () => () => {},
    complain,
    baseUrl: undefined,
  };
}

function openSocket(hub: Hub, commands: Commands, events: SocketEvents) {
  let isOpen = true;
  const end = (close: number): void => {
    if (!isOpen) return;
    isOpen = false;
    commands.ended(session);
    hub.closed(session, 'peer');
    events.onClose(close);
  };
  const connection: Connection = {
    transport: 'local',
    codec: websocketCodec,
    backlogBytes: () => 0,
    write: (chunk) => deliver(chunk, events, () => isOpen),
    writeAll: (chunks) => {
      for (const chunk of chunks) deliver(chunk, events, () => isOpen);
    },
    pause: () => {},
    resume: () => {},
    close: () => queueMicrotask(() => end(1001)),
  };
  const session = hub.open(connection);
  queueMicrotask(() => {
    if (isOpen) events.onOpen();
  });
  return {
    send(message: string | Uint8Array): void {
      if (!isOpen) return;
      if (typeof message === 'string') {
        const { header, payload } = splitText(message);
        commands.receive(
          session,
          decodeClientHeader(header),
          payload === undefined ? undefined : Buffer.from(payload),
          false,
        );
      } else {
        const { header, payload } = splitBytes(message);
        commands.receive(
          session,
          decodeClientHeader(header),
          payload === undefined ? undefined : Buffer.from(payload),
          true,
        );
      }
    },
    close(): void {
      isOpen = false;
      commands.ended(session);
      hub.closed(session, 'peer');
    },
  };
}

/** The one call of the HTTP API that the SDK makes beside its socket: pages of history. */
async function readHistory(reading: Reading, identity: Identity, url: string, init: RequestInit): Promise<Response> {
  const { pathname, search } = new URL(url);
  const { answer, exchange } = exchangeInProcess(pathname + search, init.method);
  try {
    await getRecords(reading, exchange, identity);
  } catch (error) {
    exchange.fail(refusalOf(error));
  }
  return new Response(new Uint8Array(answer.body), { status: answer.status });
}

/**
 * The body of the answer to a request for a feed that came in elsewhere.
 *
 * @throws TidewayError where it is refused
 */
export async function answerFeed(reading: Reading, identity: Identity, url: string): Promise<Buffer> {
  const { answer, exchange } = exchangeInProcess(url);
  await getFeed(reading, exchange, identity);
  return answer.body;
}

function exchangeInProcess(url: string, method = 'GET'): { readonly answer: Answer; readonly exchange: Exchange } {
  const answer = new Answer();
  const exchange = new Exchange({
    // What the call reads of a request and does to an answer, and no more.
    request: {
      method,
      url,
      headers: {},
      complete: true,
    } as unknown as Request,
    response: answer as unknown as ServerResponse,
    headers: {},
    client: { remoteAddress: undefined, headers: {}, isEncrypted: false },
    refer: () => '',
  });
  return { answer, exchange };
}

/** Takes an answer instead of sending it. */
class Answer extends EventEmitter {
  status = 0;
  body: Buffer = Buffer.alloc(0);
  headersSent = false;
  readonly destroyed = false;

  writeHead(status: number): void {
    this.status = status;
    this.headersSent = true;
  }

  end(body?: Buffer): void {
    if (body !== undefined) this.body = body;
  }
}

/** Takes the WebSocket messages of a chunk apart again. */
function deliver(chunk: Buffer, events: SocketEvents, isOpen: () => boolean): void {
  for (let at = 0; at < chunk.length && isOpen();) {
    const length = frameLength(chunk, at);
    const short = (chunk[at + 1] as number) & 0x7f;
    const body = chunk.subarray(at + (short < 126 ? 2 : short === 126 ? 4 : 10), at + length);
    events.onMessage(chunk[at] === TEXT ? body.toString('utf8') : new Uint8Array(body));
    at += length;
  }
}
