/**
 * Write-behind: puts what was folded into the store, in order, one write at a time; each write carries how far it came.
 * Nothing leaves the overlay before its write is confirmed. After a failed write the store is opened anew, what it holds
 * is compared with what was confirmed, and only then it is written again.
 */
import type { Env } from '../env.ts';
import type { Applier } from './applier.ts';
import type { Channel } from './channels.ts';
import type { FeedIndex } from './feed-index.ts';
import { Gathering } from './gathering.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { Reopening } from './reopening.ts';
import { readApplied } from './standing.ts';
import { APPLIED_KEY, encodeApplied, type Applied } from './store-keys.ts';
import { StoreError, type StoreOp } from './store.ts';
import type { WindowParts } from './window-parts.ts';
import { markOf } from './write-marks.ts';
import { confirmYoung, takeBackYoung, takeYoung, type TakenYoung } from './young-runs.ts';

/** Beyond this the log's tail waits, until half of it is written. */
export const UNWRITTEN_BYTES_MAX = 16 * 1024 * 1024;
export const UNWRITTEN_RECORDS_MAX = 65_536;
/** A write waits so long for more, unless so much has come. */
const GATHER_MS = 20;
const GATHER_RECORDS = 256;
/** While the view fills nobody waits for anything: writes are so large that most runs are full, and need no joining. */
const FILL_MS = 200;
/** Of what may be unwritten. */
const FILL_SHARE = 1 / 4;

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
  readonly feedIndex: FeedIndex;
  /** What the store holds now; the constant part of every `Applied`. */
  readonly applied: Applied;
  /** The view has not come yet to where the log ended when it began. */
  readonly isFilling: () => boolean;
  readonly unwrittenBytesMax?: number | undefined;
  readonly unwrittenRecordsMax?: number | undefined;
  /** The store failed and is read only; called once for each failure. */
  readonly onFailed: (error: unknown) => void;
  /** These channels were written. */
  readonly onWritten: (channels: readonly Channel[]) => void;
  /** It takes writes again, and nothing was lost. */
  readonly onRecovered: () => void;
  /** Opened anew, it lacks what it had confirmed, or it is damaged: the view must be made from the log again. */
  readonly onLost: (why: StoreError) => void;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #bytesMax: number;
  readonly #recordsMax: number;
  readonly #gathering: Gathering;
  readonly #reopening: Reopening;
  #applied: Applied;
  #flight: Promise<void> | undefined;
  /** What the write under way carries. */
  #taken: readonly TakenYoung[] = [];
  #kept: StoreOp[] = [];
  #waiting: (() => void)[] = [];
  #roomWaiters: (() => void)[] = [];
  #stopped = false;
  #failing = false;
  #failed = Promise.withResolvers<void>();
  #firstMs: number | undefined;
  #flushes = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#applied = options.applied;
    this.#bytesMax = options.unwrittenBytesMax ?? UNWRITTEN_BYTES_MAX;
    this.#recordsMax = options.unwrittenRecordsMax ?? UNWRITTEN_RECORDS_MAX;
    this.#reopening = new Reopening(options.env, options.keeper, options.onFailed);
    this.#gathering = new Gathering(
      options.env,
      () => (options.isFilling() ? FILL_MS : GATHER_MS),
      () => this.#flushes > 0 || this.#waiting.length > 0 || this.#isEnough(),
    );
  }

  /** What the store is known to hold. */
  get applied(): Applied {
    return this.#applied;
  }

  /** The channels whose overlay holds what is not known to be in the store. */
  unwritten(): ReadonlySet<Channel> {
    return new Set([...this.#taken.map(({ channel }) => channel), ...this.#options.applier.dirty]);
  }

  /** A write failed, and the store is not open anew yet. */
  get isFailing(): boolean {
    return this.#failing;
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
    this.#flushes++;
    while (!this.#stopped && !this.#failing && this.#hasWork()) {
      this.#start();
      await Promise.race([this.#flight, this.#failed.promise]);
    }
    this.#flushes--;
    return !this.#hasWork();
  }

  /** Opens the store anew between two writes; what it then holds, or nothing where that would be risky now. */
  async reopened(): Promise<Applied | undefined> {
    if (!(await this.#options.keeper.hasRoom())) return undefined;
    while (this.#flight !== undefined) await this.#flight;
    if (this.#stopped) return undefined;
    let found: Applied | undefined;
    this.#flight = this.#reopening
      .run()
      .then(async (opened) => {
        if (!opened) return;
        found = await readApplied(this.#options.keeper);
        if (found?.serial !== this.#applied.serial) this.#lose(lacking());
      })
      .catch((error: unknown) => this.#lose(error as StoreError))
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
    this.#gathering.end();
    this.#reopening.stop();
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

  #isEnough(): boolean {
    const { unwrittenBytes, unwrittenRecords } = this.#options.applier;
    if (!this.#options.isFilling()) return unwrittenRecords >= GATHER_RECORDS;
    return unwrittenRecords >= this.#recordsMax * FILL_SHARE || unwrittenBytes >= this.#bytesMax * FILL_SHARE;
  }

  #isFull(): boolean {
    const { unwrittenBytes, unwrittenRecords } = this.#options.applier;
    return unwrittenBytes > this.#bytesMax || unwrittenRecords > this.#recordsMax;
  }

  #start(): void {
    this.#gathering.look();
    if (this.#flight !== undefined || this.#stopped || !this.#hasWork()) return;
    this.#flight = this.#gathering
      .wait()
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
    const channels = takeYoung(applier.dirty.splice(0), nowMs, ops);
    this.#taken = channels;
    const applied: Applied = {
      ...this.#applied,
      position: applier.position,
      tag: applier.tag,
      base: applier.channels.base,
      feedBase: this.#options.feedIndex.base,
      serial: this.#applied.serial + 1,
      nowMs,
    };
    ops.push({ type: 'put', key: APPLIED_KEY, value: encodeApplied(applied) }, markOf(applied.serial));
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
    this.#taken = [];
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
    this.#taken = [];
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
    let found: Applied | undefined;
    try {
      if (!(await this.#reopening.run())) return this.#takeBack(flight);
      found = await readApplied(keeper);
    } catch (damage) {
      this.#takeBack(flight);
      return this.#lose(damage as StoreError);
    }
    this.#failing = false;
    this.#failed = Promise.withResolvers();
    if (found?.serial === flight.applied.serial) this.#confirm(flight);
    else {
      this.#takeBack(flight);
      if (found?.serial !== this.#applied.serial) return this.#lose(lacking());
    }
    onRecovered();
  }

  #lose(why: StoreError): void {
    this.#stopped = true;
    this.#letIn();
    this.#options.onLost(why);
  }

  #letIn(): void {
    const { unwrittenBytes, unwrittenRecords } = this.#options.applier;
    if (!this.#stopped && (unwrittenBytes > this.#bytesMax / 2 || unwrittenRecords > this.#recordsMax / 2)) return;
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

function lacking(): StoreError {
  return new StoreError('failed', "the view's store lacks what it had confirmed");
}
