/**
 * A link over a POST stream and POST requests (PROTOCOL.md §9, CLI-5), for networks that let no WebSocket through. It
 * takes and gives the frames of a WebSocket: the stream is opened again whenever subscriptions change, and its places
 * make that lossless.
 */
import {
  codes,
  type ClientFrame,
  type ItemError,
  type ServerFrame,
  type Subscribed,
  TidewayError,
  timing,
} from '@tideway/protocol';
import { BatchSender } from './batch-sender.ts';
import type { Env } from './env.ts';
import { readEventStream } from './event-stream.ts';
import type { Http } from './http.ts';
import { CLOSE_ABNORMAL, type Link, type LinkEvents, type Payload } from './link.ts';
import { fromBase64 } from './payload.ts';

/** Changes of subscriptions within this time open the stream once. */
const GATHER_MS = 50;

/** A subscribe frame without answer. */
interface Ask {
  readonly id: number;
  readonly channels: readonly string[];
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
  /** What the stream is to carry, and from where. */
  readonly #places = new Map<string, string>();
  #asks: Ask[] = [];
  #stream = new AbortController();
  #cancelOpen = () => {};
  #cancelSign = () => {};
  #isClosed = false;

  constructor(env: Env, http: Http, events: LinkEvents) {
    this.#env = env;
    this.#http = http;
    this.#events = events;
    this.#batches = new BatchSender({
      post: (body) => this.#post('/v1/batch', body),
      onFrame: (frame) => this.#emit(frame),
    });
    env.soon(() => {
      if (!this.#isClosed) events.onOpen();
    });
    this.#signOfLife();
  }

  send(frame: ClientFrame, payload: Payload = ''): void {
    switch (frame.op) {
      case 'hello':
      case 'token':
        this.#token = frame.token;
        void this.#greet(frame.id);
        return;
      case 'subscribe':
        for (const { channel, from = 'now' } of frame.channels) this.#places.set(channel, from);
        this.#asks.push({ id: frame.id, channels: frame.channels.map(({ channel }) => channel) });
        this.#plan();
        return;
      case 'unsubscribe':
        this.#places.delete(frame.channel);
        this.#plan();
        this.#env.soon(() => this.#emit({ op: 'ok', id: frame.id }));
        return;
      case 'append':
        this.#batches.add(frame, payload);
        return;
      case 'signal': {
        const query = new URLSearchParams({ channel: frame.channel });
        if (frame.to !== undefined) query.set('to', frame.to);
        this.#post(`/v1/signals?${query}`, payload, frame.key).catch((error: ItemError) =>
          this.#emit({ ref: '', ...error, op: 'error' }),
        );
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
    this.#cancelOpen();
    this.#cancelSign();
    this.#stream.abort();
  }

  /** Who the server takes this client for (HTTP-13). */
  async #greet(id: number): Promise<void> {
    try {
      const response = await this.#http.send({ method: 'GET', path: '/v1/session' }, this.#token);
      const session = (await response.json()) as object;
      this.#emit({ pingMs: timing.commentMs, ...session, op: 'ok', id });
    } catch (error) {
      if (error instanceof TidewayError) this.#emit({ ...itemErrorOf(error), op: 'error', id });
      else this.#end(CLOSE_ABNORMAL);
    }
  }

  #plan(): void {
    this.#cancelOpen();
    this.#cancelOpen = this.#env.setTimer(GATHER_MS, () => this.#open());
  }

  #open(): void {
    this.#stream.abort();
    this.#stream = new AbortController();
    if (this.#places.size === 0) this.#emit({ op: 'ping' });
    else if (!this.#isClosed) void this.#follow(this.#stream.signal);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const channels = [...this.#places].map(([channel, from]) => ({ channel, from }));
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
      if (!signal.aborted) this.#end(CLOSE_ABNORMAL);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof TidewayError) this.#refuse(itemErrorOf(error), asks);
      else this.#end(CLOSE_ABNORMAL);
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
        this.#refuse(data as ItemError, asks);
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
    const answers = new Map(channels.map((answer) => [answer.channel, answer]));
    const asks = this.#asks.splice(0, count);
    const asked = new Set(asks.flatMap((ask) => ask.channels));
    for (const [channel, place] of this.#places) {
      const answer = answers.get(channel);
      if (answer === undefined) continue;
      if ('code' in answer) {
        this.#places.delete(channel);
        if (!asked.has(channel)) this.#emit({ op: 'unsubscribed', channel, code: answer.code });
      } else if (asked.has(channel) || answer.cursor === place) this.#places.set(channel, answer.cursor);
      else {
        // Something happened to a channel that nobody asked about: on a new link it is asked for, and answered.
        this.#end(CLOSE_ABNORMAL);
        return;
      }
    }
    this.#emit({ op: 'ping' });
    for (const { id, channels: names } of asks) {
      this.#emit({ op: 'ok', id, channels: names.map((name) => answers.get(name) ?? GONE) });
    }
  }

  /** The stream as a whole was refused, or ended with an error. */
  #refuse(error: ItemError, count: number): void {
    const { close } = codes[error.code] as { readonly close?: number };
    const asks = this.#asks.splice(0, count);
    if (close !== undefined && codes[error.code].action !== 'retry') {
      this.#emit({ ref: '', ...error, op: 'error' });
      this.#end(close);
      return;
    }
    for (const { id, channels } of asks) {
      for (const channel of channels) this.#places.delete(channel);
      this.#emit({ ref: '', ...error, op: 'error', id });
    }
    if (this.#places.size > 0) this.#end(CLOSE_ABNORMAL);
  }

  async #post<Body>(path: string, body: Payload, key?: string): Promise<Body> {
    const headers = {
      'Content-Type': typeof body === 'string' ? 'application/json' : 'application/octet-stream',
      ...(key === undefined ? {} : { 'Tideway-Key': encodeURIComponent(key) }),
    };
    try {
      const response = await this.#http.send({ method: 'POST', path, headers, body }, this.#token);
      return (await response.json()) as Body;
    } catch (error) {
      if (error instanceof TidewayError && codes[error.code].action !== 'refresh')
        return Promise.reject(itemErrorOf(error));
      this.#end(error instanceof TidewayError ? codes.token_expired.close : CLOSE_ABNORMAL);
      throw error;
    }
  }

  #moved(channel: string, place: string): void {
    if (this.#places.has(channel)) this.#places.set(channel, place);
  }

  /** A stream is never silent for long; where there is none, silence means nothing. */
  #signOfLife(): void {
    this.#cancelSign = this.#env.setTimer(timing.commentMs, () => {
      if (this.#places.size === 0) this.#emit({ op: 'ping' });
      this.#signOfLife();
    });
  }

  #emit(frame: ServerFrame, payload?: Payload): void {
    if (!this.#isClosed) this.#events.onFrame(frame, payload);
  }

  #end(close: number): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.onClose(close);
  }
}

const GONE: ItemError = { code: 'internal', message: 'the server left a channel out of its answer' };

function itemErrorOf({ code, message, ref = '', retryMs }: TidewayError): ItemError & { readonly ref: string } {
  return { code, message, ref, ...(retryMs === undefined ? {} : { retryMs }) };
}
