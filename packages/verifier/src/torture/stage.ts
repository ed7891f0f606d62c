/** What every client of a torture run shares: the checker they tell, the channels they use, and how they wait. */
import type { FaultProxy } from '../raw/fault-proxy.ts';
import type { HistoryChecker } from '../checker.ts';
import type { Random } from './random.ts';

export interface Stage {
  readonly checker: HistoryChecker;
  readonly channels: readonly [string, ...string[]];
  /** Appends of one writer in a second, as far as it gets answers. */
  readonly appendsPerSecond: number;
  /** Something that must never happen and is no matter of the history: it fails the run. */
  readonly fail: (what: string) => void;
}

/** One client of a run: it writes, reads, or both, through a proxy of its own. */
export interface TortureClient {
  readonly name: string;
  readonly proxy: FaultProxy;
  /** Appends without outcome. */
  readonly pending: number;
  /** Where it stands in a channel; `undefined` where it does not read it, or has seen nothing yet. */
  place(channel: string): string | undefined;
  /** The channels it reads. */
  readonly reads: readonly string[];
  /** Appends nothing more; what has no outcome yet is still brought to one. */
  quiet(): void;
  stop(): Promise<void>;
}

/** A place where a client can be made slow to read, as an application would be. */
export interface SlowReader {
  /** How long it rests before it reads on. */
  restMs: number;
}

/** Resolves after so long, or at once when `signal` is aborted. */
export function rest(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, delayMs);
    signal?.addEventListener('abort', end);
    if (signal?.aborted === true) end();
  });
}

export interface Payload {
  readonly text: string;
  readonly value: unknown;
}

/** JSON that reads the same when it was parsed and written again, mostly small, now and then large. */
export function makePayload(random: Random, writer: string, sequence: number): Payload {
  const size = random.percent(2) ? random.between(2_000, 40_000) : random.between(0, 200);
  const value = { writer, sequence, filler: String.fromCodePoint(random.between(97, 122)).repeat(size) };
  return { text: JSON.stringify(value), value };
}
