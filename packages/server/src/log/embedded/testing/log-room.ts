/** What the embedded log's tests share: a log on a disk in memory, records, and reading it all back. */
import assert from 'node:assert/strict';
import type { Log, PhysicalRecord, TailRecord } from '../../log.ts';
import { EmbeddedLog, type EmbeddedLogEvent, type EmbeddedLogOptions } from '../embedded-log.ts';
import { MemoryDisk } from './memory-disk.ts';

export const FOLDER = '/data';

/** `count` records whose rids go on from `from`. */
export function records(from: number, count: number, bytes = 20): PhysicalRecord[] {
  return Array.from({ length: count }, (_, n) => ({
    channel: 'test:1',
    kind: 'data',
    encoding: 'bytes',
    payload: Buffer.alloc(bytes, from + n),
    time: 1_764_000_000_000 + from + n,
    rid: `r${from + n}`,
  }));
}

/** A log on a disk in memory, and what it reported. */
export class MemoryRoom {
  readonly disk: MemoryDisk;
  readonly events: EmbeddedLogEvent[] = [];
  #log: EmbeddedLog | undefined;

  /** @param boot the run of the machine that the files are from, where it is still the same */
  constructor(files: ReadonlyMap<string, Buffer> = new Map(), boot?: string) {
    // Half of the unsynced sectors survive, always the same ones: these tests choose their damage themselves.
    let n = 0;
    this.disk = new MemoryDisk(() => (n++ % 2) / 2, boot);
    for (const [path, bytes] of files) this.disk.put(path, bytes);
  }

  get log(): EmbeddedLog {
    assert.ok(this.#log !== undefined);
    return this.#log;
  }

  /** Opens the log in a new process. */
  async open(options: Partial<EmbeddedLogOptions> = {}): Promise<EmbeddedLog> {
    const { disk } = this.disk.boot();
    this.#log = new EmbeddedLog({ folder: FOLDER, disk, report: (event) => this.events.push(event), ...options });
    await this.#log.open();
    return this.#log;
  }

  /** Kills the process and opens the log in the next one. */
  reopen(options: Partial<EmbeddedLogOptions> = {}): Promise<EmbeddedLog> {
    this.disk.kill();
    return this.open(options);
  }

  /** Appends, and gives the state of each. */
  async append(list: readonly PhysicalRecord[]): Promise<readonly string[]> {
    const outcomes = await this.log.append(list);
    return outcomes.map((outcome) => (outcome.state === 'refused' ? outcome.code : outcome.state));
  }

  async rids(): Promise<readonly string[]> {
    return (await readAll(this.log)).map(({ record }) => record.rid ?? '');
  }
}

/** Everything that a log holds. */
export async function readAll(log: Log): Promise<readonly TailRecord[]> {
  const { oldest, newest } = await log.bounds(0);
  const seen: TailRecord[] = [];
  if (oldest === newest) return seen;
  await new Promise<void>((resolve, reject) => {
    const take = (batch: readonly TailRecord[]): undefined => {
      seen.push(...batch);
      if (seen.at(-1)?.position === newest) resolve();
    };
    log.tail(0, 'oldest', take, reject).catch(reject);
  });
  return seen;
}

/** `r1 … r5`. */
export function rids(from: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, n) => `r${from + n}`);
}
