/** What a check of the wire suite is given: the server under test by its URL, and fresh channels. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { within } from '../raw/deadline.ts';
import { openEventStream, type EventStream } from '../raw/event-stream.ts';
import { openRaw } from '../raw/raw-websocket.ts';
import { Talk, type Fields } from './talk.ts';

/** One rule of PROTOCOL.md, seen from outside. */
export interface Check {
  /** The clauses it proves, such as `SUB-6`. */
  readonly clauses: readonly string[];
  /** What must hold, in a sentence. */
  readonly title: string;
  readonly run: (wire: Wire) => Promise<void>;
  /** It touches the whole server: nothing else runs beside it. */
  readonly alone: boolean;
}

/** Makes a check: `check('SUB-6 SUB-7', 'a cursor is resumed byte for byte', async (wire) => …)`. */
export function check(clauses: string, title: string, run: (wire: Wire) => Promise<void>): Check {
  return { clauses: clauses.split(' '), title, run, alone: false };
}

/** A check beside which nothing else may run. */
export function checkAlone(clauses: string, title: string, run: (wire: Wire) => Promise<void>): Check {
  return { ...check(clauses, title, run), alone: true };
}

/** A check that cannot be made here says why. */
export class Skipped extends Error {}

export interface WireOptions {
  readonly url: string;
  /** Credentials with every permission on the channels used, where anonymous sessions have not. */
  readonly token?: string | undefined;
  /** Channels are made under this; its namespace must take records of both kinds, signals, trims and closes. */
  readonly prefix?: string | undefined;
  readonly deadlineMs?: number | undefined;
  /** Stops the server at once and starts it again on the same data and URL; only who owns the server can. */
  readonly restart?: (() => Promise<void>) | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; `undefined` where it is none. */
  readonly json: unknown;
}

export interface Ask {
  readonly query?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Wire {
  readonly url: string;
  readonly token: string | undefined;
  readonly deadlineMs: number;
  readonly restart: (() => Promise<void>) | undefined;
  readonly #prefix: string;
  readonly #ends: (() => void)[] = [];

  constructor(options: WireOptions) {
    this.url = options.url;
    this.token = options.token;
    this.deadlineMs = options.deadlineMs ?? 10_000;
    this.restart = options.restart;
    this.#prefix = options.prefix ?? 'wire:';
  }

  /** A channel nobody used before. */
  channel(): string {
    return `${this.#prefix}${randomUUID()}`;
  }

  get namespace(): string {
    return this.#prefix.slice(0, this.#prefix.indexOf(':'));
  }

  skip(reason: string): never {
    throw new Skipped(reason);
  }

  /** A WebSocket, nothing said yet. */
  async connect(
    options: { readonly protocol?: string | undefined; readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Talk> {
    const raw = await openRaw(new URL('/v1/ws', this.url), { protocol: 'tideway.v1', ...options });
    const talk = new Talk(raw, this.deadlineMs);
    this.#ends.push(() => raw.cut());
    return talk;
  }

  hello(more: Fields = {}): Fields {
    return { op: 'hello', instance: randomUUID(), ...(this.token === undefined ? {} : { token: this.token }), ...more };
  }

  /** A WebSocket session behind a successful `hello`. */
  async session(): Promise<Talk> {
    const talk = await this.connect();
    await talk.ok(this.hello());
    return talk;
  }

  async http(method: string, path: string, ask: Ask = {}): Promise<Answer> {
    const response = await fetch(this.#target(path, ask.query), {
      method,
      headers: { ...this.#credentials(), ...ask.headers },
      ...(ask.body === undefined ? {} : { body: ask.body }),
    });
    // A stream that was not asked for would have no end.
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    if (isStream) await response.body?.cancel();
    const text = isStream ? '' : await response.text();
    return { status: response.status, headers: response.headers, text, json: parseJson(text) };
  }

  /** Appends over HTTP; gives the cursor. */
  async post(channel: string, body = '{}', headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const answer = await this.http('POST', '/v1/records', { query: { channel }, body, headers });
    assert.equal(answer.status, 201, `POST /v1/records was answered ${answer.status} ${answer.text}`);
    return (answer.json as { cursor: string }).cursor;
  }

  /**
   * Announces a body and sends it only when there is no answer to that: a server that refuses it unread closes the
   * connection, and what is still being written then may cost the answer.
   */
  async upload(path: string, body: Uint8Array): Promise<Answer> {
    const url = this.#target(path);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = { ...this.#credentials(), 'Content-Type': 'application/json', 'Content-Length': body.length };
    const request = send(url, { method: 'POST', agent: false, headers });
    this.#ends.push(() => request.destroy());
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', reject);
    });
    request.flushHeaders();
    await within(answered, 2_000, 'an answer to the headers').catch(() => request.end(body));
    const response = await within(answered, this.deadlineMs, 'an answer to the upload');
    const text = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString('utf8');
    const type = response.headers['content-type'] ?? '';
    return {
      status: response.statusCode ?? 0,
      headers: new Headers({ 'content-type': type }),
      text,
      json: parseJson(text),
    };
  }

  /** GET /v1/events, or POST with a body. */
  async events(ask: Ask): Promise<EventStream> {
    const stream = await openEventStream(this.#target('/v1/events', ask.query), {
      method: ask.body === undefined ? 'GET' : 'POST',
      headers: { ...this.#credentials(), ...ask.headers },
      ...(ask.body === undefined ? {} : { body: ask.body }),
    });
    this.#ends.push(() => stream.stop());
    return stream;
  }

  target(path: string, query: Ask['query'] = {}): URL {
    return this.#target(path, query);
  }

  /** Ends every connection that is still open. */
  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  /** Does something else at the end of the check. */
  atEnd(end: () => void): void {
    this.#ends.push(end);
  }

  #target(path: string, query: Ask['query'] = {}): URL {
    const url = new URL(path, this.url);
    for (const [name, value] of Object.entries(query))
      for (const one of [value].flat()) url.searchParams.append(name, one);
    return url;
  }

  #credentials(): Record<string, string> {
    return this.token === undefined ? {} : { Authorization: `Bearer ${this.token}` };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
