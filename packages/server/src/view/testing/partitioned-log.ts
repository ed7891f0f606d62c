/**
 * A log of several partitions made of memory logs, that can be unreachable, as a whole or one of them, can leave a
 * question unanswered, and be begun anew with another epoch.
 */
import {
  TailError,
  type AppendOutcome,
  type Bounds,
  type Log,
  type LogConstants,
  type PhysicalRecord,
  type Position,
  type Tail,
  type TailRecord,
  type TailStart,
} from '../../log/log.ts';
import { MemoryLog } from '../../log/memory/memory-log.ts';
import { unreachable } from './given-log.ts';

export class PartitionedLog implements Log {
  readonly #parts: MemoryLog[];
  readonly #epochs: string[] = [];
  readonly #tails = new Map<number, Set<(error: TailError) => void>>();
  isAway = false;
  /** Partitions that are unreachable on their own. */
  readonly away = new Set<number>();
  /** Partitions that are asked and never answer. */
  readonly silent = new Set<number>();
  /** How often it was asked for a tail or for bounds. */
  asked = 0;

  constructor(partitions: number) {
    this.#parts = Array.from({ length: partitions }, () => new MemoryLog({ window: 1_000 }));
  }

  get declares(): Log['declares'] {
    return (this.#parts[0] as MemoryLog).declares;
  }

  get wantsSettled(): boolean {
    return this.#parts.some((part) => part.wantsSettled);
  }

  async open(): Promise<LogConstants> {
    for (const part of this.#parts) this.#epochs.push((await part.open()).epochs[0] as string);
    return { epochs: [...this.#epochs], window: 1_000, partitionOf: (channel) => this.partitionOf(channel) };
  }

  /** The number at its end decides. */
  partitionOf(channel: string): number {
    return Number(/\d*$/.exec(channel)?.[0] ?? 0) % this.#parts.length;
  }

  async append(records: readonly PhysicalRecord[]): Promise<readonly AppendOutcome[]> {
    const outcomes: AppendOutcome[] = [];
    for (const record of records) outcomes.push(...(await this.appendTo(this.partitionOf(record.channel), [record])));
    return outcomes;
  }

  /** As a foreign producer does, who may put a record anywhere. */
  appendTo(partition: number, records: readonly PhysicalRecord[]): Promise<readonly AppendOutcome[]> {
    return (this.#parts[partition] as MemoryLog).append(records);
  }

  /** The partition is deleted and made again. */
  async recreate(partition: number): Promise<string> {
    const fresh = new MemoryLog({ window: 1_000 });
    const epoch = (await fresh.open()).epochs[0] as string;
    await (this.#parts[partition] as MemoryLog).close();
    this.#parts[partition] = fresh;
    this.#epochs[partition] = epoch;
    const tails = [...(this.#tails.get(partition) ?? [])];
    this.#tails.delete(partition);
    for (const end of tails) end(new TailError('epoch', 'the partition was made anew', { epoch }));
    return epoch;
  }

  async tail(
    partition: number,
    after: TailStart,
    onBatch: (batch: readonly TailRecord[]) => Promise<void> | undefined,
    onError: (error: TailError) => void,
  ): Promise<Tail> {
    await this.#reach(partition);
    const tail = await (this.#parts[partition] as MemoryLog).tail(0, after, onBatch, onError);
    const tails = this.#tails.get(partition) ?? new Set();
    this.#tails.set(partition, tails.add(onError));
    return tail;
  }

  async bounds(partition: number): Promise<Bounds> {
    await this.#reach(partition);
    return await (this.#parts[partition] as MemoryLog).bounds(0);
  }

  settled(partition: number, position: Position): Promise<void> {
    return (this.#parts[partition] as MemoryLog).settled(0, position);
  }

  async #reach(partition: number): Promise<void> {
    this.asked++;
    if (this.isAway || this.away.has(partition)) throw unreachable();
    if (this.silent.has(partition)) await new Promise<never>(() => {});
  }

  async close(): Promise<void> {
    for (const part of this.#parts) await part.close();
  }
}
