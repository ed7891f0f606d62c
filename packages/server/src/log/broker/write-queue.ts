/**
 * What waits to be sent to a partition, and what is on its way and not answered yet: bounded for all partitions
 * together. Behind a record that its caller must send again nothing is taken, until the caller has heard of it.
 */
import { codes } from '@tideway/protocol';
import type { AppendOutcome, PhysicalRecord } from '../log.ts';
import { encodedBytesBound } from '../record.ts';
import { LOG_TICKET, toNative, type NativeRecord } from './native-record.ts';
import type { OwnRecord } from './own-records.ts';

/** A batch holds at most this, or one record that is larger. */
const BATCH_BYTES = 1024 * 1024;
const BATCH_RECORDS = 1_000;

/** How much may wait in all queues of a log. */
export class QueueRoom {
  readonly recordsMax: number;
  readonly bytesMax: number;
  records = 0;
  bytes = 0;

  constructor(recordsMax: number, bytesMax: number) {
    this.recordsMax = recordsMax;
    this.bytesMax = bytesMax;
  }

  has(bytes: number): boolean {
    return this.records === 0 || (this.records < this.recordsMax && this.bytes + bytes <= this.bytesMax);
  }
}

/** One `append` call: its outcomes, and how many are still open. */
export class AppendCall {
  readonly outcomes: AppendOutcome[];
  /** Called once all are answered. */
  readonly answered: Promise<readonly AppendOutcome[]>;
  readonly #resolve: (outcomes: readonly AppendOutcome[]) => void;
  readonly #queues = new Set<WriteQueue>();
  readonly #endOfTick: (callback: () => void) => void;
  #open: number;

  constructor(records: number, endOfTick: (callback: () => void) => void) {
    const { promise, resolve } = Promise.withResolvers<readonly AppendOutcome[]>();
    this.answered = promise;
    this.#resolve = resolve;
    this.#open = records;
    this.#endOfTick = endOfTick;
    this.outcomes = new Array<AppendOutcome>(records);
    if (records === 0) resolve(this.outcomes);
  }

  answer(slot: number, outcome: AppendOutcome): void {
    this.outcomes[slot] = outcome;
    if (--this.#open > 0) return;
    this.#resolve(this.outcomes);
    if (this.#queues.size === 0) return;
    this.#endOfTick(() => {
      for (const queue of this.#queues) queue.heard();
    });
  }

  /** A record of this call is to be sent again, and the queue refuses others until the caller knows; true once. */
  heldUp(queue: WriteQueue): boolean {
    if (this.#queues.has(queue)) return false;
    this.#queues.add(queue);
    return true;
  }
}

/** A record on its way. */
export interface Sending extends OwnRecord {
  readonly record: PhysicalRecord;
  readonly native: NativeRecord;
  readonly bytes: number;
  readonly call: AppendCall;
  readonly slot: number;
  /** An attempt to store it had no outcome: it may be stored already. */
  inDoubt: boolean;
}

export class WriteQueue {
  readonly #room: QueueRoom;
  #waiting: Sending[] = [];
  /** Calls whose callers do not know yet that a record of theirs is to be sent again. */
  #unheard = 0;
  /** What others get until then. */
  #refusal: AppendOutcome = { state: 'refused', code: 'not_durable', message: '' };

  constructor(room: QueueRoom) {
    this.#room = room;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Until when the first of those that wait may. */
  get untilMs(): number {
    return this.#waiting[0]?.untilMs ?? 0;
  }

  /** Takes a record in, or answers it `overloaded`. */
  add(record: PhysicalRecord, place: { readonly call: AppendCall; readonly slot: number }, way: Way): void {
    const { call, slot } = place;
    const bytes = encodedBytesBound(record);
    const room = this.#room;
    if (!room.has(bytes)) {
      const message = `${room.records} records, ${room.bytes} bytes wait for the broker; the limits are ${room.recordsMax} and ${room.bytesMax}`;
      this.#answer(call, slot, { state: 'refused', code: 'overloaded', message });
      return;
    }
    if (this.#unheard > 0) {
      this.#answer(call, slot, this.#refusal);
      return;
    }
    room.records++;
    room.bytes += bytes;
    const ticket = record.ticket ?? LOG_TICKET + way.nextTicket();
    const native = toNative(record.ticket === undefined ? { ...record, ticket } : record);
    const state = { seen: false, confirmed: false, inDoubt: false };
    this.#waiting.push({ ticket, untilMs: way.untilMs, record, native, bytes, call, slot, ...state });
  }

  /** The next batch. */
  take(): Sending[] {
    let count = 0;
    for (let bytes = 0; count < this.#waiting.length && count < BATCH_RECORDS; count++) {
      bytes += (this.#waiting[count] as Sending).bytes;
      if (count > 0 && bytes > BATCH_BYTES) break;
    }
    return this.#waiting.splice(0, count);
  }

  takeAll(): readonly Sending[] {
    return this.#waiting.splice(0);
  }

  /** The record is no longer on its way. */
  answer(sending: Sending, outcome: AppendOutcome): void {
    this.#room.records--;
    this.#room.bytes -= sending.bytes;
    this.#answer(sending.call, sending.slot, outcome);
  }

  heard(): void {
    this.#unheard--;
  }

  #answer(call: AppendCall, slot: number, outcome: AppendOutcome): void {
    if (isToBeSentAgain(outcome) && call.heldUp(this) && this.#unheard++ === 0) {
      const code = outcome.state === 'refused' ? outcome.code : 'not_durable';
      this.#refusal = { state: 'refused', code, message: `one before it is to be sent again: ${outcome.message}` };
    }
    call.answer(slot, outcome);
  }
}

/** True for what a caller sends again: stored in front of it, a later record would be out of order. */
export function isToBeSentAgain(outcome: AppendOutcome): outcome is Exclude<AppendOutcome, { state: 'stored' }> {
  return outcome.state === 'unknown' || (outcome.state === 'refused' && codes[outcome.code].action === 'retry');
}

/** What a record that joins the queue is given. */
export interface Way {
  readonly untilMs: number;
  nextTicket(): string;
}
