/**
 * A channel as a remote view follows it: its state, moved on by what comes over the link, and who waits for it to come
 * as far as was told.
 */
import type { Position } from '../../log/log.ts';
import type { ChannelState, VisibleRecord } from '../view.ts';
import type { LinkState } from './link-frames.ts';

export class RemoteChannel {
  readonly name: string;
  /** When somebody last asked for it, on the monotonic clock. */
  usedMs = 0;
  /** False until the other end has answered, and while it is asked again: what comes meanwhile is not for it. */
  isFollowed = false;
  /** Another one wherever what comes may not continue what came. */
  life: object = {};
  #state: Omit<LinkState, 'place'> | undefined;
  /** Everything up to here has come. */
  #place = '';
  #waiting: { readonly isThere: () => boolean; readonly end: () => void }[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** True when everything that was told of has come: its state is the channel's. */
  get isCurrent(): boolean {
    return this.isFollowed && !this.#isOutstanding;
  }

  get #isOutstanding(): boolean {
    const told = this.#state;
    if (told === undefined || !this.#place.startsWith(`${told.epoch}.`)) return true;
    return told.head !== undefined && this.#place < told.head;
  }

  /** Everything up to here was handed to the followers. */
  get place(): string {
    return this.#place;
  }

  get applied(): Position | undefined {
    return this.#state?.applied;
  }

  get state(): ChannelState | undefined {
    const told = this.#state;
    if (told === undefined) return undefined;
    const { epoch, floor, floorIsFinal, closed } = told;
    return { epoch, place: this.#place, head: told.head, floor, floorIsFinal, closed };
  }

  /** Followed from a place on. */
  begin({ place, ...told }: LinkState): void {
    this.isFollowed = true;
    this.life = {};
    this.#place = place;
    this.#state = told;
    this.#settle();
  }

  /**
   * What the other end says of it now; records up to `head` may still be on their way. True where its floor has become
   * final by it.
   */
  told({ place: _, ...state }: LinkState): boolean {
    const isFilled = this.#state?.floorIsFinal === false && state.floorIsFinal;
    this.#state = state;
    // That it is closed is known when the last record has come.
    if (state.closed && this.#isOutstanding) this.#state = { ...state, closed: false };
    this.#settle();
    return isFilled;
  }

  /** True where it was closed, and is another one now: the log was rewound, and what closed it may be gone. */
  isOtherThanClosed({ epoch, head, closed }: LinkState): boolean {
    const known = this.#state;
    return known?.closed === true && !(closed && known.epoch === epoch && known.head === head);
  }

  /** How far the channel is known to have been applied, once everything up to `head` has come. */
  reached(applied: Position, head: string | undefined): void {
    const state = this.#state;
    if (state === undefined) return;
    this.#state = {
      ...state,
      applied: applied > state.applied ? applied : state.applied,
      ...(head !== undefined && (state.head === undefined || head > state.head) && { head }),
    };
    this.#settle();
  }

  /** What does not continue what came: goes on behind `cursor`. */
  moved(cursor: string): void {
    this.life = {};
    this.#place = cursor;
    this.#settle();
  }

  came(records: readonly VisibleRecord[]): void {
    const last = records.at(-1) as VisibleRecord;
    this.#place = last.cursor;
    this.reached(last.position, last.cursor);
  }

  closed(): void {
    if (this.#state !== undefined) this.#state = { ...this.#state, closed: true };
  }

  /** Calls back when it holds: at once, or when something has come. The returned function gives up. */
  when(isThere: () => boolean, end: () => void): () => void {
    if (isThere()) {
      end();
      return () => {};
    }
    const one = { isThere, end };
    this.#waiting.push(one);
    return () => void (this.#waiting = this.#waiting.filter((other) => other !== one));
  }

  #settle(): void {
    const floor = this.#state?.floor;
    // Where there is no record behind it the newest place is the floor.
    if (floor !== undefined && !this.#isOutstanding && floor > this.#place) this.#place = floor;
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    const ended: (typeof waiting)[number][] = [];
    this.#waiting = [];
    for (const one of waiting) (one.isThere() ? ended : this.#waiting).push(one);
    for (const one of ended) one.end();
  }
}
