/** A client that follows several channels over one raw event stream, and comes back with its places as Last-Event-ID. */
import type { GapReason } from '@tideway/protocol';
import { hashData } from '../checker.ts';
import { openEventStreamOver, type HttpVersion, type StreamBlock } from '../raw/event-stream.ts';
import { within } from '../raw/deadline.ts';
import type { FaultProxy } from '../raw/fault-proxy.ts';
import type { Random } from './random.ts';
import { rest, type Stage, type TortureClient } from './stage.ts';

/** Streams get a comment every 15 s at least; one on which nothing came for longer is given up. */
const SILENCE_MS = 18_000;
const CONNECT_MS = 5_000;

interface Told {
  readonly channel: string;
  readonly cursor: string;
  readonly prev: string;
  readonly rid?: string;
  readonly head: string;
  readonly resumed?: boolean;
  readonly reason?: GapReason;
  readonly code?: string;
  readonly data: unknown;
}

export class StreamReader implements TortureClient {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly reads: readonly string[];
  readonly pending = 0;
  readonly #version: HttpVersion;
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #places = new Map<string, string>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(
    stage: Stage,
    options: { name: string; proxy: FaultProxy; random: Random; reads: readonly string[]; version?: HttpVersion },
  ) {
    this.#stage = stage;
    this.name = options.name;
    this.proxy = options.proxy;
    this.reads = options.reads;
    this.#version = options.version ?? '1.1';
    this.#random = options.random;
    this.#running = this.#follow();
  }

  place(channel: string): string | undefined {
    return this.#places.get(channel);
  }

  quiet(): void {}

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #follow(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#connect();
      } catch {
        // The server is down, or the stream was cut.
      }
      this.#stage.checker.accept({ kind: 'disconnect', reader: this.name });
      await rest(this.#random.between(20, 300), this.#stop.signal);
    }
  }

  async #connect(): Promise<void> {
    const url = new URL('/v1/events', this.proxy.url);
    for (const channel of this.reads) url.searchParams.append('channel', channel);
    url.searchParams.set('from', 'oldest');
    const from = new Map(this.#places);
    const asked = this.#stage.checker.tick;
    const ids = this.reads.map((channel) => from.get(channel) ?? '').join(',');
    const headers: Record<string, string> = from.size > 0 ? { 'Last-Event-ID': ids } : {};
    const stream = await within(openEventStreamOver(this.#version, url, headers), CONNECT_MS, 'the stream');
    const stop = (): void => stream.stop();
    this.#stop.signal.addEventListener('abort', stop);
    try {
      for (;;) {
        const block = await stream.blocks.next(() => true, SILENCE_MS, 'an event');
        if (!this.#hear(block, from, asked)) return;
      }
    } finally {
      this.#stop.signal.removeEventListener('abort', stop);
      stream.stop();
    }
  }

  /** False when the stream is over. */
  #hear(block: StreamBlock, from: ReadonlyMap<string, string>, asked: number): boolean {
    const { checker, fail } = this.#stage;
    const reader = this.name;
    if (block.data === undefined) return true;
    switch (block.event) {
      case 'ready':
        for (const { channel, cursor, head, resumed, reason, code } of (JSON.parse(block.data) as { channels: Told[] })
          .channels) {
          if (code !== undefined) {
            fail(`${reader}: ${channel} was refused: ${code}`);
            continue;
          }
          checker.accept({
            kind: 'subscribed',
            reader,
            channel,
            cursor,
            head,
            resumed,
            reason,
            asked,
            from: from.get(channel),
          });
          this.#places.set(channel, cursor);
        }
        return true;
      case undefined: {
        const { channel, cursor, prev, rid, data } = JSON.parse(block.data) as Told;
        checker.accept({ kind: 'record', reader, channel, cursor, prev, rid, hash: hashData(JSON.stringify(data)) });
        this.#places.set(channel, cursor);
        return true;
      }
      case 'gap': {
        const { channel, cursor, reason = 'trimmed' } = JSON.parse(block.data) as Told;
        checker.accept({ kind: 'gap', reader, channel, cursor, reason });
        this.#places.set(channel, cursor);
        return true;
      }
      case 'mark': {
        const { channel, cursor, prev } = JSON.parse(block.data) as Told;
        checker.accept({ kind: 'mark', reader, channel, cursor, prev });
        this.#places.set(channel, cursor);
        return true;
      }
      case 'error':
        return false;
      default:
        return true;
    }
  }
}
