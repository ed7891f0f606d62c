/** The reading behind `tail`: follows channels until there is a reason to end, and says how the connection fares. */
import type { ChannelItem, Client } from '@tideway/client';
import { TidewayError } from '@tideway/protocol';
import type { PlaceFile } from './place-file.ts';
import type { ReadingProof } from './reading-proof.ts';
import type { TailLines } from './tail-lines.ts';

export interface TailReadingOptions {
  readonly client: Client;
  readonly channels: readonly string[];
  /** Where a channel begins. */
  readonly fromOf: (channel: string) => string;
  readonly lines: TailLines;
  readonly proof: ReadingProof | undefined;
  readonly places: PlaceFile | undefined;
  /** Ends after so many records. */
  readonly count: number | undefined;
  readonly isEndedByLive: boolean;
  readonly signal: AbortSignal;
}

/** Why a reading ended by itself. */
export type ReadingEnd = 'done' | 'aborted' | 'closed';

export class TailReading {
  readonly #options: TailReadingOptions;
  readonly #stop = new AbortController();
  readonly #live = new Set<string>();
  /** Since when a channel waits for its connection, and the gaps it was told of since. */
  readonly #lost = new Map<string, { readonly sinceMs: number; gaps: number }>();
  #records = 0;
  #isDone = false;
  #refusal: TidewayError | undefined;

  constructor(options: TailReadingOptions) {
    this.#options = options;
    const { signal } = options;
    signal.addEventListener('abort', () => this.#stop.abort());
    if (signal.aborted) this.#stop.abort();
  }

  /** Rejects with the `TidewayError` by which the server ended a subscription or refused the client. */
  async run(): Promise<ReadingEnd> {
    const { client, channels, signal } = this.#options;
    let isConnected = false;
    const watch = client.onState((state) => {
      if (state === 'closed') {
        this.#refusal = client.error ?? new TidewayError('internal', 'the connection was ended for good');
        this.#stop.abort();
      } else if (state === 'offline' && isConnected) {
        isConnected = false;
        void this.#onLost();
      } else if (state !== 'offline' && state !== 'connecting') isConnected = true;
    });
    try {
      await Promise.all(channels.map((channel) => this.#follow(channel)));
    } finally {
      this.#stop.abort();
      watch.stop();
    }
    if (this.#refusal !== undefined) throw this.#refusal;
    return this.#isDone ? 'done' : signal.aborted ? 'aborted' : 'closed';
  }

  async #follow(channel: string): Promise<void> {
    const { client, fromOf } = this.#options;
    const reader = client
      .channel(channel)
      .read({ from: fromOf(channel), onGap: 'continue', signal: this.#stop.signal })
      .items();
    for await (const item of reader) {
      if (this.#stop.signal.aborted) return;
      await this.#take(channel, item);
    }
  }

  async #take(channel: string, item: ChannelItem): Promise<void> {
    const { lines, proof, places, count } = this.#options;
    if (item.type === 'live') return this.#onLive(channel);
    if (item.type === 'gap') {
      const lost = this.#lost.get(channel);
      if (lost !== undefined) lost.gaps++;
      proof?.gap(channel, item.gap);
    } else {
      proof?.record(item.record);
      this.#records++;
      // Whoever is still waiting for the printer must not print one too many.
      if (this.#records === count) this.#end();
    }
    await lines.item(channel, item);
    places?.set(channel, item.type === 'gap' ? item.gap.cursor : item.record.cursor);
  }

  async #onLive(channel: string): Promise<void> {
    const { lines, channels, isEndedByLive } = this.#options;
    const lost = this.#lost.get(channel);
    if (lost !== undefined) {
      this.#lost.delete(channel);
      const ms = Math.round(performance.now() - lost.sinceMs);
      await lines.notice({ type: 'reconnected', channel, gaps: lost.gaps, ms });
    } else if (!this.#live.has(channel)) await lines.notice({ type: 'live', channel });
    this.#live.add(channel);
    if (isEndedByLive && this.#live.size === channels.length) this.#end();
  }

  async #onLost(): Promise<void> {
    const sinceMs = performance.now();
    for (const channel of this.#options.channels)
      if (this.#live.has(channel) && !this.#lost.has(channel)) this.#lost.set(channel, { sinceMs, gaps: 0 });
    await this.#options.lines.notice({ type: 'offline' });
  }

  #end(): void {
    this.#isDone = true;
    this.#stop.abort();
  }
}
