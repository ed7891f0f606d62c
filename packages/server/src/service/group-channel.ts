/**
 * The group's state as its channel holds it: read, followed, and changed by an append that names what it was made from.
 * The fold lets one of two rivals win, on every log alike.
 */
import { TAG_HIGHEST } from '@tideway/protocol';
import { backoffMs, CALLS } from './backoff.ts';
import { pause, type ServiceEnv } from './env.ts';
import { decodeState, encodeState, type GroupState } from './group-state.ts';
import { hasCode, type NodeCalls } from './node-calls.ts';

/** All states have this key: `expect` looks at no other. */
const KEY = 'state';
const FOLLOW_SECONDS = 25;

export interface GroupChannelOptions {
  readonly env: ServiceEnv;
  readonly calls: NodeCalls;
  readonly channel: string;
  /** What the group reads: a fresh place is asked for by it. */
  readonly globs: readonly string[];
  /** Another state than before is known. */
  readonly onState: () => void;
  readonly onError: (error: unknown) => void;
}

export class GroupChannel {
  readonly #options: GroupChannelOptions;
  #state: GroupState | undefined;
  /** Where the newest known state stands; the floor where there is none. */
  #cursor = '';
  /** From where on nothing but this member's own write may stand. */
  #expect = '';

  constructor(options: GroupChannelOptions) {
    this.#options = options;
  }

  /** The newest known; `undefined` where the channel has none. */
  get state(): GroupState | undefined {
    return this.#state;
  }

  /** There is no state, and there was one: its namespace did not keep it. */
  get isForgotten(): boolean {
    return this.#state === undefined && this.#cursor !== '' && !this.#cursor.endsWith(`.${TAG_HIGHEST}`);
  }

  /** Reads the newest state. */
  async read(signal: AbortSignal): Promise<void> {
    const { calls, channel } = this.#options;
    const { records, next } = await calls.history({ channel, limit: 1 }, signal);
    const record = records.at(-1);
    if (record !== undefined) return this.#take(record.cursor, decodeState(record.data));
    if (next === this.#cursor) return;
    this.#state = undefined;
    this.#cursor = next;
    this.#expect = next;
    this.#options.onState();
  }

  /** Keeps reading what others write, until the signal. */
  async follow(signal: AbortSignal): Promise<void> {
    const { env, calls, channel, onError } = this.#options;
    for (let failures = 0; !signal.aborted;) {
      try {
        const query = { channel, after: this.#cursor, limit: 100, waitSeconds: FOLLOW_SECONDS };
        const { records, gap } = await calls.history(query, signal);
        const newest = records.at(-1);
        if (gap !== undefined) await this.read(signal);
        else if (newest !== undefined) this.#take(newest.cursor, decodeState(newest.data));
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        await pause(env, backoffMs(env, CALLS, ++failures), signal);
      }
    }
  }

  /**
   * Writes the state that follows the newest known one. False where another member was faster: what it wrote is known
   * then. Rejects where the server refuses for good.
   */
  async write(next: GroupState, signal: AbortSignal): Promise<boolean> {
    const { calls, channel, onError } = this.#options;
    const record = { channel, key: KEY, expect: this.#expect, data: encodeState(next) };
    try {
      this.#take(await calls.append(record, signal, onError), next);
      return true;
    } catch (error) {
      if (!hasCode(error, 'conflict')) throw error;
    }
    const known = this.#cursor;
    await this.read(signal);
    if (this.#cursor === known) await this.#renewExpect(known, signal);
    return false;
  }

  /** Nobody was faster: the place lies too far back for the fold. A newer one, behind which there is no other state. */
  async #renewExpect(known: string, signal: AbortSignal): Promise<void> {
    const { calls, channel, globs } = this.#options;
    for (let partition = 0, partitions = 1; partition < partitions; partition++) {
      const answer = await calls.feed({ channels: globs, partition, after: 'now', limit: 0 }, signal);
      partitions = answer.partitions;
      if (!answer.next.startsWith(known.slice(0, known.indexOf('.') + 1))) continue;
      // A place of the partition says nothing about a record of the channel: its tag there is not known (CUR-5). A node
      // that has not come as far waits.
      const place = `${answer.next.slice(0, answer.next.lastIndexOf('.'))}.${TAG_HIGHEST}`;
      const { records } = await calls.history({ channel, before: place, limit: 1 }, signal);
      const newest = records.at(-1);
      if (newest === undefined || newest.cursor === known) this.#expect = place;
      else this.#take(newest.cursor, decodeState(newest.data));
      return;
    }
  }

  #take(cursor: string, state: GroupState): void {
    const isSameLog = cursor.slice(0, cursor.indexOf('.')) === this.#cursor.slice(0, this.#cursor.indexOf('.'));
    if (isSameLog && cursor <= this.#cursor && this.#state !== undefined) return;
    this.#state = state;
    this.#cursor = cursor;
    this.#expect = cursor;
    this.#options.onState();
  }
}
