/**
 * The appends that have no answer yet: kept in order, sent in order, sent again with the same rid on every new link and
 * after every retryable error, until each has exactly one outcome (APP-1 to APP-4: go-back-N per channel).
 */
import { type Code, type HelloOk, TidewayError } from '@tideway/protocol';
import type { Answer } from './answer.ts';
import type { Connection } from './connection.ts';
import { ageMs, type Env, type Stamp, stampNow } from './env.ts';
import { errorOf, isLargerThan } from './link.ts';
import type { OutboxEntry } from './outbox-store.ts';
import { AppendReceipt } from './receipt.ts';
import { backoffMs } from './reconnect-delay.ts';

/** Appends on their way at once: enough to fill a slow line, few enough that a server reads on (LIM-1). */
const SENT_RECORDS_MAX = 256;
const SENT_BYTES_MAX = 1024 * 1024;
/** More than this waiting, and `append` fails at once. */
const HELD_RECORDS_MAX = 10_000;
const HELD_BYTES_MAX = 64 * 1024 * 1024;

/** An entry on its way to an outcome. */
interface Held {
  entry: OutboxEntry;
  /** Another, that nobody holds, once its owner has gone. */
  receipt: AppendReceipt;
  /** Counts up through all entries: which is older. */
  readonly order: number;
  /** `keeping`: the store writes it; `kept`: it has it; `ready`: it also knows that it is about to be sent. */
  keep: 'keeping' | 'kept' | 'ready';
  /** Since when the server may have it. */
  sentSince: Stamp | undefined;
  /** Which sending the answer is awaited of; 0 while it is not on its way. */
  sending: number;
}

/** The entries of one channel, oldest first; the first `sent` of them are on their way. */
interface Lane {
  readonly held: Held[];
  sent: number;
  /** Why the server refuses all until one says that it begins again (APP-3). */
  broken?: Code | undefined;
  failures: number;
  /** Only while it is broken. */
  cancelRetry?: (() => void) | undefined;
}

export interface OutboxOwner {
  onFailed(error: TidewayError, entry: OutboxEntry): void;
  onChange(): void;
}

/** Makes entries durable before they are sent; where there is none they are ready at once. */
export interface OutboxKeeper {
  keep(entries: readonly OutboxEntry[], onKept: () => void): void;
  drop(rid: string): void;
}

export class Outbox {
  readonly #env: Env;
  readonly #connection: Connection;
  readonly #owner: OutboxOwner;
  readonly #keeper: OutboxKeeper | undefined;
  readonly #lanes = new Map<string, Lane>();
  #count = 0;
  #bytes = 0;
  #sentRecords = 0;
  #sentBytes = 0;
  #orders = 0;
  #firstOrders = Number.MIN_SAFE_INTEGER;
  #sendings = 0;
  #hello: HelloOk | undefined;
  /** Closed while the entries of an earlier life are read: they go first. */
  #isHeldBack: boolean;

  constructor(env: Env, connection: Connection, owner: OutboxOwner, keeper: OutboxKeeper | undefined) {
    this.#env = env;
    this.#connection = connection;
    this.#owner = owner;
    this.#keeper = keeper;
    this.#isHeldBack = keeper !== undefined;
  }

  /** How many appends have no outcome yet. */
  get count(): number {
    return this.#count;
  }

  add(entry: OutboxEntry, owner: AbortSignal): AppendReceipt {
    const receipt = new AppendReceipt(entry.rid, owner);
    if (this.#count >= HELD_RECORDS_MAX || this.#bytes + entry.payload.length > HELD_BYTES_MAX) {
      const message = `${this.#count} appends wait; at most ${HELD_RECORDS_MAX} records or ${HELD_BYTES_MAX} bytes may`;
      const error = new TidewayError('limit_exceeded', message);
      receipt.fail(error);
      this.#owner.onFailed(error, entry);
      return receipt;
    }
    const hello = this.#hello;
    const owned = hello === undefined ? entry : { ...entry, user: hello.user ?? null };
    this.#hold(owned, receipt, undefined, false);
    return receipt;
  }

  /** Takes over what an earlier life or another owner left. */
  adopt(entries: readonly OutboxEntry[]): void {
    for (const entry of entries) {
      if (this.#lanes.get(entry.channel)?.held.some((held) => held.entry.rid === entry.rid) === true) continue;
      const sentSince =
        entry.sentMs === undefined ? undefined : { wallMs: entry.sentMs, monotonicMs: this.#env.monotonicMs() };
      this.#hold(entry, new AppendReceipt(entry.rid), sentSince, true);
    }
  }

  /** What an earlier life left is here. */
  release(): void {
    this.#isHeldBack = false;
    this.#pump();
  }

  onSession(hello: HelloOk): void {
    this.#hello = hello;
    this.#pump();
  }

  onLost(): void {
    for (const lane of this.#lanes.values()) {
      lane.cancelRetry?.();
      lane.cancelRetry = undefined;
      lane.broken = undefined;
      this.#goBack(lane);
    }
  }

  /** What waits because of the log need not wait any longer, and its next pause is a first one (CLI-4). */
  onLogUp(): void {
    for (const lane of this.#lanes.values()) {
      lane.failures = 0;
      if (lane.broken === 'not_durable' || lane.broken === 'unconfirmed') this.#pause(lane, 0);
    }
  }

  /** What was sent first can never be right (1002, 1007, 1009): it must not be sent again (COD-3). */
  failOldest(error: TidewayError): void {
    let oldest: Held | undefined;
    for (const lane of this.#lanes.values()) {
      const held = lane.held[0];
      if (held?.sentSince !== undefined && (oldest === undefined || held.order < oldest.order)) oldest = held;
    }
    if (oldest) this.#fail(oldest, error);
  }

  /** Nobody waits here any more for what this owner appended; who shares the connection goes on sending it. */
  abandon(owner: AbortSignal): void {
    for (const lane of this.#lanes.values()) {
      for (const held of lane.held) {
        if (held.receipt.owner !== owner) continue;
        held.receipt.fail(new TidewayError('unconfirmed', 'the client was closed before the server answered'));
        held.receipt = new AppendReceipt(held.entry.rid);
      }
    }
  }

  #hold(entry: OutboxEntry, receipt: AppendReceipt, sentSince: Stamp | undefined, isKept: boolean): void {
    // Until they are read, what is appended stands behind the entries of an earlier life.
    const isFirst = isKept && this.#isHeldBack;
    const order = isFirst ? this.#firstOrders++ : this.#orders++;
    const held: Held = { entry, receipt, order, keep: 'ready', sentSince, sending: 0 };
    let lane = this.#lanes.get(entry.channel);
    if (!lane) {
      lane = { held: [], sent: 0, failures: 0 };
      this.#lanes.set(entry.channel, lane);
    }
    const index = isFirst ? lane.held.findIndex((other) => other.order >= 0) : -1;
    lane.held.splice(index < 0 ? lane.held.length : index, 0, held);
    this.#count++;
    this.#bytes += entry.payload.length;
    if (this.#keeper !== undefined && sentSince === undefined) {
      if (isKept) held.keep = 'kept';
      else this.#keep(lane, [held], this.#connection.phase === 'live');
    }
    this.#owner.onChange();
    this.#pumpLane(lane);
  }

  /** Writes entries to the store, with the moment of their sending where that has come. */
  #keep(lane: Lane, entries: readonly Held[], isSending: boolean): void {
    for (const held of entries) {
      held.keep = 'keeping';
      if (!isSending) continue;
      held.sentSince = stampNow(this.#env);
      held.entry = { ...held.entry, sentMs: held.sentSince.wallMs };
    }
    const bare = entries.map((held) => held.entry);
    this.#keeper?.keep(bare, () => {
      for (const held of entries) held.keep = isSending ? 'ready' : 'kept';
      this.#pumpLane(lane);
    });
  }

  #pump(): void {
    for (const lane of this.#lanes.values()) this.#pumpLane(lane);
  }

  #pumpLane(lane: Lane): void {
    const hello = this.#hello;
    if (hello === undefined || this.#connection.phase !== 'live' || this.#isHeldBack || lane.cancelRetry) return;
    for (;;) {
      const held = lane.held[lane.sent];
      if (held === undefined || held.keep === 'keeping') return;
      if (this.#sentRecords >= SENT_RECORDS_MAX || this.#sentBytes >= SENT_BYTES_MAX) return;
      if (held.keep === 'kept') {
        const next = lane.held.slice(lane.sent, lane.sent + SENT_RECORDS_MAX);
        const kept = next.filter((other) => other.keep === 'kept');
        return this.#keep(lane, kept, true);
      }
      const error = this.#objection(held, hello);
      if (error) this.#fail(held, error);
      else this.#send(lane, held);
    }
  }

  /** Why an entry must not be sent. */
  #objection(held: Held, hello: HelloOk): TidewayError | undefined {
    const { entry, sentSince } = held;
    const { recordBytes, ridWindowMs } = hello.limits;
    if (entry.user !== undefined && entry.user !== (hello.user ?? null)) {
      return new TidewayError('user_changed', `the append to ${entry.channel} was made under another user`);
    }
    if (isLargerThan(entry.payload, recordBytes)) {
      return new TidewayError('too_large', `the record for ${entry.channel} is larger than ${recordBytes} bytes`);
    }
    if (sentSince !== undefined && ageMs(this.#env, sentSince) >= ridWindowMs) {
      const message = `no answer to the append to ${entry.channel} while the server knew its id`;
      return new TidewayError('unconfirmed', message);
    }
    return undefined;
  }

  #send(lane: Lane, held: Held): void {
    const sending = ++this.#sendings;
    const { payload, user: _user, sentMs: _sentMs, ...append } = held.entry;
    const restart = lane.broken && { restart: true };
    lane.broken = undefined;
    lane.sent++;
    this.#sentRecords++;
    this.#sentBytes += payload.length;
    held.sending = sending;
    held.sentSince ??= stampNow(this.#env);
    held.receipt.state = 'sent';
    this.#connection.request(
      { ...append, ...restart, op: 'append' },
      (answer) => this.#onAnswer(lane, held, sending, answer),
      payload,
    );
  }

  #onAnswer(lane: Lane, held: Held, sending: number, answer: Answer): void {
    // It has its outcome already.
    if (!lane.held.includes(held)) return;
    if (answer.op === 'ok') {
      lane.failures = 0;
      this.#settle(held);
      held.receipt.store({ cursor: answer.cursor ?? '', duplicate: answer.duplicate === true });
    } else if (held.sending !== sending) {
      // Of an earlier sending only success counts: the later one gets its own answer.
      return;
    } else if (answer.retryMs === undefined) this.#fail(held, errorOf(answer));
    else {
      this.#goBack(lane);
      lane.broken = answer.code;
      lane.failures++;
      this.#pause(lane, answer.retryMs);
    }
    this.#pump();
  }

  #pause(lane: Lane, atLeastMs: number): void {
    lane.cancelRetry?.();
    lane.cancelRetry = this.#env.setTimer(atLeastMs + backoffMs(this.#env, lane.failures), () => {
      lane.cancelRetry = undefined;
      this.#pumpLane(lane);
    });
  }

  /** Nothing of this channel is on its way any more. */
  #goBack(lane: Lane): void {
    for (const held of lane.held) {
      this.#landed(held);
      held.receipt.state = 'waiting';
    }
    lane.sent = 0;
  }

  #landed(held: Held): void {
    if (held.sending === 0) return;
    held.sending = 0;
    this.#sentRecords--;
    this.#sentBytes -= held.entry.payload.length;
  }

  #fail(held: Held, error: TidewayError): void {
    this.#settle(held);
    held.receipt.fail(error);
    this.#owner.onFailed(error, held.entry);
  }

  /** Takes an entry out that has its outcome. */
  #settle(held: Held): void {
    const { channel, payload, rid } = held.entry;
    // Its lane has it until now.
    const lane = this.#lanes.get(channel) as Lane;
    const index = lane.held.indexOf(held);
    this.#landed(held);
    lane.held.splice(index, 1);
    if (index < lane.sent) lane.sent--;
    this.#count--;
    this.#bytes -= payload.length;
    this.#keeper?.drop(rid);
    if (lane.held.length === 0 && !lane.broken) this.#lanes.delete(channel);
    this.#owner.onChange();
  }
}
