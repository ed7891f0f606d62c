/** A conversation over one WebSocket in frames (PROTOCOL.md §3): says what it is told to say, keeps all it hears. */
import assert from 'node:assert/strict';
import type { Code } from '@tideway/protocol';
import { Arrivals, within } from '../raw/deadline.ts';
import type { RawClose, RawMessage, RawWebSocket } from '../raw/raw-websocket.ts';

export type Fields = Readonly<Record<string, unknown>>;

type Answered = ReturnType<typeof Promise.withResolvers<Heard>>;

interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: unknown;
}

/** A frame as it came. */
export interface Heard {
  readonly op: string;
  readonly header: Fields;
  readonly headerText: string;
  /** The payload's bytes; `undefined` where the message had no line feed. */
  readonly payload: Buffer | undefined;
  readonly binary: boolean;
}

function hear(message: RawMessage): Heard {
  const at = message.bytes.indexOf(0x0a);
  const headerText = (at < 0 ? message.bytes : message.bytes.subarray(0, at)).toString('utf8');
  const header = JSON.parse(headerText) as Fields;
  const payload = at < 0 ? undefined : message.bytes.subarray(at + 1);
  return { op: String(header['op']), header, headerText, payload, binary: message.binary };
}

export class Talk {
  readonly raw: RawWebSocket;
  readonly heard = new Arrivals<Heard>();
  readonly closed: Promise<RawClose>;
  /** Answers each `ping` frame, as PNG-1 asks. */
  answersPings = true;
  readonly #deadlineMs: number;
  readonly #answers = new Map<number, Answered>();
  #id = 0;

  constructor(raw: RawWebSocket, deadlineMs: number) {
    this.raw = raw;
    this.#deadlineMs = deadlineMs;
    raw.onMessage = (message) => {
      const frame = hear(message);
      if (frame.op === 'ping' && this.answersPings) this.say({ op: 'pong' });
      this.heard.push(frame);
      const { id } = frame.header;
      if (typeof id === 'number' && (frame.op === 'ok' || frame.op === 'error')) this.#answered(id).resolve(frame);
    };
    this.closed = new Promise((resolve) => {
      raw.onClose = (close) => {
        resolve(close);
        const why = new Error(`the connection was closed: ${close.code} ${close.reason}`);
        this.heard.end(why);
        for (const { reject } of this.#answers.values()) reject(why);
      };
    });
  }

  /** Sends a frame: a text payload in a text message, bytes in a binary one. */
  say(header: Fields | string, payload?: string | Uint8Array): void {
    const line = typeof header === 'string' ? header : JSON.stringify(header);
    if (payload === undefined) this.raw.sendText(line);
    else if (typeof payload === 'string') this.raw.sendText(`${line}\n${payload}`);
    else this.raw.sendBinary(Buffer.concat([Buffer.from(`${line}\n`), payload]));
  }

  /** Sends a frame with a fresh `id` and gives that id. */
  request(header: Fields, payload?: string | Uint8Array): number {
    const id = ++this.#id;
    const { op, ...rest } = header;
    this.say({ op, id, ...rest }, payload);
    return id;
  }

  /** Sends a frame with a fresh `id` and waits for its answer, `ok` or `error`. */
  ask(header: Fields, payload?: string | Uint8Array): Promise<Heard> {
    return this.answer(this.request(header, payload));
  }

  /** The answer to a request, in whichever order answers come. */
  answer(id: number): Promise<Heard> {
    return within(this.#answered(id).promise, this.#deadlineMs, `an answer to ${id}`);
  }

  /** The answers to requests, in the order of the requests. */
  answers(ids: readonly number[]): Promise<Heard[]> {
    return Promise.all(ids.map((id) => this.answer(id)));
  }

  async ok(header: Fields, payload?: string | Uint8Array): Promise<Fields> {
    const answer = await this.ask(header, payload);
    assert.equal(answer.op, 'ok', `${JSON.stringify(header)} was answered ${answer.headerText}`);
    return answer.header;
  }

  /** Sends a frame that must be refused with this code; gives the error. */
  async refused(code: Code | readonly Code[], header: Fields, payload?: string | Uint8Array): Promise<Fields> {
    const answer = await this.ask(header, payload);
    assertError(answer, code);
    return answer.header;
  }

  next(fits: (frame: Heard) => boolean, what: string, deadlineMs = this.#deadlineMs): Promise<Heard> {
    return this.heard.next(fits, deadlineMs, what);
  }

  nextOf(op: string, channel?: string): Promise<Heard> {
    const what = channel === undefined ? op : `${op} of ${channel}`;
    return this.next(
      (frame) => frame.op === op && (channel === undefined || frame.header['channel'] === channel),
      what,
    );
  }

  async records(channel: string, count: number): Promise<Heard[]> {
    const records: Heard[] = [];
    while (records.length < count) records.push(await this.nextOf('record', channel));
    return records;
  }

  /** What was sent to this session so far has arrived: a request that is always answered `ok` went there and back. */
  async fence(): Promise<void> {
    await this.ok({ op: 'unsubscribe', channel: 'wire:never-subscribed' });
  }

  subscribe(channel: string, from?: string): Promise<Fields> {
    return this.ok({ op: 'subscribe', channel, ...(from === undefined ? {} : { from }) });
  }

  append(channel: string, data: string | Uint8Array = '{}', more: Fields = {}): Promise<Fields> {
    return this.ok({ op: 'append', channel, rid: crypto.randomUUID(), ...more }, data);
  }

  waitClosed(deadlineMs = this.#deadlineMs): Promise<RawClose> {
    return within(this.closed, deadlineMs, 'the connection to be closed');
  }

  #answered(id: number): Answered {
    let answered = this.#answers.get(id);
    if (answered === undefined) {
      answered = Promise.withResolvers<Heard>();
      answered.promise.catch(() => {});
      this.#answers.set(id, answered);
    }
    return answered;
  }
}

/** An `error` as WS-3, WS-4 and COD-2 describe it, with one of these codes. */
export function assertError(answer: Heard, code: Code | readonly Code[]): void {
  assert.equal(answer.op, 'error', `expected an error ${String(code)}, got ${answer.headerText}`);
  assertErrorFields(answer.header, code);
}

const RETRYABLE: readonly string[] = [
  'rate_limited',
  'not_durable',
  'unconfirmed',
  'behind',
  'overloaded',
  'slow_pong',
  'hello_timeout',
  'going_away',
  'internal',
];

export function assertErrorFields(error: Fields, code: Code | readonly Code[]): void {
  const text = JSON.stringify(error);
  assert.ok([code].flat().includes(error['code'] as Code), `expected ${String(code)}, got ${text}`);
  assert.ok(typeof error['message'] === 'string' && error['message'] !== '', `no message in ${text}`);
  assert.ok(typeof error['ref'] === 'string' && error['ref'] !== '', `no ref in ${text}`);
  const retryable = RETRYABLE.includes(error['code'] as string);
  assert.equal(
    typeof error['retryMs'],
    retryable ? 'number' : 'undefined',
    `retryMs must stand in retryable errors only (COD-2): ${text}`,
  );
}

/** An HTTP answer with one of these codes (HTTP-2). */
export function assertHttpError(answer: HttpAnswer, status: number, code: Code | readonly Code[]): void {
  assert.equal(answer.status, status, answer.text);
  assertErrorFields((answer.json as { error: Fields }).error, code);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
}
