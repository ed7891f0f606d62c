/** Who of the others is gone: a member whose count stood still for a lease, by this member's own clock. */
import type { Member } from './group-state.ts';

export class Leases {
  readonly #leaseMs: number;
  readonly #seen = new Map<string, { beat: number; sinceMs: number }>();

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** What a state says now. */
  see(members: readonly Member[], nowMs: number): void {
    const ids = new Set(members.map(({ id }) => id));
    for (const id of this.#seen.keys()) if (!ids.has(id)) this.#seen.delete(id);
    for (const { id, beat } of members) {
      const seen = this.#seen.get(id);
      if (seen?.beat !== beat) this.#seen.set(id, { beat, sinceMs: nowMs });
    }
  }

  /** This member has seen nothing for a while itself: nobody's silence counts until now. */
  restart(nowMs: number): void {
    for (const seen of this.#seen.values()) seen.sinceMs = nowMs;
  }

  gone(nowMs: number): string[] {
    return [...this.#seen].flatMap(([id, { sinceMs }]) => (nowMs - sinceMs > this.#leaseMs ? [id] : []));
  }
}
