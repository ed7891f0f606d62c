/**
 * A client on the SDK, over WebSocket or over SSE with POST: tells the checker what its application is given. The SDK
 * holds the places and keeps the rules; what it hides (a hole, a duplicate) must not be seen here.
 */
import { connect, type Client } from '@tideway/client';
import { TidewayError } from '@tideway/protocol';
import { hashData } from '../checker.ts';
import type { FaultProxy } from '../raw/fault-proxy.ts';
import type { Random } from './random.ts';
import { makePayload, rest, type SlowReader, type Stage, type TortureClient } from './stage.ts';

const PACE_MS = 20;
const PENDING_MAX = 300;

export class SdkClient implements TortureClient, SlowReader {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly reads: readonly string[];
  restMs = 0;
  pending = 0;
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #client: Client;
  readonly #places = new Map<string, string>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #isQuiet = false;

  constructor(
    stage: Stage,
    options: {
      name: string;
      proxy: FaultProxy;
      random: Random;
      transport: 'websocket' | 'sse';
      reads: readonly string[];
      writes: readonly string[];
    },
  ) {
    this.#stage = stage;
    this.name = options.name;
    this.proxy = options.proxy;
    this.reads = options.reads;
    this.#random = options.random;
    this.#client = connect({
      url: options.proxy.url,
      transport: options.transport,
      onError: (error) => stage.fail(`${this.name}: ${String(error)}`),
    });
    const running = options.reads.map((channel) => this.#read(channel));
    if (options.writes.length > 0) running.push(this.#write(options.writes as [string, ...string[]]));
    this.#running = Promise.all(running).then(() => {});
  }

  place(channel: string): string | undefined {
    return this.#places.get(channel);
  }

  quiet(): void {
    this.#isQuiet = true;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#client.close();
    await this.#running;
  }

  async #read(channel: string): Promise<void> {
    const { checker } = this.#stage;
    const reader = this.#client.channel(channel).read({ from: 'oldest', onGap: 'continue', signal: this.#stop.signal });
    for await (const item of reader.items()) {
      switch (item.type) {
        case 'record': {
          const { cursor, prev, rid, data } = item.record;
          const hash = hashData(JSON.stringify(data));
          checker.accept({ kind: 'record', reader: this.name, channel, cursor, prev, rid, hash });
          this.#places.set(channel, cursor);
          break;
        }
        case 'gap': {
          const { cursor, reason } = item.gap;
          if (reason === 'hole') this.#stage.fail(`${this.name} was given a hole before ${cursor}`);
          else checker.accept({ kind: 'gap', reader: this.name, channel, cursor, reason });
          this.#places.set(channel, cursor);
          break;
        }
        case 'invalid':
          this.#stage.fail(`${this.name} was given an invalid record at ${item.record.cursor}`);
          break;
        case 'live':
          break;
        default:
          item satisfies never;
      }
      if (this.restMs > 0) await rest(this.restMs, this.#stop.signal);
    }
  }

  async #write(channels: readonly [string, ...string[]]): Promise<void> {
    const sequences = new Map<string, number>();
    let owed = 0;
    while (!this.#stop.signal.aborted) {
      await rest(PACE_MS, this.#stop.signal);
      if (this.#isQuiet || this.#stop.signal.aborted) continue;
      owed = Math.min(PENDING_MAX, owed + (this.#stage.appendsPerSecond * PACE_MS) / 1_000);
      for (; owed >= 1 && this.pending < PENDING_MAX; owed--) {
        const channel = this.#random.pick(channels);
        const sequence = (sequences.get(channel) ?? 0) + 1;
        sequences.set(channel, sequence);
        this.#append(channel, sequence);
      }
    }
  }

  #append(channel: string, sequence: number): void {
    const { checker, fail } = this.#stage;
    const payload = makePayload(this.#random, this.name, sequence);
    const rid = `${this.name}-${channel}-${sequence}`;
    checker.accept({ kind: 'append', channel, rid, writer: this.name, sequence, hash: hashData(payload.text) });
    this.pending++;
    this.#client
      .channel(channel)
      .append(payload.value, { rid })
      .then(
        ({ cursor, duplicate }) =>
          checker.accept({ kind: 'outcome', channel, rid, outcome: { state: 'stored', cursor, duplicate } }),
        (error: unknown) => {
          if (this.#stop.signal.aborted) return;
          if (!(error instanceof TidewayError)) fail(`${this.name}: an append failed: ${String(error)}`);
          else if (error.code === 'unconfirmed')
            checker.accept({ kind: 'outcome', channel, rid, outcome: { state: 'unconfirmed' } });
          else checker.accept({ kind: 'outcome', channel, rid, outcome: { state: 'refused', code: error.code } });
        },
      )
      .finally(() => this.pending--);
  }
}
