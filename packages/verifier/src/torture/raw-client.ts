/**
 * A WebSocket client without the SDK: holds its own places, keeps the client's rules of PROTOCOL.md APP-3 and APP-4 by
 * hand, and tells the checker every frame it gets. It writes and reads on one session.
 */
import { randomUUID } from 'node:crypto';
import { codes, isCode } from '@tideway/protocol';
import { hashData } from '../checker.ts';
import { within } from '../raw/deadline.ts';
import type { FaultProxy } from '../raw/fault-proxy.ts';
import { openRaw, type RawMessage, type RawWebSocket } from '../raw/raw-websocket.ts';
import { AppendQueue, type PendingAppend } from './append-queue.ts';
import type { Random } from './random.ts';
import { makePayload, rest, type SlowReader, type Stage, type TortureClient } from './stage.ts';

type Request =
  | { readonly kind: 'hello' }
  | { readonly kind: 'subscribe'; readonly channel: string; readonly from: string | undefined; readonly asked: number }
  | { readonly kind: 'append'; readonly channel: string; readonly append: PendingAppend };

type Fields = Readonly<Record<string, unknown>>;

/** How often appends are made. */
const PACE_MS = 20;
/** What may wait for an answer; beyond it nothing is made. */
const PENDING_MAX = 400;
/** A connection on which nothing came for so long is cut: the server pings every second. */
const SILENCE_MS = 4_000;
const CONNECT_MS = 5_000;

export class RawClient implements TortureClient, SlowReader {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly reads: readonly string[];
  restMs = 0;
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #places = new Map<string, string>();
  readonly #written = new Map<string, AppendQueue>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #requests = new Map<number, Request>();
  #raw: RawWebSocket | undefined;
  #session = '';
  #connections = 0;
  #id = 0;
  #isQuiet = false;
  #heardMs = 0;

  constructor(
    stage: Stage,
    options: { name: string; proxy: FaultProxy; random: Random; reads: readonly string[]; writes: readonly string[] },
  ) {
    this.#stage = stage;
    this.name = options.name;
    this.proxy = options.proxy;
    this.reads = options.reads;
    this.#random = options.random;
    for (const channel of options.writes) this.#written.set(channel, this.#queue(channel));
    this.#running = Promise.all([this.#connectAgain(), this.#write(), this.#watch()]).then(() => {});
  }

  get pending(): number {
    return [...this.#written.values()].reduce((sum, { length }) => sum + length, 0);
  }

  place(channel: string): string | undefined {
    return this.#places.get(channel);
  }

  quiet(): void {
    this.#isQuiet = true;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#raw?.cut();
    await this.#running;
  }

  async #connectAgain(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#connect();
      } catch {
        // The server is down, or the proxy let nobody through.
      }
      await rest(this.#random.between(20, 300), this.#stop.signal);
    }
  }

  async #connect(): Promise<void> {
    const raw = await within(
      openRaw(new URL('/v1/ws', this.proxy.url), { protocol: 'tideway.v1' }),
      CONNECT_MS,
      'a connection',
    );
    const closed = new Promise<void>((resolve) => (raw.onClose = () => resolve()));
    this.#raw = raw;
    this.#requests = new Map();
    this.#session = `${this.name}#${++this.#connections}`;
    this.#heardMs = performance.now();
    raw.onMessage = (message) => this.#hear(message);
    // All in one go (CLI-3): hello, the subscriptions from their places, the unanswered appends.
    this.#send({ op: 'hello', instance: this.name }, { kind: 'hello' });
    for (const channel of this.reads) this.#subscribe(channel);
    for (const queue of this.#written.values()) queue.startAgain();
    await closed;
    this.#raw = undefined;
    this.#stage.checker.accept({ kind: 'disconnect', reader: this.name });
  }

  /** Cuts a connection that has gone silent, and rests as a slow application does. */
  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await rest(250, this.#stop.signal);
      const raw = this.#raw;
      if (raw === undefined) continue;
      if (this.restMs > 0) {
        raw.pause();
        await rest(this.restMs, this.#stop.signal);
        raw.resume();
        this.#heardMs = performance.now();
      } else if (performance.now() - this.#heardMs > SILENCE_MS) raw.cut();
    }
  }

  async #write(): Promise<void> {
    if (this.#written.size === 0) return;
    const channels = [...this.#written.keys()] as [string, ...string[]];
    let owed = 0;
    while (!this.#stop.signal.aborted) {
      await rest(PACE_MS, this.#stop.signal);
      if (this.#isQuiet || this.#stop.signal.aborted) continue;
      owed = Math.min(PENDING_MAX, owed + (this.#stage.appendsPerSecond * PACE_MS) / 1_000);
      for (; owed >= 1 && this.pending < PENDING_MAX; owed--) this.#make(this.#random.pick(channels));
    }
  }

  #make(channel: string): void {
    const queue = this.#written.get(channel) as AppendQueue;
    const sequence = queue.nextSequence();
    // Now and then one that must be refused: it is no JSON, and what was refused must never be seen.
    const payload = this.#random.percent(1) ? '{no json' : makePayload(this.#random, this.name, sequence).text;
    const rid = randomUUID();
    const hash = hashData(payload);
    this.#stage.checker.accept({ kind: 'append', channel, rid, writer: this.name, sequence, hash });
    queue.add({ rid, payload, id: undefined, wasSent: false });
  }

  #queue(channel: string): AppendQueue {
    return new AppendQueue(this.#stop.signal, (append, restart) => {
      if (this.#raw === undefined) return;
      const { rid, payload } = append;
      const session = append.wasSent ? undefined : this.#session;
      append.wasSent = true;
      this.#stage.checker.accept({ kind: 'append', channel, rid, session });
      const header = { op: 'append', channel, rid, ...(restart ? { restart: true } : {}) };
      append.id = this.#send(header, { kind: 'append', channel, append }, payload);
    });
  }

  #subscribe(channel: string): void {
    const from = this.#places.get(channel);
    const { tick: asked } = this.#stage.checker;
    this.#send({ op: 'subscribe', channel, from: from ?? 'oldest' }, { kind: 'subscribe', channel, from, asked });
  }

  #send(header: Fields, request: Request, payload?: string): number {
    const id = ++this.#id;
    this.#requests.set(id, request);
    const line = JSON.stringify({ id, ...header });
    this.#raw?.sendText(payload === undefined ? line : `${line}\n${payload}`);
    return id;
  }

  #hear({ bytes, binary }: RawMessage): void {
    this.#heardMs = performance.now();
    const at = bytes.indexOf(0x0a);
    const header = JSON.parse((at < 0 ? bytes : bytes.subarray(0, at)).toString('utf8')) as Fields;
    const { checker, fail } = this.#stage;
    const channel = header['channel'] as string;
    const cursor = header['cursor'] as string;
    switch (header['op']) {
      case 'ok':
        this.#ok(header);
        return;
      case 'error':
        this.#error(header);
        return;
      case 'record': {
        if (binary) fail(`${this.name} got a record of kind bytes; nobody appends such`);
        const { prev, rid } = header as { prev: string; rid?: string };
        checker.accept({
          kind: 'record',
          reader: this.name,
          channel,
          cursor,
          prev,
          rid,
          hash: hashData(bytes.subarray(at + 1)),
        });
        this.#places.set(channel, cursor);
        return;
      }
      case 'mark':
        checker.accept({ kind: 'mark', reader: this.name, channel, cursor, prev: header['prev'] as string });
        this.#places.set(channel, cursor);
        return;
      case 'gap':
        checker.accept({ kind: 'gap', reader: this.name, channel, cursor, reason: header['reason'] as 'trimmed' });
        this.#places.set(channel, cursor);
        return;
      case 'ping':
        this.#raw?.sendText('{"op":"pong"}');
        return;
      case 'unsubscribed':
      case 'closed':
        fail(`${this.name} was told ${JSON.stringify(header)}`);
        return;
      default:
    }
  }

  #ok(header: Fields): void {
    const request = this.#take(header);
    if (request === undefined) return;
    switch (request.kind) {
      case 'hello':
        return;
      case 'subscribe': {
        const { channel, from, asked } = request;
        const { cursor, head, resumed, reason } = header as {
          cursor: string;
          head: string;
          resumed?: boolean;
          reason?: 'trimmed';
        };
        this.#stage.checker.accept({
          kind: 'subscribed',
          reader: this.name,
          channel,
          cursor,
          head,
          from,
          resumed,
          reason,
          asked,
          session: this.#session,
        });
        this.#places.set(channel, cursor);
        return;
      }
      case 'append': {
        const { channel, append } = request;
        const cursor = header['cursor'] as string;
        const duplicate = header['duplicate'] === true;
        this.#written.get(channel)?.settle(append);
        this.#stage.checker.accept({
          kind: 'outcome',
          channel,
          rid: append.rid,
          outcome: { state: 'stored', cursor, duplicate },
        });
        return;
      }
      default:
        request satisfies never;
    }
  }

  #error(header: Fields): void {
    const request = this.#take(header);
    const { code, retryMs } = header as { code: string; retryMs?: number };
    if (request === undefined) {
      // An error about the connection itself ends it.
      if (!isCode(code) || !('close' in codes[code])) this.#stage.fail(`${this.name} got ${JSON.stringify(header)}`);
      return;
    }
    if (request.kind !== 'append') {
      if (retryMs === undefined)
        this.#stage.fail(`${this.name}: ${request.kind} was refused: ${JSON.stringify(header)}`);
      else if (request.kind === 'subscribe')
        void rest(retryMs, this.#stop.signal).then(() => this.#subscribeAgain(request.channel));
      else this.#raw?.cut();
      return;
    }
    const { channel, append } = request;
    if (retryMs === undefined) {
      this.#written.get(channel)?.settle(append);
      this.#stage.checker.accept({ kind: 'outcome', channel, rid: append.rid, outcome: { state: 'refused', code } });
    } else {
      this.#stage.checker.accept({ kind: 'append', channel, rid: append.rid });
      this.#written.get(channel)?.goBack(append, Math.min(retryMs, 300));
    }
  }

  #subscribeAgain(channel: string): void {
    if (this.#raw !== undefined) this.#subscribe(channel);
  }

  #take(header: Fields): Request | undefined {
    const id = header['id'];
    if (typeof id !== 'number') return undefined;
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    if (request === undefined)
      this.#stage.fail(`${this.name} got an answer to a request that was not open: ${JSON.stringify(header)}`);
    return request;
  }
}
