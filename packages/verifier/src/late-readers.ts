/**
 * Readers of a channel whose log was rewound, while they were not told of it: the node that serves them may find out later
 * than another one, which has told its own readers. What they are given until then may be of the history that is gone. It
 * waits until they are told, and counts no more; or until they should have been, and is judged like everything else.
 */
import type { DisconnectEvent, ReaderEvent } from './history.ts';
import { WAIT_TICKS } from './untold.ts';

interface Held {
  readonly event: ReaderEvent | DisconnectEvent;
  readonly tick: number;
}

export class LateReaders {
  readonly #judge: (event: ReaderEvent | DisconnectEvent, tick: number) => void;
  /** Histories that somebody was told of, and the newest one that each reader knows. */
  #histories = 0;
  #newestTick = 0;
  readonly #known = new Map<string, number>();
  readonly #held = new Map<string, Held[]>();

  /** @param judge takes what need not wait, in order for each reader */
  constructor(judge: (event: ReaderEvent | DisconnectEvent, tick: number) => void) {
    this.#judge = judge;
  }

  take(event: ReaderEvent | DisconnectEvent, tick: number): void {
    const { reader } = event;
    const known = this.#known.get(reader) ?? this.#histories;
    const reason = reasonOf(event);
    if (reason === 'diverged' && known === this.#histories) {
      this.#histories++;
      this.#newestTick = tick;
    }
    const isTold = reason === 'diverged' || reason === 'epoch';
    if (isTold) this.#held.delete(reader);
    this.#known.set(reader, isTold ? this.#histories : known);
    if (isTold || known === this.#histories) this.#judge(event, tick);
    else this.#hold(reader, { event, tick });
  }

  /** True while not every reader was told: what a writer hears may be of the history that is gone, too. */
  isTelling(tick: number): boolean {
    if (this.#histories === 0 || tick > this.#newestTick + WAIT_TICKS) return false;
    return [...this.#known.values()].some((known) => known < this.#histories);
  }

  /** Nobody will be told any more. */
  settle(): void {
    for (const reader of [...this.#held.keys()]) this.#release(reader);
  }

  #hold(reader: string, held: Held): void {
    const all = this.#held.get(reader) ?? [];
    this.#held.set(reader, all);
    all.push(held);
    if ((all[0] as Held).tick <= held.tick - WAIT_TICKS) this.#release(reader);
  }

  #release(reader: string): void {
    const all = this.#held.get(reader) ?? [];
    this.#held.delete(reader);
    this.#known.set(reader, this.#histories);
    for (const { event, tick } of all) this.#judge(event, tick);
  }
}

function reasonOf(event: ReaderEvent | DisconnectEvent): string | undefined {
  if (event.kind === 'gap') return event.reason;
  return event.kind === 'subscribed' && event.resumed === false ? event.reason : undefined;
}
