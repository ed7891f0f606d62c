/** The client's end of a connection in memory: what it was sent, in frames, and what it asks. */
import { decodeClientHeader, type ServerFrame } from '@tideway/protocol';
import { frameLength } from '../../view/frame.ts';
import { websocketCodec } from '../codec-websocket.ts';
import type { Commands } from '../commands.ts';
import type { Connection } from '../connection.ts';
import type { Hub } from '../hub.ts';
import type { Session } from '../session.ts';

const DEADLINE_MS = 60_000;

export interface Received {
  readonly frame: ServerFrame & Readonly<Record<string, unknown>>;
  readonly payload: string | undefined;
}

/** The client's end of a connection. */
export class Talk {
  readonly session: Session;
  readonly received: Received[] = [];
  /** Bytes of each write. */
  readonly writes: number[] = [];
  closedWith: string | undefined;
  /** While true nothing is taken: what is written stays in the backlog. */
  stuck = false;
  readonly #commands: Commands;
  #backlog: Buffer[] = [];
  #waiting: (() => void)[] = [];
  #nextId = 100;

  constructor({ hub, commands }: { readonly hub: Hub; readonly commands: Commands }) {
    this.#commands = commands;
    const connection: Connection = {
      transport: 'websocket',
      codec: websocketCodec,
      backlogBytes: () => this.backlogBytes,
      write: (chunk) => this.#take([chunk]),
      writeAll: (chunks) => this.#take(chunks),
      pause: () => {},
      resume: () => {},
      close: (code) => {
        this.closedWith = code;
        this.#wake();
      },
    };
    this.session = hub.open(connection);
  }

  get backlogBytes(): number {
    return this.#backlog.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  #take(chunks: readonly Buffer[]): void {
    this.writes.push(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    this.#backlog.push(...chunks);
    if (!this.stuck) this.#drain();
  }

  #drain(): void {
    const chunks = this.#backlog;
    this.#backlog = [];
    for (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += frameLength(chunk, at)) {
        const length = frameLength(chunk, at);
        const body = chunk.subarray(at + (length < 128 ? 2 : length < 65_540 ? 4 : 10), at + length).toString('utf8');
        const lineEnd = body.indexOf('\n');
        const header = lineEnd < 0 ? body : body.slice(0, lineEnd);
        this.received.push({
          frame: JSON.parse(header) as Received['frame'],
          payload: lineEnd < 0 ? undefined : body.slice(lineEnd + 1),
        });
      }
    }
    this.#wake();
  }

  /** The peer reads on. */
  release(): void {
    this.stuck = false;
    this.#drain();
    this.session.onDrain();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  send(header: object, payload?: string): void {
    const body = payload === undefined ? undefined : Buffer.from(payload);
    this.#commands.receive(this.session, decodeClientHeader(JSON.stringify(header)), body, false);
  }

  request(header: object, payload?: string): number {
    const id = this.#nextId++;
    this.send({ id, ...header }, payload);
    return id;
  }

  async until<T>(what: string, look: () => T | undefined): Promise<T> {
    const timeout = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve);
        timeout.addEventListener('abort', () => reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`)), {
          once: true,
        });
      });
    }
  }

  async answer(id: number): Promise<Received['frame']> {
    return await this.until(`the answer to ${id}`, () => this.received.find(({ frame }) => frame['id'] === id)?.frame);
  }

  async ask(header: object, payload?: string): Promise<Received['frame']> {
    return await this.answer(this.request(header, payload));
  }

  records(channel: string): Received[] {
    return this.received.filter(({ frame }) => frame.op === 'record' && frame.channel === channel);
  }

  async recordsOf(channel: string, count: number): Promise<Received[]> {
    return await this.until(`${count} records of ${channel}`, () => {
      const records = this.records(channel);
      return records.length >= count ? records : undefined;
    });
  }

  async appendMany(channel: string, count: number, text = 'x'): Promise<string[]> {
    const ids = Array.from({ length: count }, () =>
      this.request({ op: 'append', channel, rid: `${this.session.id}-${this.#nextId}` }, JSON.stringify(text)),
    );
    const answers = await Promise.all(ids.map((id) => this.answer(id)));
    return answers.map((frame) => String(frame['cursor'] ?? frame['code']));
  }
}
