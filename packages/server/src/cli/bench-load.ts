/**
 * The load of `bench`: writers append by the clock, whatever the server does (open loop), subscribers count. Latency
 * counts from the moment a record was due, so that a server that stalls cannot hide it.
 */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Channel, Client } from '@tideway/client';
import { Latencies, SubscriberCount, type Percentiles } from './bench-watch.ts';
import { CliError, exitCodes } from './exit-codes.ts';
import type { ServerAccess } from './server-access.ts';

export interface Load {
  readonly subscribers: number;
  readonly writers: number;
  /** Records a second, all writers together. */
  readonly rate: number;
  readonly bytes: number;
  readonly warmupMs: number;
  readonly forMs: number;
}

export interface LoadResult {
  readonly sent: number;
  readonly stored: number;
  /** Appends that were refused, or had no answer in time. */
  readonly failed: number;
  /** Over all subscribers; `expected` is stored records times subscribers. */
  readonly expected: number;
  readonly delivered: number;
  /** In silence. */
  readonly lost: number;
  /** By subscribers that were told of a gap: they read more slowly than the channel forgets. */
  readonly missed: number;
  readonly twice: number;
  readonly outOfOrder: number;
  readonly deliveryMs: Percentiles | undefined;
  readonly acknowledgementMs: Percentiles | undefined;
  /** Of the event loop of this process. Near 1 the figures are its own. */
  readonly generatorBusy: number;
  /** Where the server lets its vitals be read. */
  readonly server: { readonly cpuPercent: number; readonly rssBytes: number } | undefined;
}

interface Payload {
  readonly n: number;
  readonly dueMs: number;
}

export class LoadRun {
  readonly #access: ServerAccess;
  readonly #channel: string;
  readonly #load: Load;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal;
  readonly #clients: Client[] = [];
  readonly #counts: SubscriberCount[] = [];
  readonly #delivery = new Latencies();
  readonly #acknowledgement = new Latencies();
  readonly #vitals: { cpu: number; samples: number; rssBytes: number } = { cpu: 0, samples: 0, rssBytes: 0 };
  #sent = 0;
  #stored = 0;
  #failed = 0;
  #measureFromMs = Infinity;

  constructor(parts: {
    readonly access: ServerAccess;
    readonly channel: string;
    readonly load: Load;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  }) {
    this.#access = parts.access;
    this.#channel = parts.channel;
    this.#load = parts.load;
    this.#timeoutMs = parts.timeoutMs;
    this.#signal = parts.signal;
  }

  async run(): Promise<LoadResult> {
    try {
      await this.#subscribe();
      this.#watchServer();
      const before = performance.eventLoopUtilization();
      await this.#write();
      const { utilization } = performance.eventLoopUtilization(before);
      await this.#settle();
      return this.#result(utilization);
    } finally {
      for (const client of this.#clients) client.close();
    }
  }

  #client(): Client {
    const client = this.#access.client('websocket');
    this.#clients.push(client);
    return client;
  }

  async #subscribe(): Promise<void> {
    const live = Array.from({ length: this.#load.subscribers }, () => {
      const count = new SubscriberCount();
      this.#counts.push(count);
      return this.#follow(this.#client(), count);
    });
    const late = delay(this.#timeoutMs, 'late' as const, { signal: this.#signal, ref: false });
    const outcome = await Promise.race([Promise.all(live), late]);
    if (outcome === 'late')
      throw new CliError(
        exitCodes.failed,
        `not all of ${live.length} subscribers were live within ${this.#timeoutMs} ms`,
      );
  }

  /** Resolves when it is live. */
  #follow(client: Client, count: SubscriberCount): Promise<void> {
    const live = Promise.withResolvers<void>();
    const items = client.channel(this.#channel).read({ from: 'now', onGap: 'continue', signal: this.#signal }).items();
    void (async () => {
      for await (const item of items) {
        if (item.type === 'live') live.resolve();
        if (item.type === 'gap') count.gaps++;
        if (item.type !== 'record') continue;
        // Somebody else may write to the channel as well.
        const { n, dueMs } = Object(item.record.data) as Partial<Payload>;
        if (n === undefined || dueMs === undefined) continue;
        // Writers are independent of each other: each has an order of its own.
        count.take(n, n % this.#load.writers);
        if (dueMs >= this.#measureFromMs) this.#delivery.record(performance.now() - dueMs);
      }
    })().catch(live.reject);
    return live.promise;
  }

  #watchServer(): void {
    const items = this.#client()
      .channel('$system:vitals')
      .read({ from: 'now', onGap: 'continue', signal: this.#signal });
    void (async () => {
      for await (const { data } of items) {
        if (performance.now() < this.#measureFromMs) continue;
        const { cpu, rssBytes } = Object(data) as { readonly cpu: number; readonly rssBytes: number };
        this.#vitals.cpu += cpu;
        this.#vitals.samples++;
        this.#vitals.rssBytes = Math.max(this.#vitals.rssBytes, rssBytes);
      }
      // Not everybody may read them; the load is measured all the same.
    })().catch(() => {});
  }

  async #write(): Promise<void> {
    const { writers, rate, bytes, warmupMs, forMs } = this.#load;
    const channels = Array.from({ length: writers }, () => this.#client().channel(this.#channel));
    const startMs = performance.now();
    this.#measureFromMs = startMs + warmupMs;
    const total = Math.round(((warmupMs + forMs) * rate) / 1_000);
    // Random text: nothing on the way can make it smaller.
    const pad = randomBytes(bytes)
      .toString('base64')
      .slice(0, Math.max(0, bytes - JSON.stringify({ n: total, dueMs: startMs + 0.1 }).length));
    while (this.#sent < total && !this.#signal.aborted) {
      const due = Math.min(total, 1 + Math.floor(((performance.now() - startMs) * rate) / 1_000));
      for (; this.#sent < due; this.#sent++) {
        const dueMs = startMs + (this.#sent * 1_000) / rate;
        this.#append(channels[this.#sent % writers] as Channel, { n: this.#sent, dueMs, pad });
      }
      await delay(1, undefined, { signal: this.#signal }).catch(() => {});
    }
  }

  #append(channel: Channel, payload: Payload & { readonly pad: string }): void {
    channel.append(payload).then(
      () => {
        this.#stored++;
        if (payload.dueMs >= this.#measureFromMs) this.#acknowledgement.record(performance.now() - payload.dueMs);
      },
      () => {
        this.#failed++;
      },
    );
  }

  /** Waits until everything has arrived, or for as long as there is patience. */
  async #settle(): Promise<void> {
    const untilMs = performance.now() + this.#timeoutMs;
    const isDone = (): boolean =>
      this.#stored + this.#failed === this.#sent && this.#counts.every(({ delivered }) => delivered >= this.#stored);
    while (!isDone() && !this.#signal.aborted && performance.now() < untilMs) await delay(5);
  }

  #result(generatorBusy: number): LoadResult {
    const sum = (of: (count: SubscriberCount) => number): number => this.#counts.reduce((all, one) => all + of(one), 0);
    const absent = ({ delivered }: SubscriberCount): number => Math.max(0, this.#stored - delivered);
    const expected = this.#stored * this.#load.subscribers;
    const { cpu, samples, rssBytes } = this.#vitals;
    return {
      sent: this.#sent,
      stored: this.#stored,
      failed: this.#sent - this.#stored,
      expected,
      delivered: sum(({ delivered }) => delivered),
      lost: sum((count) => (count.gaps === 0 ? absent(count) : 0)),
      missed: sum((count) => (count.gaps === 0 ? 0 : absent(count))),
      twice: sum(({ twice }) => twice),
      outOfOrder: sum(({ outOfOrder }) => outOfOrder),
      deliveryMs: this.#delivery.percentiles,
      acknowledgementMs: this.#acknowledgement.percentiles,
      generatorBusy,
      server: samples === 0 ? undefined : { cpuPercent: cpu / samples, rssBytes },
    };
  }
}
