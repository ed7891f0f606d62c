/**
 * The history of the log that a view shows: its epoch, and, where the log turned out to have another one, why and how much
 * of what was shown is part of it. Whoever reads the log tells it; it is asked when the next life begins and when it serves.
 */
import { POSITION_ZERO, type GapReason } from '@tideway/protocol';
import { TailError, type Position } from '../log/log.ts';
import type { Break } from './forerun.ts';
import type { Life } from './life.ts';
import { Rewind } from './rewind.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { isDamage } from './store.ts';
import type { Trail } from './trail.ts';
import type { ViewLog } from './view-log.ts';

export class LogHistory {
  /** What was applied last, in this run. */
  readonly trail: Trail;
  readonly #rewind: Rewind;
  #epoch: string;
  #gapReason: GapReason = 'trimmed';
  #common: Position | undefined;

  constructor(log: ViewLog, partition: number, options: { readonly epoch: string; readonly keeper: StoreKeeper }) {
    this.#rewind = new Rewind(log, partition, options.keeper);
    this.trail = this.#rewind.trail;
    this.#epoch = options.epoch;
  }

  get epoch(): string {
    return this.#epoch;
  }

  /** Why followers of channels that changed cannot go on: the log keeps less than the view did, or is another one. */
  get gapReason(): GapReason {
    return this.#gapReason;
  }

  /** The newest place that a rewound log has in common with the one that serves: what was told up to there holds. */
  get common(): Position | undefined {
    return this.#common;
  }

  /** What was told of it is what is judged now. */
  get isSame(): boolean {
    return this.#gapReason === 'trimmed' || this.#common !== undefined;
  }

  /** The log does not go on from where the view was. */
  changed({ reason, epoch }: Break): void {
    this.#gapReason = reason ?? this.#gapReason;
    this.#epoch = epoch ?? this.#epoch;
  }

  /** Cuts the store of a life that has ended back; false where it has too little in common with the log, or is damaged. */
  async cutBack(life: Life): Promise<boolean> {
    try {
      this.#common = (await this.#rewind.cutBack(life))?.position;
      return this.#common !== undefined;
    } catch (error) {
      if (isDamage(error)) return false;
      // Whatever else has become of the log meanwhile, this store does not continue it.
      if (!(error instanceof TailError) || error.epoch === undefined) throw error;
      this.changed({ reason: 'epoch', epoch: error.epoch });
      return false;
    }
  }

  /** Nothing of it is kept: the view is made from the log. */
  letGo(): void {
    this.#common = undefined;
    this.trail.cutTo(POSITION_ZERO);
  }

  /** A life serves that shows it: from here on it is the one that goes on. */
  settled(): void {
    this.#gapReason = 'trimmed';
    this.#common = undefined;
  }
}
