/**
 * Write-behind: puts what was folded into the store, in order, one write at a time; each write carries how far it came.
 * Nothing leaves the overlay before its write is confirmed. After a failed write the store is opened anew, what it holds
 * is compared with what was confirmed, and only then it is written again.
 */
import type { Env } from '../env.ts';
import type { Applier } from './applier.ts';
import type { Channel } from './channels.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { APPLIED_KEY, decodeApplied, encodeApplied, type Applied } from './store-keys.ts';
import type { StoreOp } from './store.ts';
import type { WindowParts } from './window-parts.ts';
import { confirmYoung, takeBackYoung, takeYoung, type TakenYoung } from './young-runs.ts';

/** Beyond this the log's tail waits, until half of it is written. */
export const UNWRITTEN_BYTES_MAX = 16 * 1024 * 1024;
export const UNWRITTEN_RECORDS_MAX = 65_536;
/** How often a store that failed is tried again. */
const RETRY_MS = 1_000;

interface Flight {
  readonly applied: Applied;
  readonly channels: readonly TakenYoung[];
  readonly records: number;
  readonly bytes: number;
  /** What is not made again from the channels when the write has to be repeated. */
  readonly kept: readonly StoreOp[];
  readonly confirmed: readonly (() => void)[];
}

export interface WriterOptions {
  readonly env: Env;
  readonly keeper: StoreKeeper;
  readonly applier: Applier;
  readonly parts: WindowParts;
  /** What the store holds now; the constant part of every `Applied`. */
  readonly applied: Applied;
  readonly unwrittenBytesMax?: number | undefined;
  readonly unwrittenRecordsMax?: number | undefined;
  /** The store failed and is read only; called once for each failure. */
  readonly onFailed: (error: unknown) => void;
  /** These channels were written. */
  readonly onWritten: (channels: readonly Channel[]) => void;
  /** It takes writes again, and nothing was lost. */
  readonly onRecovered: () => void;
  /** Opened anew, it lacks what it had confirmed: the view must be made from the log again. */
  readonly onLost: () => void;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #bytesMax: number;
  readonly #recordsMax: number;
  #applied: Applied;
  #flight: Promise<void> | undefined;
  #kept: StoreOp[] = [];
  #waiting: (() => void)[] = [];
  #roomWaiters: (() => void)[] = [];
  #stopped = false;
  #failing = false;
  #failed = Promise.withResolvers<void>();
  #endWait: (() => void) | undefined;
  #firstMs: number | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#applied = options.applied;
    this.#bytesMax = options.unwrittenBytesMax ?? UNWRITTEN_BYTES_MAX;
    this.#recordsMax = options.unwrittenRecordsMax ?? UNWRITTEN_RECORDS_MAX;
  }

  /** What the store is known to hold. */
  get applied(): Applied {
    return this.#applied;
  }

  /** Something was applied: write it, soon. A promise when the tail must wait before it applies more. */
  wrote(): Promise<void> | undefined {
    this.#firstMs ??= this.#options.env.now();
    this.#start();
    return this.#isFull() ? new Promise((resolve) => this.#roomWaiters.push(resolve)) : undefined;
  }

  /** Adds ops to the next write, beside the metas of channels that were marked dirty; resolves when it is confirmed, or will never be. */
  add(ops: readonly StoreOp[]): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#kept.push(...ops);
    const done = new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#start();
    return done;
  }

  /** Resolves when everything applied until now is in the store; false when the store takes no writes now. */
  async flush(): Promise<boolean> {
    while (!this.#stopped && !this.#failing && this.#hasWork()) {
      this.#start();
      await Promise.race([this.#flight, this.#failed.promise]);
    }
    return !this.#hasWork();
  }

  /** Opens the store anew between two writes; what it then holds, or nothing where that would be risky now. */
  async reopened(): Promise<Applied | undefined> {
    if (!(await this.#options.keeper.hasRoom())) return undefined;
    while (this.#flight !== undefined) await this.#flight;
    if (this.#stopped) return undefined;
    let found: Applied | undefined;
    this.#flight = this.#openAnew()
      .then((opened) => {
        if (!opened) return;
        found = readApplied(this.#options.keeper);
        if (found?.serial !== this.#applied.serial) this.#lose();
      })
      .finally(() => {
        this.#flight = undefined;
        this.#start();
      });
    await this.#flight;
    return this.#stopped ? undefined : found;
  }

  /** No write starts any more; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#letIn();
    this.#endWait?.();
    await this.#flight;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #hasWork(): boolean {
    return (
      this.#options.applier.dirty.length > 0 || this.#kept.length > 0 || this.#waiting.length > 0 || this.#isBehind()
    );
  }

  /** Records were folded that left nothing but their trace in the window. */
  #isBehind(): boolean {
    return this.#options.applier.position !== this.#applied.position;
  }

  #isFull(): boolean {
    const { unwrittenBytes, unwrittenRecords } = this.#options.applier;
    return unwrittenBytes > this.#bytesMax || unwrittenRecords > this.#recordsMax;
  }

  #start(): void {
    if (this.#flight !== undefined || this.#stopped || !this.#hasWork()) return;
    // At the end of the tick: what is applied until then goes along.
    this.#flight = new Promise<void>((resolve) => this.#options.env.endOfTick(resolve))
      .then(() => this.#write())
      .finally(() => {
        this.#flight = undefined;
        this.#start();
      });
  }

  async #write(): Promise<void> {
    if (this.#stopped) return;
    const { ops, flight } = this.#collect();
    try {
      await this.#options.keeper.write(ops);
    } catch (error) {
      await this.#recover(flight, error);
      return;
    }
    this.#confirm(flight);
  }

  #collect(): { readonly ops: StoreOp[]; readonly flight: Flight } {
    const { applier, parts, env } = this.#options;
    const nowMs = env.now();
    const kept = this.#kept;
    this.#kept = [];
    if (this.#isBehind()) {
      const journal = applier.fold.table.takeJournal();
      kept.push(...parts.add(applier.position, this.#firstMs ?? nowMs, journal));
      this.#firstMs = undefined;
    }
    const ops: StoreOp[] = [...kept];
    const channels = applier.dirty.splice(0).map((channel) => takeYoung(channel, nowMs, ops));
    const applied: Applied = {
      ...this.#applied,
      position: applier.position,
      tag: applier.tag,
      base: applier.channels.base,
      serial: this.#applied.serial + 1,
      nowMs,
    };
    ops.push({ type: 'put', key: APPLIED_KEY, value: encodeApplied(applied) });
    const confirmed = this.#waiting;
    this.#waiting = [];
    const flight = {
      applied,
      channels,
      records: applier.unwrittenRecords,
      bytes: applier.unwrittenBytes,
      kept,
      confirmed,
    };
    return { ops, flight };
  }

  #confirm(flight: Flight): void {
    const { applier } = this.#options;
    this.#applied = flight.applied;
    applier.unwrittenRecords -= flight.records;
    applier.unwrittenBytes -= flight.bytes;
    for (const taken of flight.channels) confirmYoung(taken);
    for (const resolve of flight.confirmed) resolve();
    this.#letIn();
    this.#options.onWritten(flight.channels.map(({ channel }) => channel));
  }

  /** Everything the flight took is to be written again. */
  #takeBack(flight: Flight): void {
    const { applier } = this.#options;
    for (const taken of flight.channels) {
      takeBackYoung(taken);
      applier.markDirty(taken.channel);
    }
    this.#kept = [...flight.kept, ...this.#kept];
    this.#waiting = [...flight.confirmed, ...this.#waiting];
  }

  async #recover(flight: Flight, error: unknown): Promise<void> {
    const { keeper, onFailed, onRecovered } = this.#options;
    this.#failing = true;
    this.#failed.resolve();
    onFailed(error);
    if (!(await this.#openAnew())) return this.#takeBack(flight);
    this.#failing = false;
    this.#failed = Promise.withResolvers();
    const found = readApplied(keeper);
    if (found?.serial === flight.applied.serial) this.#confirm(flight);
    else {
      this.#takeBack(flight);
      if (found?.serial !== this.#applied.serial) return this.#lose();
    }
    onRecovered();
  }

  /** Tries until the store is open anew; false when the writer was stopped meanwhile. */
  async #openAnew(): Promise<boolean> {
    const { keeper, onFailed } = this.#options;
    for (;;) {
      // The old handle goes on serving reads until opening anew is likely to succeed.
      if (await keeper.hasRoom()) {
        try {
          await keeper.reopen();
          return true;
        } catch (error) {
          onFailed(error);
        }
      }
      if (!this.#stopped) await this.#wait();
      if (this.#stopped) return false;
    }
  }

  #lose(): void {
    this.#stopped = true;
    this.#letIn();
    this.#options.onLost();
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.env.setTimer(RETRY_MS, resolve);
      this.#endWait = () => {
        cancel();
        resolve();
      };
    });
  }

  #letIn(): void {
    const { unwrittenBytes, unwrittenRecords } = this.#options.applier;
    if (!this.#stopped && (unwrittenBytes > this.#bytesMax / 2 || unwrittenRecords > this.#recordsMax / 2)) return;
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

/** What the store holds; `undefined` also where it cannot be read. */
export function readApplied(keeper: StoreKeeper): Applied | undefined {
  try {
    const value = keeper.getSync(APPLIED_KEY);
    return value === undefined ? undefined : decodeApplied(value);
  } catch {
    return undefined;
  }
}
