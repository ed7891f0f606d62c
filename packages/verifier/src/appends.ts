/** What writers sent to one channel and what they were told of it, by the record's identity, inside a window. */
import type { AppendEvent, OutcomeEvent } from './history.ts';

export interface Append {
  readonly rid: string;
  readonly writer: string | undefined;
  readonly sequence: number | undefined;
  readonly hash: string | undefined;
  session: string | undefined;
  outcome: OutcomeEvent['outcome'] | undefined;
}

/** A record's identity for deduplication: scope (channel, user) (APP-2). */
export function identity(rid: string, user: string | undefined): string {
  return `${user ?? ''}\n${rid}`;
}

export class Appends {
  readonly #windowRecords: number;
  readonly #byId = new Map<string, Append>();

  constructor(windowRecords: number) {
    this.#windowRecords = windowRecords;
  }

  get(id: string): Append | undefined {
    return this.#byId.get(id);
  }

  /** Takes what a writer sends; a repeat is the same append on another session. */
  take(event: AppendEvent): 'first' | 'repeat' {
    const id = identity(event.rid, event.user);
    const known = this.#byId.get(id);
    if (known !== undefined) {
      known.session = event.session;
      return 'repeat';
    }
    const { rid, writer, sequence, hash, session } = event;
    this.#byId.set(id, { rid, writer, sequence, hash, session, outcome: undefined });
    // Longer than records: an append that waits out a failure must still be known when its record appears.
    if (this.#byId.size > 5 * this.#windowRecords) {
      for (const oldest of this.#byId.keys()) {
        if (this.#byId.size <= 4 * this.#windowRecords) break;
        this.#byId.delete(oldest);
      }
    }
    return 'first';
  }
}
