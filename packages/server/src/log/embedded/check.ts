/**
 * `tideway log check`: reads every byte of an embedded log's folder, changes none of them, and says what is wrong and
 * where. For a folder that no server has open.
 */
import { join } from 'node:path';
import { limits } from '@tideway/protocol';
import { writeBytesMax } from './append-queue.ts';
import { CONSTANTS_FILE, readConstants } from './constants-file.ts';
import { nodeDisk, type Disk } from './disk.ts';
import { SEGMENTS_FOLDER } from './folder.ts';
import { FolderInUseError } from './folder-lock.ts';
import { knownBytes, readKnownEnd, tearOf } from './known-end.ts';
import { chainProblem, endsEarly, headProblem, listSegments, missingSegment, readHead } from './recovery.ts';
import { segmentName, type SegmentHead } from './segment-format.ts';
import { isTornWrite, scanSegment, type SegmentEnd } from './segment-scan.ts';

export interface CheckedSegment {
  readonly file: string;
  /** The number of its first record, and how many whole ones follow in order. */
  readonly first: number;
  readonly records: number;
  readonly batches: number;
  /** Bytes that count: its head and whole batches. */
  readonly bytes: number;
}

export interface LogProblem {
  readonly file: string;
  readonly offset: number;
  readonly problem: string;
}

/** A write that a crash interrupted, never acknowledged: the next start cuts it off. No problem. */
export interface TornEnd {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

export interface LogCheck {
  readonly epoch: string | undefined;
  readonly window: number | undefined;
  /** Oldest first. */
  readonly segments: readonly CheckedSegment[];
  readonly problems: readonly LogProblem[];
  readonly torn: TornEnd | undefined;
}

/** Checks a folder. Rejects only when a server has it open. */
export async function checkLog(folder: string, disk: Disk = nodeDisk): Promise<LogCheck> {
  const unlock = await lockToRead(disk, folder);
  try {
    return await new FolderCheck(disk, folder).run();
  } finally {
    unlock();
  }
}

/** On a read-only copy there is nothing to lock, and nobody who writes. */
async function lockToRead(disk: Disk, folder: string): Promise<() => void> {
  try {
    return await disk.lock(folder, 'read');
  } catch (error) {
    if (error instanceof FolderInUseError) throw error;
    return () => undefined;
  }
}

interface FoundSegment {
  readonly path: string;
  readonly first: number;
  readonly size: number;
  readonly head: SegmentHead;
}

class FolderCheck {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #segments: CheckedSegment[] = [];
  readonly #problems: LogProblem[] = [];
  #torn: TornEnd | undefined;

  constructor(disk: Disk, folder: string) {
    this.#disk = disk;
    this.#folder = folder;
  }

  async run(): Promise<LogCheck> {
    const constants = await this.#constants();
    const found = await this.#heads(constants?.epoch);
    const last = found.at(-1);
    const folder = join(this.#folder, SEGMENTS_FOLDER);
    const end = last === undefined ? undefined : await readKnownEnd(this.#disk, folder);
    const missing = last === undefined ? undefined : missingSegment(end, last.head);
    if (missing !== undefined) this.#problem(join(folder, missing), 0, 'it is missing');
    const tear = tearOf(end, await this.#disk.bootId());
    for (const [n, segment] of found.entries())
      await this.#segment(segment, found[n + 1], { knownBytes: knownBytes(end, segment.head), tear });
    return {
      epoch: constants?.epoch,
      window: constants?.window,
      segments: this.#segments,
      problems: this.#problems,
      torn: this.#torn,
    };
  }

  async #constants(): ReturnType<typeof readConstants> {
    const file = join(this.#folder, CONSTANTS_FILE);
    try {
      const constants = await readConstants(this.#disk, this.#folder);
      if (constants === undefined)
        this.#problem(file, 0, 'it is missing: there is no log in this folder, or no whole one');
      return constants;
    } catch (error) {
      this.#problem(file, 0, (error as Error).message);
      return undefined;
    }
  }

  /** The segments whose head can be read, each compared with its name, its log and the one before it. */
  async #heads(epoch: string | undefined): Promise<readonly FoundSegment[]> {
    const folder = join(this.#folder, SEGMENTS_FOLDER);
    const firsts = await listSegments(this.#disk, folder).catch(() => []);
    if (firsts.length === 0) this.#problem(folder, 0, 'there is not one segment');
    const found: FoundSegment[] = [];
    for (const first of firsts) {
      const path = join(folder, segmentName(first));
      const { head, size } = await readHead(this.#disk, path);
      const problem =
        typeof head === 'string'
          ? head
          : (headProblem(head, first, epoch ?? head.epoch) ?? chainProblem(head, found.at(-1)));
      if (problem !== undefined) this.#problem(path, 0, problem);
      if (typeof head !== 'string') found.push({ path, first, size, head });
    }
    return found;
  }

  async #segment(
    segment: FoundSegment,
    next: FoundSegment | undefined,
    known: Pick<SegmentEnd, 'knownBytes' | 'tear'>,
  ): Promise<void> {
    const { path, head, size } = segment;
    const successor = next?.head.previous?.first === head.first ? next : undefined;
    const to = successor?.head.previous?.bytes ?? size;
    if (to > size) this.#problem(path, size, endsEarly(to));
    const file = await this.#disk.open(path, 'read');
    try {
      const scan = await scanSegment(file, head, Math.min(to, size));
      const { count, bytes, batches, fault } = scan;
      this.#segments.push({ file: path, first: head.first, records: count, batches: batches.length, bytes });
      const limits = { fileBytes: size, writeBytesMax: WRITE_BYTES_MAX, ...known };
      if (fault !== undefined && next === undefined && (await isTornWrite(file, head, scan, limits))) {
        this.#torn = { file: path, offset: bytes, bytes: size - bytes };
      } else if (fault !== undefined) {
        this.#problem(path, fault.offset, fault.problem);
      } else if (next === undefined && bytes < known.knownBytes) {
        this.#problem(path, bytes, endsEarly(known.knownBytes));
      } else if (successor !== undefined && to <= size && successor.first !== head.first + count) {
        this.#problem(
          path,
          bytes,
          `it ends with record ${head.first + count - 1}, but the next begins with ${successor.first}`,
        );
      }
    } finally {
      await file.close();
    }
  }

  #problem(file: string, offset: number, problem: string): void {
    this.#problems.push({ file, offset, problem });
  }
}

const WRITE_BYTES_MAX = writeBytesMax(limits.recordBytesMax);
