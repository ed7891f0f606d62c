/**
 * The model server over HTTP: who one is, POST streams and batches (PROTOCOL.md §9, HTTP-4, HTTP-13). Each request is a
 * session of its own behind the wire, so that one model of the protocol serves both transports.
 */
import { type ServerFrame, splitBytes, splitText } from '@tideway/protocol';
import type { ModelServer, ModelSession, Wire } from './model-server.ts';

/** What a session behind a request says, taken apart. */
type OnFrame = (frame: ServerFrame & { id?: number }, payload: string | Uint8Array | undefined) => void;

export interface Exchange {
  readonly url: URL;
  readonly init: RequestInit;
  /** The client's bodies are all text. */
  readonly body: string;
  /** Begins a stream; what is written arrives in order. */
  stream(): { write(text: string): void; end(): void; onEnd(callback: () => void): void };
  json(status: number, body: unknown): void;
}

export function answer(server: ModelServer, exchange: Exchange): void {
  const { url, init } = exchange;
  const call = `${init.method} ${url.pathname}`;
  switch (call) {
    case 'GET /healthz':
      exchange.json(200, { status: 'ok' });
      return;
    case 'GET /v1/session':
      greeted(server, exchange, (frame) => {
        const { op: _op, id: _id, pingMs: _pingMs, ...about } = frame as unknown as Record<string, unknown>;
        exchange.json(200, about);
      })?.onClose();
      return;
    case 'POST /v1/events':
      follow(server, exchange);
      return;
    case 'POST /v1/batch':
      appendAll(server, exchange);
      return;
    case 'POST /v1/signals': {
      const session = greeted(server, exchange, () => {});
      session?.onMessage(
        `${JSON.stringify({ op: 'signal', channel: url.searchParams.get('channel') })}\n${exchange.body}`,
      );
      session?.onClose();
      exchange.json(202, {});
      return;
    }
    default:
      exchange.json(404, { error: { code: 'not_found', message: call, ref: 'r1' } });
  }
}

function open(server: ModelServer, onFrame: OnFrame, onClose: (close: number) => void = () => {}): ModelSession {
  const wire: Wire = {
    send(message) {
      const { header, payload } = typeof message === 'string' ? splitText(message) : splitBytes(message);
      onFrame(JSON.parse(header) as ServerFrame, payload);
    },
    close: onClose,
  };
  return server.accept(wire);
}

function helloOf({ init }: Exchange): string {
  const authorization = new Headers(init.headers).get('authorization');
  const token = authorization === null ? {} : { token: authorization.replace('Bearer ', '') };
  return JSON.stringify({ op: 'hello', id: 1, instance: 'over http', ...token });
}

/** A session after its hello; `undefined` when that was refused, and answered so. */
function greeted(server: ModelServer, exchange: Exchange, onFrame: OnFrame): ModelSession | undefined {
  let isGreeted = false;
  const session = open(server, (frame, payload) => {
    if (frame.op === 'error' && !isGreeted) exchange.json(401, { error: frame });
    else {
      isGreeted = true;
      onFrame(frame, payload);
    }
  });
  session.onMessage(helloOf(exchange));
  if (isGreeted) return session;
  session.onClose();
  return undefined;
}

function follow(server: ModelServer, exchange: Exchange): void {
  let stream: ReturnType<Exchange['stream']> | undefined;
  const session = greeted(server, exchange, (frame, payload) => {
    if (frame.op === 'ok' && frame.id === 1) return;
    const { op, id: _id, ...header } = frame;
    stream ??= exchange.stream();
    if (op === 'ok') {
      stream.write(`event: ready\ndata: ${JSON.stringify({ channels: frame.channels })}\n\n`);
      return;
    }
    const data =
      payload === undefined
        ? JSON.stringify(header)
        : JSON.stringify(
            typeof payload === 'string'
              ? { ...header, data: JSON.parse(payload) as unknown }
              : { ...header, encoding: 'base64', data: Buffer.from(payload).toString('base64') },
          );
    stream.write(op === 'record' ? `data: ${data}\n\n` : op === 'ping' ? ':\n\n' : `event: ${op}\ndata: ${data}\n\n`);
  });
  if (session === undefined) return;
  const { channels } = JSON.parse(exchange.body) as { channels: unknown };
  session.onMessage(JSON.stringify({ op: 'subscribe', id: 2, channels }));
  stream?.onEnd(() => session.onClose());
}

function appendAll(server: ModelServer, exchange: Exchange): void {
  const results: unknown[] = [];
  const session = greeted(server, exchange, (frame) => {
    const { op: _op, id, ...result } = frame;
    if (id !== undefined && id > 1) results[id - 2] = result;
  });
  if (session === undefined) return;
  const items = JSON.parse(exchange.body) as { data: unknown; encoding?: string }[];
  for (const [index, { data, encoding, ...fields }] of items.entries()) {
    const header = JSON.stringify({ op: 'append', id: index + 2, ...fields });
    if (encoding === undefined) session.onMessage(`${header}\n${JSON.stringify(data)}`);
    else session.onMessage(Uint8Array.from([...Buffer.from(`${header}\n`), ...Buffer.from(String(data), 'base64')]));
  }
  session.onClose();
  exchange.json(200, { results });
}
