/**
 * Acknowledgements at places that readers have passed without such a record: it was lost, or it is of a history that
 * took the place of theirs and that no reader was told of yet. They wait for the gap that explains them.
 */
interface Untold {
  readonly tick: number;
  readonly cursor: string;
  readonly id: string;
}

/** How many events of the checker somebody waits to be told that a log was rewound. */
export const WAIT_TICKS = 20_000;

export class UntoldAcknowledgements {
  readonly #note: (cursor: string, id: string) => void;
  #held: Untold[] = [];

  /** @param note takes a record that is known to exist after all */
  constructor(note: (cursor: string, id: string) => void) {
    this.#note = note;
  }

  hold(untold: Untold): void {
    this.#settle(({ tick }) => tick <= untold.tick - WAIT_TICKS);
    this.#held.push(untold);
  }

  /** Readers were told of the history it belongs to, or never will be. */
  settle(): void {
    this.#settle(() => true);
  }

  #settle(isOver: (untold: Untold) => boolean): void {
    const settled = this.#held.filter((untold) => isOver(untold));
    this.#held = this.#held.filter((untold) => !isOver(untold));
    for (const { cursor, id } of settled) this.#note(cursor, id);
  }
}
