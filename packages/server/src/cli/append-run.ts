/**
 * Appends one record after the other without waiting for each, prints them in order as they are stored, and ends at the
 * first that never will be.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Channel, Client, Receipt } from '@tideway/client';
import type { Append } from './append-source.ts';
import { CliError, exitCodes } from './exit-codes.ts';
import { type Io, print, printJson } from './io.ts';

/** Appends without answer at one time: enough for full speed, few enough to remember. */
const OPEN_MAX = 1_000;

export interface AppendRunOptions {
  readonly io: Io;
  readonly channel: Channel;
  readonly client: Client;
  /** Appends a second at most. */
  readonly rate: number | undefined;
  /** How long no answer may come. */
  readonly timeoutMs: number;
  readonly isJson: boolean;
}

interface Open {
  readonly receipt: Receipt;
  readonly sinceMs: number;
}

export class AppendRun {
  readonly #options: AppendRunOptions;
  readonly #open: Open[] = [];
  readonly #startMs = performance.now();
  /** Rejects when the server will not have this client any more. */
  readonly #refused = Promise.withResolvers<never>();
  #sent = 0;
  #stored = 0;
  #duplicates = 0;

  constructor(options: AppendRunOptions) {
    this.#options = options;
    const { client } = options;
    this.#refused.promise.catch(() => {});
    client.onState((state) => {
      if (state === 'closed' && client.error !== undefined) this.#refused.reject(client.error);
    });
  }

  /** Rejects with the error of the first append that failed. */
  async all(appends: AsyncIterable<Append>, signal: AbortSignal): Promise<void> {
    const { channel, rate } = this.#options;
    for await (const { data, key, rid } of appends) {
      if (signal.aborted) return;
      // By the clock, not by the last one: a hiccup is caught up with.
      if (rate !== undefined) await this.#waitUntil(this.#startMs + (this.#sent * 1_000) / rate, signal);
      if (signal.aborted) return;
      this.#sent++;
      const receipt = channel.append(data, {
        ...(key !== undefined && { key }),
        ...(rid !== undefined && { rid }),
      });
      this.#open.push({ receipt, sinceMs: performance.now() });
      await this.#settled(false, signal);
    }
    await this.#settled(true, signal);
  }

  /** How many there were, where there were many. */
  summary(): string | undefined {
    const { isJson } = this.#options;
    const waiting = this.#sent - this.#stored;
    if (isJson || (this.#sent <= 1 && waiting === 0)) return undefined;
    const seconds = (performance.now() - this.#startMs) / 1_000;
    const rate = Math.round(this.#stored / seconds).toLocaleString('en-US');
    const repeated = this.#duplicates === 0 ? '' : `, ${this.#duplicates} of them were there already`;
    const open = waiting === 0 ? '' : `; ${waiting} without an answer`;
    return `${this.#stored.toLocaleString('en-US')} stored in ${seconds.toFixed(1)} s (${rate}/s)${repeated}${open}`;
  }

  /** Takes answers, oldest first: all that are there, at least down to the limit, or every one. */
  async #settled(isEvery: boolean, signal: AbortSignal): Promise<void> {
    for (let first = this.#open[0]; first !== undefined; first = this.#open[0]) {
      const isDone = first.receipt.state === 'stored' || first.receipt.state === 'failed';
      if (!isDone && !isEvery && this.#open.length < OPEN_MAX) return;
      await this.#answer(first, signal);
      if (signal.aborted) return;
      this.#open.shift();
    }
  }

  async #answer({ receipt, sinceMs }: Open, signal: AbortSignal): Promise<void> {
    const { io, channel, isJson, timeoutMs } = this.#options;
    const patience = new AbortController();
    const late = delay(timeoutMs, 'late', { signal: AbortSignal.any([signal, patience.signal]) }).catch(
      () => 'aborted',
    );
    const outcome = await Promise.race([receipt, late, this.#refused.promise]).finally(() => patience.abort());
    if (typeof outcome === 'string') {
      if (outcome === 'aborted') return;
      throw new CliError(
        exitCodes.unreachable,
        `no answer for ${timeoutMs} ms; whether the record ${receipt.rid} is stored is not known`,
        'the same with --id, which stores it once at most',
      );
    }
    const { cursor, duplicate } = outcome;
    this.#stored++;
    if (duplicate) this.#duplicates++;
    const ms = Math.round((performance.now() - sinceMs) * 10) / 10;
    if (isJson) await printJson(io, { channel: channel.name, rid: receipt.rid, cursor, duplicate, ms });
    else await print(io, `${cursor}${duplicate ? '  duplicate' : ''}`);
  }

  async #waitUntil(atMs: number, signal: AbortSignal): Promise<void> {
    const ms = atMs - performance.now();
    if (ms > 0) await delay(ms, undefined, { signal }).catch(() => {});
  }
}
