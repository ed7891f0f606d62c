/** A consumer: a member of a group, the readers of its slots, and the handling of what they read. */
import { TidewayError, type RecordLine } from '@tideway/protocol';
import { DeadLetters } from './dead-letters.ts';
import { backoffMs, CALLS } from './backoff.ts';
import { pause, randomId, type ServiceEnv } from './env.ts';
import { FeedReaders } from './feed-readers.ts';
import { GroupChannel } from './group-channel.ts';
import { firstState, OLDEST, type GroupState } from './group-state.ts';
import { Handling } from './handling.ts';
import { Membership, type Work } from './membership.ts';
import { hasCode, isRetryable, NodeCalls } from './node-calls.ts';
import type { ServiceRecord, Settings } from './options.ts';
import { Progress } from './progress.ts';

export interface Consumer {
  /** Resolves when it is a member of its group; rejects, with what to configure, where the server refuses. It has ended then. */
  readonly ready: Promise<void>;
  /** Names this member in its group. */
  readonly id: string;
  /** The slots that are its own now: each channel belongs to one of 64. */
  readonly slots: readonly number[];
  /** Positions of the log in front of it, of all channels, and records it holds that are not done. */
  readonly lag: number;
  /** Begins nothing more, finishes what is in hand, writes down how far it came, and hands its slots over. */
  close(): Promise<void>;
}

export class Consumption implements Consumer, Work {
  readonly ready: Promise<void>;
  readonly id: string;
  readonly #settings: Settings;
  readonly #calls: NodeCalls;
  readonly #channel: GroupChannel;
  readonly #membership: Membership;
  readonly #progress = new Progress();
  readonly #readers: FeedReaders;
  readonly #handling: Handling;
  readonly #start = new AbortController();
  #partitions = 1;
  #giving: ReadonlySet<number> = new Set();
  #hasBegun = false;
  #closing: Promise<void> | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    const { env, url, key, group, channels, onError } = settings;
    this.id = randomId(env);
    this.#calls = new NodeCalls({ env, url, key });
    this.#channel = new GroupChannel({
      env,
      calls: this.#calls,
      channel: settings.state,
      globs: channels,
      onState: () => this.#membership.onState(),
      onError,
    });
    this.#membership = new Membership({
      env,
      id: this.id,
      channel: this.#channel,
      globs: channels,
      leaseMs: settings.leaseMs,
      work: this,
      first: () => this.#firstState(),
      onWritten: () => this.#handling.look(),
      onError,
    });
    const deadLetters = new DeadLetters({ env, calls: this.#calls, group, channel: settings.deadLetter, onError });
    this.#handling = new Handling({
      env,
      settings,
      mayBegin: () => this.#membership.isSure,
      bury: async (task, error, signal) => {
        await deadLetters.put(task.record, error, settings.retry.attempts, signal);
        settings.onDead(task.record, error);
      },
      onEnded: (slot) => {
        if (this.#giving.has(slot)) this.#membership.hurry();
      },
    });
    this.#readers = new FeedReaders({
      env,
      calls: this.#calls,
      globs: channels,
      room: (signal) => this.#handling.room(signal),
      onRecord: (line, from) => {
        const taken = this.#progress.take(from.slot, from.partition, line.cursor);
        this.#handling.add({
          record: recordOf(line),
          slot: from.slot,
          partition: from.partition,
          bytes: from.bytes,
          onDone: () => {
            this.#progress.done(taken);
            this.#membership.progressed();
          },
        });
      },
      onReached: (slots, partition, place) => {
        for (const slot of slots) this.#progress.reached(slot, partition, place);
        this.#membership.progressed();
      },
      onRestart: (slots, partition, place) => {
        const restarted = new Set(slots);
        this.#handling.closeWhere(({ slot, partition: of }) => restarted.has(slot) && of === partition);
        for (const slot of restarted) this.#progress.restart(slot, partition, place);
      },
      onGap: (gap) => settings.onGap(gap),
      onError,
    });
    this.ready = this.#begin();
    // Whoever does not wait for it is told by `onError`.
    this.ready.catch((error: unknown) => {
      if (this.#closing === undefined) onError(error);
    });
  }

  get slots(): readonly number[] {
    return this.#membership.slots;
  }

  get lag(): number {
    return this.#readers.lag + this.#handling.waiting;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#end());
  }

  // What the membership asks of it

  places(slot: number): readonly string[] {
    return this.#progress.places(slot);
  }

  isIdle(slot: number): boolean {
    return this.#handling.isIdle(slot);
  }

  giveUp(slots: ReadonlySet<number>): void {
    this.#giving = slots;
    this.#handling.giveUp(slots);
  }

  opened(slots: ReadonlyMap<number, readonly string[]>): void {
    for (const [slot, places] of slots) {
      // A log that was made anew may have another number of partitions.
      const all = Array.from({ length: this.#partitions }, (_, partition) => places[partition] ?? OLDEST);
      this.#progress.open(slot, all);
      this.#readers.open(slot, all);
    }
  }

  closed(slots: readonly number[]): void {
    for (const slot of slots) {
      this.#readers.close(slot);
      this.#handling.close(slot);
      this.#progress.close(slot);
    }
  }

  // Beginning and end

  async #begin(): Promise<void> {
    const { channels, state, deadLetter, env, leaseMs } = this.#settings;
    const { signal } = this.#start;
    const ask = <T>(channel: string, needs: readonly string[], call: () => Promise<T>): Promise<T> =>
      asked(env, signal, this.#settings.onError, call).catch((error: unknown) => {
        throw explained(error, channel, needs);
      });
    try {
      for (const glob of channels) {
        const query = { channels: [glob], partition: 0, after: 'now', limit: 0 };
        const { partitions } = await ask(glob, ['subscribe', 'history'], () => this.#calls.feed(query, signal));
        this.#partitions = partitions;
      }
      await ask(deadLetter, ['append'], () => this.#calls.checkAppend(deadLetter, signal));
      await ask(state, ['append', 'subscribe', 'history'], async () => {
        await this.#calls.checkAppend(state, signal);
        await this.#channel.read(signal);
      });
      await this.#checkChannels(leaseMs);
      await ask(state, ['append', 'subscribe', 'history'], () => this.#membership.join());
      this.#hasBegun = true;
    } catch (error) {
      this.#membership.abandon();
      throw signal.aborted ? new TidewayError('going_away', 'the consumer was closed') : error;
    }
  }

  /** Members that want other channels would pass each other's records by. */
  async #checkChannels(leaseMs: number): Promise<void> {
    const { channels, group, env } = this.#settings;
    const differs = (): boolean => {
      const { state } = this.#channel;
      return state !== undefined && state.members.length > 0 && state.channels.join(' ') !== channels.join(' ');
    };
    if (!differs()) return;
    const before = JSON.stringify(this.#channel.state?.members);
    await pause(env, leaseMs, this.#start.signal);
    await this.#channel.read(this.#start.signal);
    // Nobody has said anything for a lease: they are gone, and what they wanted is what this member wants now.
    if (!differs() || before === JSON.stringify(this.#channel.state?.members)) return;
    const theirs = this.#channel.state?.channels.join(', ');
    throw new TidewayError(
      'invalid',
      `the members of group ${group} read ${theirs}, this one would read ${channels.join(', ')}: stop them first, or take another group`,
    );
  }

  async #firstState(): Promise<GroupState> {
    const { channels, from, state, group, onError } = this.#settings;
    const { signal } = this.#start;
    const places = Array.from({ length: this.#partitions }, () => OLDEST);
    if (this.#channel.isForgotten) {
      const kept = 'give its namespace a longer retention.ageMs than it may be stopped for';
      onError(
        new Error(
          `what group ${group} had written into ${state} is no longer kept: it begins with the oldest records; ${kept}`,
        ),
      );
    }
    // A state that went with its log, or is not kept: nothing says what of the records that are there was handled.
    if (from === 'now' && !this.#hasBegun && !this.#channel.isForgotten) {
      for (let partition = 0; partition < this.#partitions; partition++) {
        const { next } = await this.#calls.feed({ channels, partition, after: 'now', limit: 0 }, signal);
        places[partition] = next;
      }
    }
    return firstState(channels, places);
  }

  async #end(): Promise<void> {
    this.#start.abort();
    await this.ready.catch(() => {});
    await this.#membership.leave();
    this.#readers.stop();
  }
}

/** The record of a line of the feed. */
function recordOf({ encoding, data, prev: _, ...line }: RecordLine): ServiceRecord {
  return {
    id: line.cursor,
    ...line,
    data: encoding === 'base64' ? new Uint8Array(Buffer.from(String(data), 'base64')) : data,
  };
}

/** Asks until the server answers for good, or the signal ends it. */
async function asked<T>(
  env: ServiceEnv,
  signal: AbortSignal,
  onError: (error: unknown) => void,
  call: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await call();
    } catch (error) {
      if (!isRetryable(error) || signal.aborted) throw error;
      onError(error);
      await pause(env, backoffMs(env, CALLS, failures), signal);
    }
  }
}

/** What the server's configuration lacks, beside what it said. */
function explained(error: unknown, channel: string, needs: readonly string[]): unknown {
  if (!hasCode(error, 'channel_unknown', 'forbidden', 'unauthenticated')) return error;
  const rules = needs.map((permission) => `${permission}: 'key'`).join(', ');
  const message = `${error.message}. The server's configuration needs namespaces: { ${channel.slice(0, channel.indexOf(':'))}: { ${rules} } }, and a key whose allow, if it has one, covers ${channel}`;
  return new TidewayError(error.code, message, {
    cause: error,
    ...(error.ref === undefined ? {} : { ref: error.ref }),
  });
}
