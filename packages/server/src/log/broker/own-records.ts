/**
 * Records of this node on their way to a partition: each is answered once the broker has confirmed it and the node's
 * own follower has handed it to the tails. They are known again by their tickets.
 */
export interface OwnRecord {
  readonly ticket: string;
  /** When it is given up. */
  readonly untilMs: number;
  seen: boolean;
  confirmed: boolean;
}

export class OwnRecords<T extends OwnRecord> {
  /** Nearly always one; a caller may use a ticket twice. */
  readonly #byTicket = new Map<string, T[]>();
  /** Confirmed and not seen, the longest first. */
  readonly #waiting = new Set<T>();
  readonly #onStored: (own: T) => void;

  constructor(onStored: (own: T) => void) {
    this.#onStored = onStored;
  }

  /** On its way from now on. */
  add(own: T): void {
    const twins = this.#byTicket.get(own.ticket);
    if (twins === undefined) this.#byTicket.set(own.ticket, [own]);
    else twins.push(own);
  }

  /** The broker has confirmed it; `isHanded`: there is no tail that would have to be given it first. */
  confirm(own: T, isHanded: boolean): void {
    own.confirmed = true;
    if (own.seen || isHanded) this.#stored(own);
    else this.#waiting.add(own);
  }

  /** These were handed to every tail. */
  handed(tickets: readonly (string | undefined)[]): void {
    if (this.#byTicket.size === 0) return;
    for (const ticket of tickets) {
      const own = ticket === undefined ? undefined : this.#byTicket.get(ticket)?.find(({ seen }) => !seen);
      if (own === undefined) continue;
      own.seen = true;
      if (own.confirmed) this.#stored(own);
    }
  }

  /** Nobody waits for a hand-over any more. */
  handedAll(): void {
    for (const own of [...this.#waiting]) this.#stored(own);
  }

  remove(own: T): void {
    this.#waiting.delete(own);
    const twins = this.#byTicket.get(own.ticket);
    if (twins === undefined) return;
    if (twins.length === 1 && twins[0] === own) this.#byTicket.delete(own.ticket);
    else if (twins.includes(own)) twins.splice(twins.indexOf(own), 1);
  }

  /** Confirmed ones that were not handed over until then. */
  overdue(nowMs: number): readonly T[] {
    return [...this.#waiting].filter(({ untilMs }) => untilMs <= nowMs);
  }

  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  #stored(own: T): void {
    this.remove(own);
    this.#onStored(own);
  }
}
