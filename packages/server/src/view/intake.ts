/**
 * What a view takes from its log, batch by batch: waits where its store has to be read or written first, goes in small
 * steps behind a forerunner, stands still for good in front of a doubt; and knows since when it stands still.
 */
import type { TailRecord } from '../log/log.ts';
import { trouble, type Life, type ViewOptions } from './life.ts';
import { Standstill } from './standstill.ts';
import { StoreAwayError, type StoreKeeper } from './store-keeper.ts';
import { StoreError } from './store.ts';

const RETRY_MS = 1_000;
/** What is taken in one tick behind a forerunner: what it serves comes first. */
const SLICE_RECORDS = 128;

export interface IntakeParts {
  readonly keeper: StoreKeeper;
  /** Applies a batch, or what is left of it; false where the life takes no more. Throws what its store throws. */
  readonly apply: (life: Life, batch: readonly TailRecord[]) => boolean;
  /** A forerunner serves meanwhile. */
  readonly isBehindForerunner: () => boolean;
  /** The life serves. */
  readonly isServing: () => boolean;
  /** True where the error says that the store is damaged; the life has ended then. */
  readonly endIfDamaged: (life: Life, error: unknown) => boolean;
}

export class Intake {
  /** While nothing is taken from the log for the life that serves. */
  readonly standstill: Standstill;
  readonly #options: ViewOptions;
  readonly #parts: IntakeParts;

  constructor(options: ViewOptions, parts: IntakeParts) {
    this.#options = options;
    this.#parts = parts;
    this.standstill = new Standstill(options.env);
  }

  /** A promise when the next batch must wait. */
  onBatch(life: Life, batch: readonly TailRecord[]): Promise<void> | undefined {
    const isLong = batch.length > SLICE_RECORDS && this.#parts.isBehindForerunner();
    const wait = isLong ? this.#takeInSlices(life, batch) : this.#take(life, batch);
    if (wait === undefined) return undefined;
    this.standstill.begin();
    return wait.then(() => {
      if (this.#parts.isServing() && !life.ended) this.standstill.end();
    });
  }

  async #takeInSlices(life: Life, batch: readonly TailRecord[]): Promise<void> {
    for (let from = 0; from < batch.length; from += SLICE_RECORDS) {
      await this.#take(life, batch.slice(from, from + SLICE_RECORDS));
      await new Promise<void>((resolve) => this.#options.env.endOfTick(resolve));
    }
  }

  #take(life: Life, batch: readonly TailRecord[]): Promise<void> | undefined {
    if (life.ended) return undefined;
    const { keeper, apply, endIfDamaged } = this.#parts;
    const again = (): Promise<void> | undefined => this.#take(life, batch);
    try {
      // In front of a doubt it waits, until whoever knows better takes over.
      if (!apply(life, batch)) return new Promise(() => {});
    } catch (error) {
      // It needs a meta that cannot be read now; what of the batch is not applied yet is taken later.
      if (error instanceof StoreAwayError) return keeper.present().then(again);
      if (!(error instanceof StoreError)) throw error;
      if (endIfDamaged(life, error)) return undefined;
      trouble(this.#options, 'store_failed', 'the view cannot read its store, and tries again', error);
      return new Promise<void>((resolve) => this.#options.env.setTimer(RETRY_MS, resolve)).then(again);
    }
    return life.writer.wrote();
  }
}
