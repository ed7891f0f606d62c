/** Clients that use plain HTTP: one that posts records, one that posts batches, one that reads pages and waits for more. */
import { randomUUID } from 'node:crypto';
import type { GapReason } from '@tideway/protocol';
import { hashData } from '../checker.ts';
import type { FaultProxy } from '../raw/fault-proxy.ts';
import type { Random } from './random.ts';
import { makePayload, rest, type SlowReader, type Stage, type TortureClient } from './stage.ts';

/** A request that takes longer is given up and made again. */
const REQUEST_MS = 12_000;

interface ClientOptions {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly random: Random;
  readonly channel: string;
}

interface Answer {
  readonly status: number;
  readonly json: unknown;
}

/** What clients of HTTP have in common: one loop, and requests that may fail at any byte. */
abstract class HttpClient implements TortureClient {
  readonly name: string;
  readonly proxy: FaultProxy;
  pending = 0;
  abstract readonly reads: readonly string[];
  protected readonly stage: Stage;
  protected readonly random: Random;
  protected readonly channel: string;
  protected readonly stopping = new AbortController();
  protected isQuiet = false;
  readonly #running: Promise<void>;

  constructor(stage: Stage, options: ClientOptions) {
    this.stage = stage;
    this.name = options.name;
    this.proxy = options.proxy;
    this.random = options.random;
    this.channel = options.channel;
    // The loop begins once the object is whole.
    this.#running = Promise.resolve().then(() => this.loop());
  }

  protected abstract loop(): Promise<void>;

  place(_channel: string): string | undefined {
    return undefined;
  }

  quiet(): void {
    this.isQuiet = true;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.#running;
  }

  /** The answer; `undefined` where none came, or none that says anything final. */
  protected async request(
    method: string,
    path: string,
    query: Readonly<Record<string, string>>,
    body?: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer | undefined> {
    const url = new URL(path, this.proxy.url);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    try {
      const response = await fetch(url, {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.any([this.stopping.signal, AbortSignal.timeout(REQUEST_MS)]),
      });
      const json = (await response.json()) as unknown;
      return response.status >= 500 || response.status === 429 ? undefined : { status: response.status, json };
    } catch {
      return undefined;
    }
  }

  protected again(): Promise<void> {
    return rest(this.random.between(20, 300), this.stopping.signal);
  }
}

export class PostWriter extends HttpClient {
  readonly reads: readonly string[] = [];

  protected async loop(): Promise<void> {
    const { checker, fail } = this.stage;
    const { channel } = this;
    for (let sequence = 1; !this.stopping.signal.aborted; sequence++) {
      if (this.isQuiet) return;
      const rid = randomUUID();
      const { text } = makePayload(this.random, this.name, sequence);
      checker.accept({ kind: 'append', channel, rid, writer: this.name, sequence, hash: hashData(text) });
      this.pending = 1;
      while (!this.stopping.signal.aborted) {
        const answer = await this.request('POST', '/v1/records', { channel }, text, { 'Idempotency-Key': rid });
        if (answer === undefined) {
          await this.again();
          continue;
        }
        const { cursor, duplicate = false } = answer.json as { cursor: string; duplicate?: boolean };
        if (answer.status === 201 || answer.status === 200) {
          if (duplicate !== (answer.status === 200))
            fail(`${this.name}: ${answer.status} with duplicate ${String(duplicate)}`);
          checker.accept({ kind: 'outcome', channel, rid, outcome: { state: 'stored', cursor, duplicate } });
        } else fail(`${this.name}: a post was answered ${answer.status} ${JSON.stringify(answer.json)}`);
        break;
      }
      this.pending = 0;
      await rest(1_000 / this.stage.appendsPerSecond, this.stopping.signal);
    }
  }
}

interface BatchItem {
  readonly rid: string;
  readonly text: string;
}

export class BatchWriter extends HttpClient {
  readonly reads: readonly string[] = [];
  #sequence = 0;

  protected async loop(): Promise<void> {
    while (!this.stopping.signal.aborted && !this.isQuiet) {
      let left = Array.from({ length: this.random.between(1, 40) }, () => this.#make());
      this.pending = left.length;
      while (left.length > 0 && !this.stopping.signal.aborted) {
        left = await this.#send(left);
        this.pending = left.length;
        if (left.length > 0) await this.again();
      }
      await rest(20_000 / this.stage.appendsPerSecond, this.stopping.signal);
    }
  }

  #make(): BatchItem {
    const rid = randomUUID();
    const sequence = ++this.#sequence;
    const { text } = makePayload(this.random, this.name, sequence);
    this.stage.checker.accept({
      kind: 'append',
      channel: this.channel,
      rid,
      writer: this.name,
      sequence,
      hash: hashData(text),
    });
    return { rid, text };
  }

  /** Sends the items; gives those that have no outcome yet, in order. */
  async #send(items: readonly BatchItem[]): Promise<BatchItem[]> {
    const { checker, fail } = this.stage;
    const { channel } = this;
    const body = `[${items.map(({ rid, text }) => `{"channel":${JSON.stringify(channel)},"rid":"${rid}","data":${text}}`).join(',')}]`;
    const answer = await this.request('POST', '/v1/batch', {}, body, { 'Content-Type': 'application/json' });
    if (answer === undefined) return [...items];
    const { results } = answer.json as {
      results?: { cursor?: string; duplicate?: boolean; code?: string; retryMs?: number }[];
    };
    if (answer.status !== 200 || results?.length !== items.length) {
      fail(`${this.name}: a batch was answered ${answer.status} ${JSON.stringify(answer.json).slice(0, 300)}`);
      return [];
    }
    return items.filter(({ rid }, i) => {
      const { cursor, duplicate = false, code, retryMs } = results[i] ?? {};
      if (cursor !== undefined)
        checker.accept({ kind: 'outcome', channel, rid, outcome: { state: 'stored', cursor, duplicate } });
      else if (retryMs === undefined) fail(`${this.name}: an item was refused: ${String(code)}`);
      return retryMs !== undefined;
    });
  }
}

interface Page {
  readonly records: readonly {
    readonly cursor: string;
    readonly prev: string;
    readonly rid?: string;
    readonly data: unknown;
  }[];
  readonly next: string;
  readonly end: boolean;
  readonly gap?: { readonly reason: GapReason; readonly cursor: string };
}

export class PageReader extends HttpClient implements SlowReader {
  restMs = 0;
  #place: string | undefined;

  get reads(): readonly string[] {
    return [this.channel];
  }

  override place(channel: string): string | undefined {
    return channel === this.channel ? this.#place : undefined;
  }

  protected async loop(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      const after = this.#place ?? 'oldest';
      const limit = String(this.random.between(1, 400));
      const answer = await this.request('GET', '/v1/records', { channel: this.channel, after, limit, wait: '2' });
      if (answer === undefined) {
        await this.again();
        continue;
      }
      if (answer.status === 200) this.#read(answer.json as Page);
      else this.stage.fail(`${this.name}: a page was answered ${answer.status} ${JSON.stringify(answer.json)}`);
      if (this.restMs > 0) await rest(this.restMs, this.stopping.signal);
    }
  }

  #read({ records, next, gap }: Page): void {
    const { checker } = this.stage;
    const { channel, name: reader } = this;
    if (gap !== undefined) {
      checker.accept({ kind: 'gap', reader, channel, ...gap });
      this.#place = gap.cursor;
    }
    for (const { cursor, prev, rid, data } of records) {
      checker.accept({ kind: 'record', reader, channel, cursor, prev, rid, hash: hashData(JSON.stringify(data)) });
      this.#place = cursor;
    }
    if (this.#place !== undefined && next > this.#place)
      checker.accept({ kind: 'mark', reader, channel, prev: this.#place, cursor: next });
    if (this.#place !== undefined && next < this.#place)
      this.stage.fail(`${reader}: next went back from ${this.#place} to ${next}`);
    this.#place = next;
  }
}
