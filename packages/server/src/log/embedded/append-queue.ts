/**
 * What waits to be written: records are encoded as they come, into the batch that gathers while another is on its way
 * to the disk. Bounded by records and bytes. After a refusal nothing later takes the refused record's place.
 */
import { formatTag, type Code } from '@tideway/protocol';
import type { AppendOutcome, PhysicalRecord, TailRecord } from '../log.ts';
import { positionOf } from '../position.ts';
import { encodedBytes, encodedBytesBound, encodeRecord, recordFault } from '../record.ts';
import { BATCH_HEAD_BYTES } from './segment-format.ts';

export interface AppendQueueOptions {
  readonly recordBytesMax: number;
  /** Records and bytes that may wait, those being written included. */
  readonly recordsMax: number;
  readonly bytesMax: number;
}

/** A batch holds at most this, or one record that is larger. */
const BATCH_BYTES = 1024 * 1024;
/** How many written batches' buffers are kept for the next ones. */
const SPARE_BUFFERS = 4;

/** No write is larger: a batch, or one record of the largest size with all its texts (record.ts) at their limit. */
export function writeBytesMax(recordBytesMax: number): number {
  return Math.max(BATCH_BYTES, BATCH_HEAD_BYTES + recordBytesMax + 256 * 1024);
}

/** One `append` call: its outcomes, and how many are still open. */
interface Call {
  readonly outcomes: AppendOutcome[];
  open: number;
  readonly resolve: (outcomes: readonly AppendOutcome[]) => void;
}

export class Batch {
  readonly #buffer: Buffer;
  #bytes = BATCH_HEAD_BYTES;
  readonly #records: PhysicalRecord[] = [];
  readonly #tagCrcs: number[] = [];
  readonly #calls: Call[] = [];
  readonly #slots: number[] = [];

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get count(): number {
    return this.#records.length;
  }

  /** What is written: room for the head, then the records. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#bytes);
  }

  /** Bytes of its records. */
  get recordBytes(): number {
    return this.#bytes - BATCH_HEAD_BYTES;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  get lastTag(): string {
    return formatTag(this.#tagCrcs.at(-1) as number);
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#buffer.length;
  }

  /** Takes a record in, for which there is room; returns its size. */
  add(record: PhysicalRecord, call: Call, slot: number): number {
    this.#tagCrcs.push(encodeRecord(record, this.#buffer, this.#bytes));
    const bytes = encodedBytes(this.#buffer, this.#bytes);
    this.#bytes += bytes;
    this.#records.push(record);
    this.#calls.push(call);
    this.#slots.push(slot);
    return bytes;
  }

  /** The records as a tail gives them; the first one's number is `first`. */
  tailRecords(first: number): TailRecord[] {
    return this.#records.map((record, n) => ({
      position: positionOf(first + n),
      tag: formatTag(this.#tagCrcs[n] as number),
      record,
    }));
  }

  answer(outcome: AppendOutcome): void {
    for (const [n, call] of this.#calls.entries()) {
      call.outcomes[this.#slots[n] as number] = outcome;
      if (--call.open === 0) call.resolve(call.outcomes);
    }
  }
}

export class AppendQueue {
  readonly #options: AppendQueueOptions;
  #batches: Batch[] = [];
  /** Waiting or being written. */
  #records = 0;
  #bytes = 0;
  readonly #spare: Buffer[] = [];
  /** Set by a refusal until a batch is done, so that no later record is stored in front of a refused one. */
  #overloaded = false;

  constructor(options: AppendQueueOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  /** Takes records in and answers each once its batch is done, or at once where it is refused. */
  add(records: readonly PhysicalRecord[]): Promise<readonly AppendOutcome[]> {
    return new Promise((resolve) => {
      const call: Call = { outcomes: new Array<AppendOutcome>(records.length), open: records.length, resolve };
      for (const [slot, record] of records.entries()) {
        const refusal = this.#refusal(record);
        if (refusal === undefined) {
          this.#put(record, call, slot);
        } else {
          call.outcomes[slot] = refusal;
          call.open--;
        }
      }
      if (call.open === 0) resolve(call.outcomes);
    });
  }

  /** The next batch to write, everything that gathered. It stays counted until `done`. */
  take(): Batch | undefined {
    return this.#batches.shift();
  }

  /** A batch was written or given up: its room is free again. */
  done(batch: Batch): void {
    this.#records -= batch.count;
    this.#bytes -= batch.recordBytes;
    this.#overloaded = false;
    if (batch.buffer.length === BATCH_BYTES && this.#spare.length < SPARE_BUFFERS) this.#spare.push(batch.buffer);
  }

  /** Refuses everything that waits: it came behind a record that was not stored. */
  refuseAll(code: Code, message: string): void {
    const batches = this.#batches;
    this.#batches = [];
    for (const batch of batches) {
      this.done(batch);
      batch.answer({ state: 'refused', code, message });
    }
  }

  #put(record: PhysicalRecord, call: Call, slot: number): void {
    const bound = encodedBytesBound(record);
    let batch = this.#batches.at(-1);
    if (batch === undefined || !batch.hasRoom(bound)) {
      const bytes = Math.max(BATCH_BYTES, BATCH_HEAD_BYTES + bound);
      batch = new Batch((bytes === BATCH_BYTES ? this.#spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(bytes));
      this.#batches.push(batch);
    }
    this.#bytes += batch.add(record, call, slot);
    this.#records++;
  }

  #refusal(record: PhysicalRecord): AppendOutcome | undefined {
    const { recordBytesMax, recordsMax, bytesMax } = this.#options;
    if (record.payload.length > recordBytesMax) {
      const message = `the payload has ${record.payload.length} bytes; at most ${recordBytesMax} can be stored`;
      return { state: 'refused', code: 'too_large', message };
    }
    const fault = recordFault(record);
    if (fault !== undefined) return { state: 'refused', code: 'invalid', message: fault };
    const full =
      this.#records >= recordsMax || (this.#records > 0 && this.#bytes + encodedBytesBound(record) > bytesMax);
    if (!full && !this.#overloaded) return undefined;
    this.#overloaded = true;
    const message = `${this.#records} records, ${this.#bytes} bytes wait for the disk; the limits are ${recordsMax} and ${bytesMax}`;
    return { state: 'refused', code: 'overloaded', message };
  }
}
