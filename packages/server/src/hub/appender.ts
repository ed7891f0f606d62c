/**
 * The way of a record into the log and its answer back (PROTOCOL.md APP-1, APP-2): what gathers in a tick for a partition is
 * one append; a record is answered when the log has confirmed it and this node's fold has judged it. Knows no session.
 */
import { codes, timing, type Code } from '@tideway/protocol';
import { OncePerTick, type Env } from '../env.ts';
import type { AppendOutcome, Log, PhysicalRecord } from '../log/log.ts';
import type { LogView, Verdict } from '../view/view.ts';
import type { Appended, NewRecord, OnAnswered, OnAppended, RecordAppender, RecordId } from './record-appender.ts';
import type { Refusal } from './refusal.ts';

interface Waiting {
  readonly record: PhysicalRecord;
  /** Of the same id; all but the first are repeats of one in flight. */
  readonly callbacks: OnAppended[];
  readonly idKey: string | undefined;
  readonly sinceMs: number;
  verdict: Verdict | undefined;
  stored: boolean;
  /** On its way to the log when that turned out to have lost something. */
  isDoubtful: boolean;
}

export class Appender implements RecordAppender {
  readonly #env: Env;
  readonly #log: Log;
  readonly #view: Pick<LogView, 'findRid' | 'isStalled'>;
  readonly #partitionOf: (channel: string) => number;
  readonly #onAppended: OnAnswered;
  readonly #node: string;
  readonly #waiting = new Map<string, Waiting>();
  readonly #byId = new Map<string, Waiting>();
  #queue: Waiting[] = [];
  readonly #flushing: OncePerTick;
  #serial = 0;
  #sweeping = false;
  #idle: (() => void)[] = [];

  constructor(parts: {
    readonly env: Env;
    readonly log: Log;
    readonly view: Pick<LogView, 'findRid' | 'isStalled'>;
    readonly partitionOf: (channel: string) => number;
    /** Names this life of this node in tickets. */
    readonly node: string;
    readonly onAppended: OnAnswered;
  }) {
    this.#env = parts.env;
    this.#flushing = new OncePerTick(parts.env, () => this.#flush());
    this.#log = parts.log;
    this.#view = parts.view;
    this.#partitionOf = parts.partitionOf;
    this.#node = parts.node;
    this.#onAppended = parts.onAppended;
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  /** True when a record with this id was answered within the window or is in flight: `repeat` then answers. */
  knows(channel: string, user: string | undefined, rid: string): boolean {
    return this.#byId.has(idKeyOf(channel, user, rid)) || this.#view.findRid(channel, user, rid) !== undefined;
  }

  /** Answers a repeat with the first one's answer; a repeat of one in flight waits for it (APP-2). */
  repeat(channel: string, user: string | undefined, rid: string, callback: OnAppended): void {
    const inFlight = this.#byId.get(idKeyOf(channel, user, rid));
    if (inFlight !== undefined) {
      inFlight.callbacks.push((result) => callback(result.state === 'ok' ? { ...result, duplicate: true } : result));
      return;
    }
    const known = this.#view.findRid(channel, user, rid);
    if (known !== undefined) callback(answer(known, true));
  }

  submit({ channel, user, rid }: RecordId, admit: () => NewRecord | Refusal, callback: OnAppended): void {
    if (rid !== undefined && this.knows(channel, user, rid)) return this.repeat(channel, user, rid, callback);
    const admitted = admit();
    if ('code' in admitted) callback({ state: 'error', ...admitted });
    else this.append(admitted, callback);
  }

  append(record: NewRecord, callback: OnAppended): void {
    const idKey = record.rid === undefined ? undefined : idKeyOf(record.channel, record.user, record.rid);
    const ticket = `${this.#node}.${(this.#serial++).toString(36)}`;
    const waiting: Waiting = {
      record: { ...record, ticket },
      callbacks: [callback],
      idKey,
      sinceMs: this.#env.monotonicMs(),
      verdict: undefined,
      stored: false,
      isDoubtful: false,
    };
    this.#waiting.set(ticket, waiting);
    if (idKey !== undefined) this.#byId.set(idKey, waiting);
    this.#queue.push(waiting);
    this.#flushing.schedule();
    this.#sweep();
  }

  /** What the view's fold decided about a record with a ticket. */
  onVerdict(ticket: string, verdict: Verdict): void {
    const waiting = this.#waiting.get(ticket);
    if (waiting === undefined || waiting.verdict !== undefined) return;
    waiting.verdict = verdict;
    // Where it is stored by now, its writer hears so before it gets the record itself (APP-5).
    if (waiting.stored || this.#log.seenIsStored === true) this.#finish(waiting, answer(verdict, false));
  }

  /**
   * The log lost what it had, or is another one: what is stored and was not judged is in doubt. Answered later, its
   * repeat would come behind what its writer has appended meanwhile.
   */
  onBroken(concerns: (channel: string) => boolean): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.verdict !== undefined || !concerns(waiting.record.channel)) continue;
      waiting.isDoubtful = true;
      if (waiting.stored) this.#fail(waiting, 'unconfirmed', BROKEN);
    }
  }

  async drained(): Promise<void> {
    if (this.#waiting.size === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #flush(): void {
    const batch = this.#queue;
    if (batch.length === 0) return;
    this.#queue = [];
    // Stored now, it could not be answered: better not stored at all.
    if (this.#view.isStalled) return batch.forEach((waiting) => this.#fail(waiting, 'overloaded', STALLED));
    // A call for each partition: one that hangs must not hold up the answers of the others.
    const calls = Map.groupBy(batch, ({ record }) => this.#partitionOf(record.channel));
    for (const call of calls.values()) {
      for (const waiting of call) waiting.isDoubtful = false;
      void this.#log.append(call.map(({ record }) => record)).then((outcomes) => this.#onOutcomes(call, outcomes));
    }
  }

  #onOutcomes(batch: readonly Waiting[], outcomes: readonly AppendOutcome[]): void {
    for (let i = 0; i < batch.length; i++) {
      const waiting = batch[i] as Waiting;
      const outcome = outcomes[i] as AppendOutcome;
      switch (outcome.state) {
        case 'stored':
          waiting.stored = true;
          if (waiting.verdict !== undefined) this.#finish(waiting, answer(waiting.verdict, false));
          else if (waiting.isDoubtful) this.#fail(waiting, 'unconfirmed', BROKEN);
          break;
        case 'refused':
          if (codes[outcome.code].action === 'retry') this.#fail(waiting, outcome.code, outcome.message);
          else this.#finish(waiting, { state: 'error', code: outcome.code, message: outcome.message });
          break;
        case 'unknown':
          // The record may still come back on the tail; then it is stored after all.
          if (waiting.verdict !== undefined) this.#finish(waiting, answer(waiting.verdict, false));
          else this.#failWithThoseBefore(waiting, outcome.message);
          break;
        default:
          outcome satisfies never;
      }
    }
  }

  /** What was stored before it in its channel and did not come back either is in doubt too: its repeat must not come later. */
  #failWithThoseBefore(waiting: Waiting, message: string): void {
    for (const other of this.#waiting.values()) {
      if (other === waiting) break;
      const isUnjudged = other.stored && other.verdict === undefined;
      if (isUnjudged && other.record.channel === waiting.record.channel) this.#fail(other, 'unconfirmed', message);
    }
    this.#fail(waiting, 'unconfirmed', message);
  }

  /**
   * An append that failed for now fails what was gathered behind it for its channel too: a later record must not be stored before
   * an earlier one of the same session is sent again (APP-3).
   */
  #fail(waiting: Waiting, code: Code, message: string): void {
    const result: Appended = { state: 'error', code, message, retryMs: timing.retryMs };
    const behind = this.#queue.filter((other) => other.record.channel === waiting.record.channel);
    if (behind.length > 0) this.#queue = this.#queue.filter((other) => other.record.channel !== waiting.record.channel);
    this.#finish(waiting, result);
    for (const other of behind) this.#finish(other, result);
  }

  #finish(waiting: Waiting, result: Appended): void {
    // Answered already: it had waited too long, or one behind it was in doubt.
    if (!this.#waiting.delete(waiting.record.ticket as string)) return;
    if (waiting.idKey !== undefined) this.#byId.delete(waiting.idKey);
    this.#onAppended(waiting.record, result, this.#env.monotonicMs() - waiting.sinceMs);
    for (const callback of waiting.callbacks) callback(result);
    if (this.#waiting.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Answers `unconfirmed` to what has waited too long; one timer for all. */
  #sweep(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.#env.setTimer(1_000, () => {
      this.#sweeping = false;
      const oldest = this.#env.monotonicMs() - timing.appendMs;
      for (const waiting of this.#waiting.values()) {
        if (waiting.sinceMs > oldest) break;
        this.#fail(waiting, 'unconfirmed', 'the log has not confirmed it in time; repeat it with the same rid');
      }
      if (this.#waiting.size > 0) this.#sweep();
    });
  }
}

const BROKEN = 'the log may have lost it; repeat it with the same rid';
const STALLED = 'this node cannot apply records now: its view cannot be written, or is being made anew';

/** The scope of an id (APP-2): channel and user; all anonymous ones are one user. */
function idKeyOf(channel: string, user: string | undefined, rid: string): string {
  return `${channel}\n${user === undefined ? '' : `=${user}`}\n${rid}`;
}

/** The answer a verdict stands for. */
function answer(verdict: Verdict, repeated: boolean): Appended {
  switch (verdict.state) {
    case 'visible':
    case 'control':
      return { state: 'ok', cursor: verdict.cursor, duplicate: repeated };
    case 'duplicate':
      return answer(verdict.first, true);
    case 'conflict':
      return { state: 'error', code: 'conflict', message: 'the key was changed since the place named by "expect"' };
    case 'closed':
      return { state: 'error', code: 'channel_closed', message: 'the channel is closed' };
    case 'unreadable':
      return { state: 'error', code: 'internal', message: 'the log returned the record unreadable' };
    default:
      return verdict satisfies never;
  }
}
