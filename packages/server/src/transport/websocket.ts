/**
 * WebSocket (PROTOCOL.md §4): `ws` does handshake, parsing, masking, pings and closing; records go to the socket as
 * they are stored, beside `ws`, because they are whole frames already. A transport never sees a channel.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { codes, decodeClientHeader, limits, timing, type Code } from '@tideway/protocol';
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws';
import type { Env } from '../env.ts';
import { websocketCodec } from '../hub/codec-websocket.ts';
import type { Commands } from '../hub/commands.ts';
import type { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import type { Session } from '../hub/session.ts';
import type { Slices } from '../hub/slices.ts';
import { FaultyConnection } from './faults.ts';
import { SocketWrites } from './socket-writes.ts';

const SUBPROTOCOL = 'tideway.v1';
const LF = 0x0a;
/** How long a peer may take to answer a close frame before the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 5_000;
/** However small records are: a `subscribe` of 100 channels with their places has up to 35 KiB, a signal 16 KiB. */
const MESSAGE_BYTES_MIN = 64 * 1024;

/** A socket as Node gives it to an upgrade: a duplex that can be corked. */
class WebSocketConnection extends SocketWrites implements Connection {
  readonly transport = 'websocket';
  readonly codec = websocketCodec;
  readonly #webSocket: WebSocket;

  constructor(webSocket: WebSocket, socket: Duplex) {
    super(socket);
    this.#webSocket = webSocket;
  }

  pause(): void {
    this.#webSocket.pause();
  }

  resume(): void {
    this.#webSocket.resume();
  }

  close(code: Code): void {
    const entry = codes[code];
    this.#webSocket.close('close' in entry ? entry.close : 1011, code);
  }

  /** Ends the connection without a word. */
  cut(): void {
    this.#webSocket.terminate();
  }
}

export interface WebSocketTransport {
  /** Takes over an upgrade request that was found in order (path, host, origin). */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Pings every session, one part of them at a time. */
  stop(): void;
}

export function createWebSocketTransport(parts: {
  readonly env: Env;
  readonly hub: Hub;
  readonly commands: Commands;
  readonly pingMs: number;
  readonly helloMs: number;
  readonly faults: boolean;
  readonly onTrouble: (error: unknown) => void;
  readonly onOpened: (session: Session, request: IncomingMessage) => void;
  readonly onClosed: (session: Session, code: Code | 'peer', detail: string) => void;
}): WebSocketTransport {
  const { env, hub, commands } = parts;
  // `closeTimeout` is newer than the type declarations of `ws`.
  const options: ServerOptions & { closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    closeTimeout: CLOSE_TIMEOUT_MS,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  };
  const server = new WebSocketServer(options);
  const heartbeat = createHeartbeat({
    env,
    slices: hub.slices,
    pingMs: parts.pingMs,
    onDead: (session) => commands.replies.close(session, 'slow_pong', 'two pings were not answered'),
  });

  function accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    server.options.maxPayload = Math.max(hub.recordLimit.largest + limits.headerBytes, MESSAGE_BYTES_MIN);
    server.handleUpgrade(request, socket, head, (webSocket) => begin(webSocket, socket, request));
  }

  /** What listens here lives as long as the connection: it holds the session, and nothing of the request. */
  function begin(webSocket: WebSocket, socket: Duplex, request: IncomingMessage): void {
    const plain = new WebSocketConnection(webSocket, socket);
    const connection = parts.faults ? new FaultyConnection(env, plain, () => plain.cut()) : plain;
    const session = hub.open(connection);
    if (connection instanceof FaultyConnection) connection.onRelease = () => session.onDrain();
    parts.onOpened(session, request);
    heartbeat.add(session);
    env.setTimer(parts.helloMs, () => {
      if (session.identity === undefined)
        commands.replies.close(session, 'hello_timeout', `no successful hello in ${parts.helloMs} ms`);
    });
    webSocket.on('message', (data: Buffer, binary: boolean) => receive(session, data, binary));
    webSocket.on('error', (error: { readonly code?: string }) => {
      // `ws` closes with 1002, 1007 or 1009 by itself; the close event that follows carries the number.
      if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') hub.figures.hit('messageBytes');
    });
    socket.on('drain', () => session.onDrain());
    webSocket.on('close', (code: number, reason: Buffer) => {
      heartbeat.delete(session);
      commands.ended(session);
      hub.closed(session, 'peer');
      parts.onClosed(session, session.closedWith ?? 'peer', `${code} ${reason.toString('utf8').slice(0, 64)}`.trim());
    });
  }

  function receive(session: Session, data: Buffer, binary: boolean): void {
    hub.figures.framesReceived++;
    hub.figures.bytesReceived += data.length;
    const end = data.indexOf(LF);
    const bytes = end < 0 ? data : data.subarray(0, end);
    // Of a text message `ws` has looked at every byte already.
    const header = binary && !isUtf8(bytes) ? '' : bytes.toString('utf8');
    try {
      commands.receive(session, decodeClientHeader(header), end < 0 ? undefined : data.subarray(end + 1), binary);
    } catch (error) {
      // A fault of ours ends this session and no other.
      parts.onTrouble(error);
      commands.replies.close(session, 'internal', 'a fault in the server; its log has the reference');
    }
  }

  return { accept, stop: () => heartbeat.stop() };
}

/**
 * Pings all sessions once per period, a fifth of them at a time, in slices of ticks, and finds those that answer no more
 * (PNG-1). Two that were not answered close the session. It is the pings that are counted, not the time: where this
 * process was held up, what a client has answered meanwhile is read before another one counts.
 */
function createHeartbeat({
  env,
  slices,
  pingMs,
  onDead,
}: {
  readonly env: Env;
  readonly slices: Slices;
  readonly pingMs: number;
  readonly onDead: (session: Session) => void;
}) {
  const parts = Array.from({ length: 5 }, () => new Set<Session>());
  let next = 0;
  let turn = 0;
  let cancel = env.setTimer(pingMs / parts.length, beat);
  // So many periods after the first of them the second one is 10 s old.
  const pingsMax = 1 + Math.ceil(timing.pongTimeoutMs / pingMs);

  function beat(): void {
    cancel = env.setTimer(pingMs / parts.length, beat);
    const part = parts[turn++ % parts.length] as Set<Session>;
    for (const session of part) slices.add(() => ping(session));
  }

  function ping(session: Session): void {
    if (session.ended) return;
    if (session.unansweredPings >= pingsMax) return onDead(session);
    // Before hello nobody is pinged; the hello deadline ends who stays silent (HEL-3).
    if (session.identity === undefined) return;
    session.unansweredPings++;
    session.send({ op: 'ping' });
    session.onDrain();
    session.rest();
    session.flush();
  }

  return {
    add(session: Session): void {
      const part = parts[next++ % parts.length] as Set<Session>;
      part.add(session);
    },
    delete(session: Session): void {
      for (const part of parts) part.delete(session);
    },
    stop: () => cancel(),
  };
}
