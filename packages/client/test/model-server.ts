/**
 * A small server written from PROTOCOL.md, to try the client against: one log, sessions, and the faults a test wants.
 * It is told the time by its world and never waits by itself.
 */
import {
  type Code,
  codes,
  decodeClientHeader,
  encodeRecordHeader,
  type HelloOk,
  type ItemError,
  limits,
  type ServerFrame,
  splitBytes,
  splitText,
  type Subscribed,
  TidewayError,
} from '@tideway/protocol';
import type { Payload } from '../src/link.ts';
import { ModelLog, type ModelRecord } from './model-log.ts';

type AppendFrame = Extract<Extract<ReturnType<typeof decodeClientHeader>, { ok: true }>['frame'], { op: 'append' }>;

/** The server's side of a connection. */
export interface Wire {
  send(message: string | Uint8Array): void;
  close(close: number): void;
}

/** What a test may change. */
export interface ModelFaults {
  /** What an append is answered with instead of being stored. */
  append?: (frame: AppendFrame, payload: Payload) => { code: Code; retryMs?: number; isStored?: boolean } | undefined;
  /** False swallows the frame that would have gone out. */
  send?: (frame: ServerFrame, session: ModelSession) => boolean;
  /** What a subscription is refused with. */
  subscribe?: (channel: string) => { code: Code; retryMs?: number } | undefined;
  /** Whose token it is; `undefined` refuses it. */
  user?: (token: string | undefined) => { user?: string; expiresInMs?: number } | { code: Code };
}

export class ModelServer {
  readonly log: ModelLog;
  readonly sessions = new Set<ModelSession>();
  faults: ModelFaults = {};
  hello: Partial<HelloOk> = {};
  ridWindowMs = 3_600_000;
  now: () => number = () => 0;
  /** Every frame that came, in order. */
  readonly received: { readonly op: string; readonly [field: string]: unknown }[] = [];

  constructor(log = new ModelLog()) {
    this.log = log;
  }

  accept(wire: Wire): ModelSession {
    const session = new ModelSession(this, wire);
    this.sessions.add(session);
    return session;
  }

  append(channel: string, data: unknown, more: { rid?: string; user?: string; key?: string } = {}): ModelRecord {
    const payload = data instanceof Uint8Array ? data : JSON.stringify(data);
    const { rid = `server-${this.received.length}-${this.log.records(channel).length}`, user, key } = more;
    return this.store({ channel, time: this.now(), rid, user, key, payload });
  }

  store(record: Omit<ModelRecord, 'position' | 'cursor' | 'prev'>): ModelRecord {
    const stored = this.log.append(record);
    this.deliver(record.channel);
    return stored;
  }

  deliver(channel: string): void {
    for (const session of this.sessions) session.deliver(channel);
  }

  /** Frames of one op that came. */
  frames(op: string): { readonly op: string; readonly [field: string]: unknown }[] {
    return this.received.filter((frame) => frame.op === op);
  }
}

export class ModelSession {
  user: string | undefined;
  readonly #server: ModelServer;
  readonly #wire: Wire;
  readonly #places = new Map<string, string>();
  readonly #broken = new Map<string, Code>();
  #isGreeted = false;

  constructor(server: ModelServer, wire: Wire) {
    this.#server = server;
    this.#wire = wire;
  }

  onMessage(message: string | Uint8Array): void {
    const { header, payload } = typeof message === 'string' ? splitText(message) : splitBytes(message);
    const decoded = decodeClientHeader(header);
    if (!decoded.ok) throw new Error(`the client sent a bad frame: ${decoded.message}: ${header}`);
    this.#server.received.push({
      ...(JSON.parse(header) as { op: string }),
      ...(payload === undefined ? {} : { payload }),
    });
    const { frame } = decoded;
    if (!this.#isGreeted && frame.op !== 'hello') {
      if ('id' in frame) this.#error(frame.id, 'unauthenticated', 'hello comes first');
      return;
    }
    switch (frame.op) {
      case 'hello':
        this.#onHello(frame.id, frame.token);
        return;
      case 'subscribe': {
        const channels = frame.channels.map(({ channel, from }) => this.#subscribe(channel, from ?? 'now'));
        this.send({ op: 'ok', id: frame.id, channels });
        for (const { channel } of frame.channels) this.deliver(channel);
        return;
      }
      case 'unsubscribe':
        this.#places.delete(frame.channel);
        this.send({ op: 'ok', id: frame.id });
        return;
      case 'append':
        this.#onAppend(frame, payload ?? '');
        return;
      case 'signal':
        for (const session of this.#server.sessions) {
          if (session !== this) session.signal(frame.channel, this.user, payload ?? '');
        }
        return;
      case 'token': {
        const who = this.#who(frame.token);
        if ('code' in who) this.#error(frame.id, who.code, 'refused');
        else
          this.send({
            op: 'ok',
            id: frame.id,
            ...(who.expiresInMs === undefined ? {} : { expiresInMs: who.expiresInMs }),
          });
        return;
      }
      case 'report':
      case 'pong':
        return;
      default:
        this.#error(frame.id, 'unsupported', frame.op);
    }
  }

  onClose(): void {
    this.#server.sessions.delete(this);
  }

  close(close: number): void {
    this.onClose();
    this.#wire.close(close);
  }

  send(frame: ServerFrame, payload?: Payload): void {
    if (this.#server.faults.send?.(frame, this) === false) return;
    const header = frame.op === 'record' ? encodeRecordHeader(frame) : JSON.stringify(frame);
    if (payload === undefined) this.#wire.send(header);
    else if (typeof payload === 'string') this.#wire.send(`${header}\n${payload}`);
    else this.#wire.send(Uint8Array.from([...Buffer.from(`${header}\n`), ...payload]));
  }

  /** Sends what is behind the subscription's place. */
  deliver(channel: string): void {
    const place = this.#places.get(channel);
    if (place === undefined) return;
    for (const record of this.#server.log.after(channel, place)) {
      this.#places.set(channel, record.cursor);
      this.#sendRecord(record);
    }
    if (this.#server.log.channel(channel).isClosed) {
      this.#places.delete(channel);
      this.send({ op: 'closed', channel });
    }
  }

  /** Sends the newest record that was sent once more. */
  repeat(channel: string): void {
    const place = this.#places.get(channel);
    const record = this.#server.log.records(channel).find((one) => one.cursor === place);
    if (record !== undefined) this.#sendRecord(record);
  }

  signal(channel: string, user: string | undefined, payload: Payload): void {
    if (this.#places.has(channel))
      this.send({ op: 'signal', channel, ...(user === undefined ? {} : { user }) }, payload);
  }

  #sendRecord({ channel, cursor, prev, time, rid, user, key, payload }: ModelRecord): void {
    const named = { ...(user === undefined ? {} : { user }), ...(key === undefined ? {} : { key }) };
    this.send({ op: 'record', channel, cursor, prev, time, rid, ...named }, payload);
  }

  #who(token: string | undefined): { user?: string; expiresInMs?: number } | { code: Code } {
    return this.#server.faults.user?.(token) ?? {};
  }

  #onHello(id: number, token: string | undefined): void {
    const who = this.#who(token);
    if ('code' in who) {
      this.#error(id, who.code, 'refused');
      return;
    }
    this.user = who.user;
    this.#isGreeted = true;
    const { recordBytes, channelsPerFrame, subscriptions, pageRecords, batchItems } = limits;
    const { ridWindowMs } = this.#server;
    this.send({
      op: 'ok',
      id,
      session: 'session',
      server: 'model/1',
      pingMs: 25_000,
      limits: { recordBytes, channelsPerFrame, subscriptions, pageRecords, batchItems, ridWindowMs },
      ...this.#server.hello,
      ...who,
    });
  }

  #subscribe(channel: string, from: string): Subscribed | ItemError {
    try {
      const refusal = this.#server.faults.subscribe?.(channel);
      if (refusal !== undefined) return { channel, message: 'refused by the test', ...refusal };
      const answer = this.#server.log.resolve(channel, from);
      this.#places.set(channel, answer.cursor);
      return answer;
    } catch (error) {
      if (!(error instanceof TidewayError)) throw error;
      return { channel, code: error.code, message: error.message };
    }
  }

  #onAppend(frame: AppendFrame, payload: Payload): void {
    const { id, channel, rid, key } = frame;
    const blocked = this.#broken.get(channel);
    if (frame.restart === true) this.#broken.delete(channel);
    else if (blocked !== undefined) {
      this.#error(id, blocked, 'an earlier append failed', 1);
      return;
    }
    const refusal = this.#server.faults.append?.(frame, payload);
    const first = this.#server.log.find(channel, this.user, rid);
    if (refusal === undefined || refusal.isStored === true) {
      const record = { channel, time: this.#server.now(), rid, user: this.user, key, payload };
      const stored = first ?? this.#server.log.append(record);
      if (refusal === undefined) {
        // Its own record comes after the answer (APP-5).
        this.send({ op: 'ok', id, cursor: stored.cursor, ...(first === undefined ? {} : { duplicate: true }) });
      }
      this.#server.deliver(channel);
      if (refusal === undefined) return;
    }
    const isRetryable = codes[refusal.code].action === 'retry';
    if (isRetryable) this.#broken.set(channel, refusal.code);
    this.#error(id, refusal.code, 'refused by the test', isRetryable ? (refusal.retryMs ?? 100) : undefined);
  }

  #error(id: number, code: Code, message: string, retryMs?: number): void {
    this.send({ op: 'error', id, code, message, ref: 'r1', ...(retryMs === undefined ? {} : { retryMs }) });
  }
}
