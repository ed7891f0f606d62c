/**
 * One HTTP request and its answer (PROTOCOL.md HTTP-1, HTTP-2): query, body, JSON, errors, the same over HTTP/1.1 and
 * HTTP/2. Knows no channel and no route.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { isRid, limits, TidewayError, timing } from '@tideway/protocol';
import type { ClientSide } from '../auth/forwarded.ts';
import type { Identity } from '../auth/identity.ts';
import type { Refusal } from '../hub/refusal.ts';
import type { Budget } from '../hub/budget.ts';
import { Query } from './query.ts';
import {
  badFrame,
  errorBody,
  errorMembers,
  type ErrorMembers,
  type Noted,
  type ReferRequest,
  type RequestRefusal,
} from './request-refusal.ts';
import { hasUnwantedBody, throwAwayBody } from './unwanted-body.ts';

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

/** No channel's name is longer. */
const CHANNEL_SHOWN_MAX = 256;

export class Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly path: string;
  readonly query: Query;
  readonly client: ClientSide;
  /** What was thrown, if anything was: for the log only. */
  cause: unknown;
  /** Who asks, once that is known: for the log only. */
  identity: Identity | undefined;
  /** Added to every answer (CORS). */
  readonly #headers: Readonly<Record<string, string>>;
  readonly #refer: ReferRequest;
  readonly #budget: Budget | undefined;
  readonly #unreadMs: number;
  #bodyBytes = 0;
  #answerBytes = 0;

  constructor(parts: {
    readonly request: Request;
    readonly response: Response;
    readonly headers: Readonly<Record<string, string>>;
    readonly client: ClientSide;
    /** Writes a failure to the log; returns the reference both share. */
    readonly refer: ReferRequest;
    /** What is held for this request counts here until its answer is taken. Absent: nobody is waited for. */
    readonly budget?: Budget | undefined;
    /** How long the peer may leave an answer untouched before it is cut. */
    readonly unreadMs?: number;
  }) {
    this.request = parts.request;
    this.response = parts.response;
    this.#headers = parts.headers;
    this.#refer = parts.refer;
    this.client = parts.client;
    this.#budget = parts.budget;
    this.#unreadMs = parts.unreadMs ?? timing.unreadMs;
    if (parts.budget !== undefined) this.response.once('close', () => this.#letGo());
    const target = parts.request.url ?? '/';
    const at = target.indexOf('?');
    this.path = at < 0 ? target : target.slice(0, at);
    this.query = new Query(at < 0 ? '' : target.slice(at + 1));
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  /** One header's text; `undefined` where it is absent or empty. */
  header(name: string): string | undefined {
    const text = this.given(name);
    return text === '' ? undefined : text;
  }

  /** One header's text, also an empty one, which is as wrong as it looks (HTTP-1); `undefined` where it is absent. */
  given(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /** The body is opaque bytes; any other type, or none, makes it JSON (HTTP-3). */
  get hasBytes(): boolean {
    return this.header('content-type')?.split(';')[0]?.trim().toLowerCase() === 'application/octet-stream';
  }

  /** The client object that asks (HTTP-1); empty where it does not say. */
  instance(): string {
    const instance = this.given('tideway-instance');
    if (instance === undefined || isRid(instance)) return instance ?? '';
    throw badFrame(`Tideway-Instance must be 1–${limits.ridLength} printable ASCII characters`);
  }

  /**
   * The whole body; a larger one fails with `too_large` before it is read, one in a coding with `unsupported`: its bytes
   * would be taken for the payload (RFC 9110 §8.4, RFC 9112 §6.1).
   *
   * @param allowed what the refusal says, where whoever takes the body has a limit of its own
   */
  async body(bytesMax: number, allowed = bytesMax): Promise<Buffer> {
    const coding = this.#codingOf('content-encoding', 'identity') ?? this.#codingOf('transfer-encoding', 'chunked');
    if (coding !== undefined) throw new TidewayError('unsupported', `a body is taken as it is, and not in ${coding}`);
    const announced = Number(this.header('content-length') ?? 0);
    if (announced > bytesMax) throw tooLarge(allowed);
    const chunks: Buffer[] = [];
    let bytes = 0;
    // What a refusal leaves unread is still to be thrown away.
    for await (const chunk of this.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw tooLarge(allowed);
      this.#holdBody(chunk.length);
      chunks.push(chunk);
    }
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  }

  /** What the header says of the body's coding, where that is another than this one. */
  #codingOf(name: string, plain: string): string | undefined {
    const coding = this.header(name);
    return coding?.toLowerCase() === plain ? undefined : coding;
  }

  /** The whole body as text; what is not UTF-8 is `bad_frame`, never replaced by something else. */
  async text(bytesMax: number): Promise<string> {
    const body = await this.body(bytesMax);
    if (!isUtf8(body)) throw badFrame('the body is not UTF-8');
    return body.toString('utf8');
  }

  json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    this.bytes(status, Buffer.from(JSON.stringify(body)), {
      'content-type': 'application/json; charset=utf-8',
      ...headers,
    });
  }

  bytes(status: number, body: Buffer, headers: Readonly<Record<string, string>>): void {
    if (this.response.headersSent || this.response.destroyed) return;
    this.#headOf(status, body, headers);
    if (this.method === 'HEAD') return void (this.response as ServerResponse).end();
    this.#holdAnswer(body.length);
    (this.response as ServerResponse).end(body);
    if (backlogBytes(this.response) > 0) this.cutUnread();
  }

  /** A 204 has no length, and that of a 304 would be the length of what it stands for (RFC 9110 §8.6). */
  #headOf(status: number, body: Buffer, headers: Readonly<Record<string, string>>): void {
    const length = status === 204 || status === 304 ? {} : { 'content-length': String(body.length) };
    this.writeHead(status, { 'cache-control': 'private, no-store', ...length, ...headers });
  }

  /** Fails with `overloaded` where the node has no room for an answer of this size, before it is made. */
  needRoom(bytes: number): void {
    if (this.#budget?.hasRoomForAnswer(bytes) === false) {
      throw overloaded('too many answers wait to be read by their clients');
    }
  }

  /** From now on the connection is cut when its peer takes nothing for a while. */
  cutUnread(): void {
    const { response } = this;
    const unreadMs = this.#unreadMs;
    // Node's time for sockets: it knows what the kernel has taken of a large write.
    (response as ServerResponse).setTimeout(unreadMs, () => response.destroy());
    if ('stream' in response) return;
    const { socket } = response;
    response.once('finish', () => {
      if (socket?.timeout === unreadMs) socket.setTimeout(0);
    });
  }

  #holdBody(bytes: number): void {
    const budget = this.#budget;
    if (budget === undefined) return;
    if (!budget.hasRoomForBody(bytes, this.#bodyBytes)) throw overloaded('too many bodies are on their way in');
    if (this.response.destroyed) return;
    this.#bodyBytes += bytes;
    budget.bodyBytes += bytes;
  }

  #holdAnswer(bytes: number): void {
    if (this.#budget === undefined) return;
    this.#answerBytes += bytes;
    this.#budget.answerBytes += bytes;
  }

  /** The answer was taken, or the connection is gone. */
  #letGo(): void {
    const budget = this.#budget as Budget;
    budget.bodyBytes -= this.#bodyBytes;
    budget.answerBytes -= this.#answerBytes;
    this.#bodyBytes = 0;
    this.#answerBytes = 0;
  }

  /** Gives no answer at all: whoever asks does so again, and a load balancer another node (SSE-9). */
  hangUp(): void {
    if ('stream' in this.response) this.response.stream?.close(constants.NGHTTP2_REFUSED_STREAM);
    else this.response.destroy();
  }

  writeHead(status: number, headers: Readonly<Record<string, string>>): void {
    (this.response as ServerResponse).writeHead(status, {
      'x-content-type-options': 'nosniff',
      ...this.#headers,
      ...headers,
    });
  }

  /** The members of an error, with the reference that stands in the log. */
  describe(failure: Refusal): ErrorMembers {
    return errorMembers(failure, this.#refer(failure, this.#noted()));
  }

  #noted(): Noted {
    const { path, method, identity, cause, client } = this;
    const channel = this.query.all('channel')[0]?.slice(0, CHANNEL_SHOWN_MAX);
    return { path, method, channel, identity, remoteAddress: client.remoteAddress, cause };
  }

  fail(failure: RequestRefusal): void {
    if (this.response.headersSent || this.response.destroyed) return;
    const { status, headers, body: text } = errorBody(failure, this.#refer(failure, this.#noted()));
    const body = Buffer.from(text);
    const { request, response } = this;
    if (!hasUnwantedBody(request)) return this.bytes(status, body, headers);
    this.#headOf(status, body, { ...headers, connection: 'close' });
    this.#holdAnswer(body.length);
    (response as ServerResponse).write(body);
    throwAwayBody(request, () => void (response as ServerResponse).end());
  }
}

/** What a body says in JSON. */
export function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badFrame('the body is not JSON');
  }
}

/** The answer is the last one of its connection: what comes next goes over another one, to another node. */
export function endConnectionBehind(response: Response): void {
  if ('stream' in response) return response.stream?.session?.close();
  const { socket } = response;
  response.shouldKeepAlive = false;
  response.once('finish', () => socket?.destroySoon());
}

/** What was written and not taken by the operating system yet. */
export function backlogBytes(response: Response): number {
  return 'stream' in response ? (response.stream?.writableLength ?? 0) : response.writableLength;
}

function overloaded(message: string): TidewayError {
  return new TidewayError('overloaded', message, { retryMs: timing.retryMs });
}

function tooLarge(bytesMax: number): TidewayError {
  return new TidewayError('too_large', `the body may have ${bytesMax} bytes`);
}
