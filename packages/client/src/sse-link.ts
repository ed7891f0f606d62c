/**
 * A link over a POST stream and POST requests (PROTOCOL.md §9, CLI-5), for networks that let no WebSocket through. It
 * takes and gives the frames of a WebSocket: the stream is opened again whenever subscriptions change, and its places
 * make that lossless.
 */
import {
  type ClientFrame,
  type CodeEntry,
  codes,
  type ItemError,
  type ServerFrame,
  type Subscribed,
  TidewayError,
} from '@tideway/protocol';
import { BatchSender, itemErrorOf } from './batch-sender.ts';
import type { Env } from './env.ts';
import { readEventStream } from './event-stream.ts';
import type { Http } from './http.ts';
import type { Link, LinkEvents, Payload } from './link.ts';
import { fromBase64 } from './base64.ts';

/** Changes of subscriptions within this time open the stream once. */
const GATHER_MS = 50;
/** A stream says something at least this often (SSE-3). */
const COMMENT_MS = 15_000;

/** A subscribe frame without answer. */
interface Ask {
  readonly id: number;
  readonly channels: readonly string[];
  /** From where each of them is wanted; one that was left meanwhile is no longer here. */
  readonly from: Map<string, string>;
}

interface Ready {
  readonly channels: readonly (Subscribed | ItemError)[];
}

export class SseLink implements Link {
  readonly #env: Env;
  readonly #http: Http;
  readonly #events: LinkEvents;
  readonly #batches: BatchSender;
  #token: string | undefined;
  /** What the stream carries, and how far it has come. */
  readonly #places = new Map<string, string>();
  #asks: Ask[] = [];
  readonly #posts = new AbortController();
  #stream = new AbortController();
  #cancelOpen: (() => void) | undefined;
  #cancelSign = () => {};
  /** The stream's first event came. */
  #isReady = false;
  #isClosed = false;

  constructor(env: Env, http: Http, events: LinkEvents) {
    this.#env = env;
    this.#http = http;
    this.#events = events;
    this.#batches = new BatchSender({
      post: (body) => this.#post('/v1/batch', body),
      onFrame: (frame) => this.#emit(frame),
    });
    void this.#knock();
    this.#signOfLife();
  }

  send(frame: ClientFrame, payload: Payload = ''): void {
    switch (frame.op) {
      case 'hello':
      case 'token':
        this.#token = frame.token;
        void this.#greet(frame.id);
        // The stream ends with the token it was opened with.
        if (frame.op === 'token') this.#plan();
        return;
      case 'subscribe':
        this.#asks.push({
          id: frame.id,
          channels: frame.channels.map(({ channel }) => channel),
          from: new Map(frame.channels.map(({ channel, from = 'now' }) => [channel, from])),
        });
        this.#plan();
        return;
      case 'unsubscribe':
        this.#places.delete(frame.channel);
        for (const ask of this.#asks) ask.from.delete(frame.channel);
        this.#plan();
        this.#env.soon(() => this.#emit({ op: 'ok', id: frame.id }));
        return;
      case 'append':
        this.#batches.add(frame, payload);
        return;
      case 'signal': {
        const query = new URLSearchParams({ channel: frame.channel });
        if (frame.to !== undefined) query.set('to', frame.to);
        this.#post(`/v1/signals?${query}`, payload, frame.key).catch((error: unknown) => {
          if (error instanceof TidewayError) this.#emit({ ...itemErrorOf(error), op: 'error' });
        });
        return;
      }
      default:
    }
  }

  probe(): void {
    this.#open();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelOpen?.();
    this.#cancelSign();
    this.#stream.abort();
    this.#batches.stop();
    this.#posts.abort();
  }

  /** Opens the link where a node answers: one that is going away does not take it (HTTP-13). */
  async #knock(): Promise<void> {
    const { signal } = this.#posts;
    try {
      await (await this.#http.send({ method: 'GET', path: '/v1/session', signal }, undefined)).text();
    } catch (error) {
      // Who has no token yet is no stranger.
      if (!(error instanceof TidewayError) || error.retryMs !== undefined) return this.#end();
    }
    if (!this.#isClosed) this.#events.onOpen();
  }

  /** Who the server takes this client for (HTTP-13). */
  async #greet(id: number): Promise<void> {
    try {
      const response = await this.#http.send({ method: 'GET', path: '/v1/session' }, this.#token);
      const session = (await response.json()) as object;
      this.#emit({ pingMs: COMMENT_MS, ...session, op: 'ok', id });
    } catch (error) {
      if (error instanceof TidewayError) this.#emit({ ...itemErrorOf(error), op: 'error', id });
      else this.#end();
    }
  }

  #plan(): void {
    this.#cancelOpen ??= this.#env.setTimer(GATHER_MS, () => this.#open());
  }

  #open(): void {
    this.#cancelOpen?.();
    this.#cancelOpen = undefined;
    this.#stream.abort();
    this.#stream = new AbortController();
    this.#isReady = false;
    const wanted = new Map([...this.#places, ...this.#asks.flatMap((ask) => [...ask.from])]);
    if (wanted.size === 0) this.#emit(LOG_UP);
    else if (!this.#isClosed) void this.#follow(wanted, this.#stream.signal);
  }

  async #follow(wanted: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    const channels = [...wanted].map(([channel, from]) => ({ channel, from }));
    const asks = this.#asks.length;
    try {
      const response = await this.#http.send(
        { method: 'POST', path: '/v1/events', body: JSON.stringify({ channels }), signal },
        this.#token,
      );
      if (response.body === null) throw new TypeError('the stream has no body');
      await readEventStream(response.body, {
        onEvent: (name, data) => {
          if (!signal.aborted) this.#onEvent(name, JSON.parse(data), asks);
        },
        onComment: () => this.#emit({ op: 'ping' }),
      });
      // When all its channels are closed a stream has done what it was for.
      if (!signal.aborted && !(this.#isReady && this.#places.size === 0)) this.#end();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof TidewayError) this.#refuse(itemErrorOf(error), asks);
      else this.#end();
    }
  }

  /** The stream's events are the server's frames, written in another way (SSE-2, SSE-3). */
  #onEvent(name: string, data: unknown, asks: number): void {
    const { encoding, data: value, ...header } = data as { encoding?: string; data?: unknown; channel: string };
    const payload = encoding === 'base64' ? fromBase64(String(value)) : JSON.stringify(value);
    switch (name) {
      case '': {
        const record = { op: 'record', ...header } as Extract<ServerFrame, { op: 'record' }>;
        this.#moved(record.channel, record.cursor);
        this.#emit(record, payload);
        return;
      }
      case 'ready':
        this.#onReady(data as Ready, asks);
        return;
      case 'error':
        if (this.#isReady) this.#broke(data as ItemError);
        else this.#refuse(data as ItemError, asks);
        return;
      default: {
        const frame = { ...header, op: name } as ServerFrame;
        if (frame.op === 'gap' || frame.op === 'mark') this.#moved(frame.channel, frame.cursor);
        else if (frame.op === 'closed' || frame.op === 'unsubscribed') this.#places.delete(frame.channel);
        this.#emit(frame, payload);
      }
    }
  }

  #onReady({ channels }: Ready, count: number): void {
    this.#isReady = true;
    const asks = this.#asks.splice(0, count);
    const answers = new Map(channels.map((answer) => [answer.channel, answer]));
    for (const [channel, answer] of answers) {
      if (channel === undefined) continue;
      const place = this.#places.get(channel);
      const isAsked = asks.some((ask) => ask.from.has(channel));
      if ('code' in answer) {
        this.#places.delete(channel);
        if (!isAsked) this.#emit({ op: 'unsubscribed', channel, code: answer.code });
      } else if (isAsked || answer.cursor === place) this.#places.set(channel, answer.cursor);
      else if (place !== undefined) {
        // Something happened to a channel that nobody asked about: on a new link it is asked for, and answered.
        this.#end();
        return;
      }
    }
    this.#emit(LOG_UP);
    for (const { id, channels: names } of asks) {
      this.#emit({ op: 'ok', id, channels: names.map((name) => answers.get(name) ?? GONE) });
    }
  }

  /** The stream ended with an error (SSE-7): what closes a WebSocket. */
  #broke(error: ItemError): void {
    this.#emit({ ref: '', ...error, op: 'error' });
    const { close }: CodeEntry = codes[error.code];
    this.#end(close);
  }

  /** The stream was refused as a whole (SSE-6), and with it all that it was to carry. */
  #refuse(error: ItemError, count: number): void {
    this.#stream.abort();
    for (const { id } of this.#asks.splice(0, count)) this.#emit({ ref: '', ...error, op: 'error', id });
    if (this.#places.size > 0) this.#end();
  }

  async #post<Body>(path: string, body: Payload, key?: string): Promise<Body> {
    const headers = {
      'Content-Type': typeof body === 'string' ? 'application/json' : 'application/octet-stream',
      ...(key === undefined ? {} : { 'Tideway-Key': encodeURIComponent(key) }),
    };
    try {
      const { signal } = this.#posts;
      const response = await this.#http.send({ method: 'POST', path, headers, body, signal }, this.#token);
      return (await response.json()) as Body;
    } catch (error) {
      if (!(error instanceof TidewayError)) this.#end();
      else if (codes[error.code].action === 'refresh') this.#end(codes.token_expired.close);
      throw error;
    }
  }

  #moved(channel: string, place: string): void {
    // What is asked for begins where it was asked, whatever the stream before it still brings.
    if (this.#asks.some(({ channels }) => channels.includes(channel))) return;
    if (this.#places.has(channel)) this.#places.set(channel, place);
  }

  /** A stream is never silent for long; where there is none, silence means nothing. */
  #signOfLife(): void {
    this.#cancelSign = this.#env.setTimer(COMMENT_MS, () => {
      if (this.#places.size === 0) this.#emit({ op: 'ping' });
      this.#signOfLife();
    });
  }

  #emit(frame: ServerFrame, payload?: Payload): void {
    if (!this.#isClosed) this.#events.onFrame(frame, payload);
  }

  #end(close?: number): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.onClose(close);
  }
}

/** What holds until a stream says otherwise, which each says for itself (CLS-1). */
const LOG_UP: ServerFrame = { op: 'log', state: 'up' };
const GONE: ItemError = { code: 'internal', message: 'the server left a channel out of its answer' };
