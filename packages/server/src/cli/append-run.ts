/**
 * Appends one record after the other without waiting for each, prints them in order as they are stored, and sends no
 * more after the first that never will be.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Channel, type Client, type Receipt, TidewayError } from '@tideway/client';
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
  readonly #turnedAway = Promise.withResolvers<never>();
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();
  #isAllSent = false;
  /** Of the first append that failed. */
  #failure: Error | undefined;
  #sent = 0;
  #stored = 0;
  #duplicates = 0;
  #refused = 0;

  constructor(options: AppendRunOptions) {
    this.#options = options;
    const { client } = options;
    this.#turnedAway.promise.catch(() => {});
    client.onState((state) => {
      if (state === 'closed' && client.error !== undefined) this.#turnedAway.reject(client.error);
    });
  }

  /** Rejects with the error of the first append that failed, or of the first that could not be read. */
  async all(appends: AsyncIterable<Append>, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#turn());
    const answered = this.#takeAnswers(signal);
    const sent = this.#sendAll(appends, signal).finally(() => {
      this.#isAllSent = true;
      this.#turn();
    });
    // An append that failed ends it, though a pipe may stay open; what was read before a wrong line is stored.
    sent.catch(() => {});
    await answered;
    if (signal.aborted) return;
    await sent.catch((error: unknown) => {
      throw this.#stored > 0 && error instanceof CliError ? this.#afterSome(error) : error;
    });
  }

  /** Nobody may take it for a call that did nothing. */
  #afterSome({ message, hint }: CliError): CliError {
    const stored = this.#stored === 1 ? 'the record before it is' : `the ${count(this.#stored)} records before it are`;
    return new CliError(exitCodes.failed, `${message}; ${stored} stored`, hint);
  }

  async #sendAll(appends: AsyncIterable<Append>, signal: AbortSignal): Promise<void> {
    const { channel, rate } = this.#options;
    for await (const { data, key, rid } of appends) {
      // By the clock, not by the last one: a hiccup is caught up with.
      if (rate !== undefined) await waitUntil(this.#startMs + (this.#sent * 1_000) / rate, signal);
      while (this.#open.length >= OPEN_MAX && !signal.aborted && this.#failure === undefined) await this.#nextTurn();
      if (signal.aborted || this.#failure !== undefined) return;
      this.#sent++;
      const receipt = channel.append(data, {
        ...(key !== undefined && { key }),
        ...(rid !== undefined && { rid }),
      });
      this.#open.push({ receipt, sinceMs: performance.now() });
      this.#turn();
    }
  }

  /** Takes the answers in the order of the appends; after one that failed, those of what is on its way. */
  async #takeAnswers(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const [first] = this.#open;
      if (first === undefined && this.#failure !== undefined) throw this.#failure;
      if (first !== undefined) {
        await this.#answer(first, signal).catch((error: Error) => this.#failed(error));
        this.#open.shift();
        this.#turn();
      } else if (this.#isAllSent) return;
      else await this.#nextTurn();
    }
  }

  /** Throws where no further answer can be hoped for. */
  #failed(error: Error): void {
    this.#failure ??= error;
    if (!(error instanceof TidewayError) || error === this.#options.client.error) throw this.#failure;
    if (error.code !== 'unconfirmed') this.#refused++;
  }

  #nextTurn(): Promise<void> {
    return this.#changed.promise;
  }

  /** Something was sent or answered: whoever waits looks again. */
  #turn(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** How many there were, where there were many. */
  summary(): string | undefined {
    const { isJson } = this.#options;
    const waiting = this.#sent - this.#stored - this.#refused;
    if (isJson || (this.#sent <= 1 && waiting === 0)) return undefined;
    const seconds = (performance.now() - this.#startMs) / 1_000;
    const rate = count(Math.round(this.#stored / seconds));
    const were = this.#duplicates === 1 ? 'was' : 'were';
    return [
      `${count(this.#stored)} stored in ${seconds.toFixed(1)} s (${rate}/s)`,
      this.#duplicates === 0 ? '' : `, ${count(this.#duplicates)} of them ${were} there already`,
      this.#refused === 0 ? '' : `; ${count(this.#refused)} refused`,
      waiting === 0 ? '' : `; ${count(waiting)} without an answer`,
    ].join('');
  }

  async #answer({ receipt, sinceMs }: Open, signal: AbortSignal): Promise<void> {
    const { io, channel, isJson, timeoutMs } = this.#options;
    const patience = new AbortController();
    const late = delay(timeoutMs, 'late', { signal: AbortSignal.any([signal, patience.signal]) }).catch(
      () => 'aborted',
    );
    const outcome = await Promise.race([receipt, late, this.#turnedAway.promise]).finally(() => patience.abort());
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
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}

async function waitUntil(atMs: number, signal: AbortSignal): Promise<void> {
  const ms = atMs - performance.now();
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => {});
}
