/**
 * The log of `durable: false`: records in the memory of this process, gone with it, bounded by a budget. Its epoch is
 * new at each start, so that no cursor of an earlier life is taken for one of this.
 */
import { formatEpoch, limits, tagsMatch } from '@tideway/protocol';
import { type Env, nodeEnv } from '../../env.ts';
import { LiveTail } from '../live-tail.ts';
import {
  TailError,
  type AppendOutcome,
  type Bounds,
  type Log,
  type LogConstants,
  type LogDeclaration,
  type PhysicalRecord,
  type Position,
  type Tail,
  type TailRecord,
  type TailStart,
} from '../log.ts';
import { positionNumber, positionOf } from '../position.ts';
import { encodedBytesBound, recordFault, recordTag } from '../record.ts';

export interface MemoryLogOptions {
  readonly env?: Env;
  /** Beyond this the oldest settled records are dropped; beyond twice this appends are refused `overloaded`. */
  readonly keepBytes?: number;
  /** How far the fold may look back. */
  readonly window?: number;
}

const KEEP_BYTES = 32 * 1024 * 1024;
const WINDOW = 65_536;
/** What one read gives a tail that catches up. */
const READ_RECORDS = 1_024;

interface Waiting {
  readonly records: readonly TailRecord[];
  readonly bytes: number;
  readonly answer: () => void;
}

export class MemoryLog implements Log {
  readonly declares: LogDeclaration = {
    storedSurvives: 'nothing: the records live in the memory of this process',
    durable: false,
    mayRewind: false,
    recordBytesMax: limits.recordBytesMax,
    contiguity: 'the records are numbered without holes, and only the oldest are dropped',
    detectMs: 0,
  };
  readonly #env: Env;
  readonly #keepBytes: number;
  readonly #window: number;
  readonly #tails = new Set<LiveTail>();
  /** Records after `#oldest`; `#sizes` runs beside it. */
  #records: TailRecord[] = [];
  #sizes: number[] = [];
  /** The number of the last record dropped. */
  #oldest = 0;
  /** The number of the newest record handed to the tails; those behind it wait for the end of the tick. */
  #newest = 0;
  #settled = 0;
  #bytes = 0;
  #waiting: Waiting[] = [];
  /** Set by a refusal until the tick ends, so that no later record is stored in its place. */
  #overloaded = false;
  #state: 'new' | 'open' | 'closed' = 'new';

  constructor(options: MemoryLogOptions = {}) {
    this.#env = options.env ?? nodeEnv;
    this.#keepBytes = options.keepBytes ?? KEEP_BYTES;
    this.#window = options.window ?? WINDOW;
  }

  open(): Promise<LogConstants> {
    if (this.#state !== 'new') return Promise.reject(new Error('a memory log is opened once'));
    this.#state = 'open';
    return Promise.resolve({
      epochs: [formatEpoch(this.#env.randomBytes(6))],
      window: this.#window,
      partitionOf: () => 0,
    });
  }

  append(records: readonly PhysicalRecord[]): Promise<readonly AppendOutcome[]> {
    const taken: TailRecord[] = [];
    let bytes = 0;
    const outcomes = records.map((record) => {
      const outcome = this.#judge(record);
      if (outcome.state === 'stored') {
        const size = encodedBytesBound(record);
        taken.push({
          position: positionOf(this.#oldest + this.#records.length + 1),
          tag: recordTag(record),
          record,
        });
        this.#records.push(taken.at(-1) as TailRecord);
        this.#sizes.push(size);
        this.#bytes += size;
        bytes += size;
      }
      return outcome;
    });
    if (taken.length === 0) return Promise.resolve(outcomes);
    return new Promise((resolve) => {
      this.#waiting.push({ records: taken, bytes, answer: () => resolve(outcomes) });
      if (this.#waiting.length === 1) this.#env.endOfTick(() => this.#flush());
    });
  }

  async tail(
    partition: number,
    after: TailStart,
    onBatch: (batch: readonly TailRecord[]) => Promise<void> | undefined,
    onError: (error: TailError) => void,
  ): Promise<Tail> {
    this.#assertOpen(partition);
    const from = after === 'oldest' ? this.#oldest : this.#find(after.position, after.tag);
    const tail = new LiveTail(
      from,
      { newest: () => this.#newest, readAfter: (number, upTo) => this.#readAfter(number, upTo) },
      { onBatch, onError },
      (ended) => this.#tails.delete(ended),
    );
    this.#tails.add(tail);
    tail.start();
    return tail;
  }

  async bounds(partition: number): Promise<Bounds> {
    this.#assertOpen(partition);
    return {
      oldest: positionOf(this.#oldest),
      newest: positionOf(this.#newest),
      fromGenesis: this.#oldest === 0,
    };
  }

  async settled(partition: number, position: Position): Promise<void> {
    this.#assertOpen(partition);
    this.#settled = Math.max(this.#settled, Math.min(positionNumber(position), this.#newest));
    this.#drop();
  }

  get wantsSettled(): boolean {
    return this.#bytes > this.#keepBytes && this.#settled < this.#newest;
  }

  close(): Promise<void> {
    if (this.#state === 'open') this.#flush();
    this.#state = 'closed';
    for (const tail of this.#tails) void tail.stop();
    return Promise.resolve();
  }

  #judge(record: PhysicalRecord): AppendOutcome {
    if (this.#state !== 'open') return { state: 'refused', code: 'going_away', message: 'the log is closed' };
    if (record.payload.length > this.declares.recordBytesMax) {
      const message = `the payload has ${record.payload.length} bytes; at most ${this.declares.recordBytesMax} can be stored`;
      return { state: 'refused', code: 'too_large', message };
    }
    const fault = recordFault(record);
    if (fault !== undefined) return { state: 'refused', code: 'invalid', message: fault };
    if (this.#overloaded || this.#bytes + encodedBytesBound(record) > 2 * this.#keepBytes) {
      this.#refuseUntilEndOfTick();
      return { state: 'refused', code: 'overloaded', message: `the memory log is full: ${this.#bytes} bytes` };
    }
    return { state: 'stored' };
  }

  #refuseUntilEndOfTick(): void {
    if (this.#overloaded) return;
    this.#overloaded = true;
    this.#env.endOfTick(() => (this.#overloaded = false));
  }

  /** Hands what gathered to the tails as one batch, then answers. */
  #flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const batch = waiting.length === 1 ? (waiting[0] as Waiting).records : waiting.flatMap((one) => one.records);
    let bytes = 0;
    for (const one of waiting) bytes += one.bytes;
    this.#newest += batch.length;
    for (const tail of this.#tails) tail.offer(batch, bytes);
    this.#drop();
    for (const one of waiting) one.answer();
  }

  #drop(): void {
    let count = 0;
    while (this.#bytes > this.#keepBytes && this.#oldest + count < this.#settled) {
      this.#bytes -= this.#sizes[count] as number;
      count++;
    }
    if (count === 0) return;
    this.#records = this.#records.slice(count);
    this.#sizes = this.#sizes.slice(count);
    this.#oldest += count;
  }

  #find(position: Position, tag: string): number {
    const number = positionNumber(position);
    if (number > this.#newest) {
      throw new TailError('diverged', `position ${number} is newer than the log's newest, ${this.#newest}`);
    }
    if (number < this.#oldest) throw this.#trimmed(number);
    const known = this.#records[number - this.#oldest - 1]?.tag;
    if (known !== undefined && !tagsMatch(known, tag)) {
      throw new TailError('diverged', `at position ${number} stands ${known}, not ${tag}`);
    }
    return number;
  }

  #readAfter(after: number, upTo: number): Promise<readonly TailRecord[]> {
    if (after < this.#oldest) return Promise.reject(this.#trimmed(after));
    const from = after - this.#oldest;
    return Promise.resolve(this.#records.slice(from, Math.min(from + READ_RECORDS, upTo - this.#oldest)));
  }

  #trimmed(number: number): TailError {
    const message = `records after position ${number} were dropped; the oldest kept follows ${this.#oldest}`;
    return new TailError('trimmed', message, { oldest: positionOf(this.#oldest) });
  }

  #assertOpen(partition: number): void {
    if (this.#state !== 'open') throw new Error('the log is not open');
    if (partition !== 0) throw new RangeError(`the memory log has one partition, 0; got ${partition}`);
  }
}
