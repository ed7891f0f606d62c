/**
 * What a start finds in the segments folder: the chain of segments, verified; the last one read through, a torn write
 * at its end cut and reported. Damage anywhere else stops the start: it is never skipped.
 */
import { join } from 'node:path';
import { TAG_LOWEST } from '@tideway/protocol';
import { writeWhole, type Disk, type DiskFile } from './disk.ts';
import { decodeSegmentHead, firstOfName, SEGMENT_HEAD_BYTES, segmentName, type SegmentHead } from './segment-format.ts';
import { Segment } from './segment.ts';
import { knownBytes, readKnownEnd, tearOf, type KnownEnd } from './known-end.ts';
import { isTornWrite, scanSegment, type SegmentEnd } from './segment-scan.ts';

/** A file of the log is not what was written. */
export class LogDamagedError extends Error {
  readonly file: string;
  readonly offset: number;

  constructor(file: string, offset: number, problem: string) {
    super(`${file} is damaged at byte ${offset}: ${problem}. Nothing was changed; \`tideway log check\` tells more`);
    this.name = 'LogDamagedError';
    this.file = file;
    this.offset = offset;
  }
}

export interface TornWrite {
  readonly file: string;
  /** How many bytes were cut. */
  readonly bytes: number;
}

export interface Recovered {
  /** Oldest first; the last one is written on. */
  readonly segments: readonly Segment[];
  /** The last one, open to write. */
  readonly file: DiskFile;
  /** The tag of the newest record; TAG_LOWEST where there never was one. */
  readonly newestTag: string;
  readonly torn: TornWrite | undefined;
}

export interface RecoveryOptions {
  readonly disk: Disk;
  /** The folder of the segment files. */
  readonly folder: string;
  readonly epoch: string;
  /** No write is larger: what is torn cannot be longer. */
  readonly writeBytesMax: number;
}

/** The first positions of the folder's segments, ascending. */
export async function listSegments(disk: Disk, folder: string): Promise<readonly number[]> {
  const names = await disk.list(folder);
  return names
    .map((name) => firstOfName(name))
    .filter((first) => first !== undefined)
    .sort((a, b) => a - b);
}

/** Opens the segments of an existing log. */
export async function recoverSegments(options: RecoveryOptions): Promise<Recovered> {
  const { disk, folder } = options;
  // What a killed process renamed but did not sync must not come undone later.
  await disk.syncFolder(folder);
  const firsts = await listSegments(disk, folder);
  const segments: Segment[] = [];
  for (const first of firsts) segments.push(await openSegment(options, first, segments.at(-1)));
  const last = segments.at(-1);
  if (last === undefined) throw new LogDamagedError(folder, 0, 'there is a log.json but not one segment');

  const end = await readKnownEnd(disk, folder);
  const missing = missingSegment(end, last.head);
  if (missing !== undefined) throw new LogDamagedError(join(folder, missing), 0, 'it is missing');

  const file = await disk.open(last.path, 'write');
  try {
    const tear = tearOf(end, await disk.bootId());
    const found = await recoverLast(options, last, file, { knownBytes: knownBytes(end, last.head), tear });
    for (const name of await disk.list(folder)) if (name.endsWith('.new')) await disk.remove(join(folder, name));
    return { segments, file, ...found };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Reads a segment's head, and completes the segment before it by what this head says. */
async function openSegment(options: RecoveryOptions, first: number, before: Segment | undefined): Promise<Segment> {
  const path = join(options.folder, segmentName(first));
  const { head, size } = await readHead(options.disk, path);
  if (typeof head === 'string') throw new LogDamagedError(path, 0, head);
  const problem = headProblem(head, first, options.epoch) ?? chainProblem(head, before);
  if (problem !== undefined) throw new LogDamagedError(path, 0, problem);
  if (before !== undefined && head.previous !== undefined) {
    before.count = first - before.head.first;
    const beforeBytes = before.bytes;
    before.bytes = head.previous.bytes;
    if (beforeBytes < before.bytes) {
      throw new LogDamagedError(before.path, beforeBytes, endsEarly(before.bytes));
    }
  }
  const segment = new Segment(options.folder, head);
  segment.bytes = size;
  return segment;
}

export async function readHead(disk: Disk, path: string): Promise<{ head: SegmentHead | string; size: number }> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(SEGMENT_HEAD_BYTES);
    const count = await file.read(bytes, 0);
    return { head: decodeSegmentHead(bytes.subarray(0, count)), size: await file.size() };
  } finally {
    await file.close();
  }
}

/** Why a head does not belong to a file of this name in this log. */
export function headProblem(head: SegmentHead, first: number, epoch: string): string | undefined {
  if (head.epoch !== epoch) return `it belongs to another log: epoch ${head.epoch}, not ${epoch}`;
  if (head.first !== first) return `it begins at record ${head.first}, not ${first} as its name says`;
  return undefined;
}

/** Why a head does not continue the segment before it. */
export function chainProblem(
  head: SegmentHead,
  before: { readonly head: SegmentHead } | undefined,
): string | undefined {
  if (before === undefined || head.previous?.first === before.head.first) return undefined;
  if (head.previous === undefined)
    return `it says that nothing comes before it, but there is ${segmentName(before.head.first)}`;
  return `the segment before it, ${segmentName(head.previous.first)}, is missing`;
}

/** The name of the segment that was the last one, where that is not there any more. */
export function missingSegment(end: KnownEnd | undefined, last: SegmentHead): string | undefined {
  return end !== undefined && end.first > last.first ? segmentName(end.first) : undefined;
}

export function endsEarly(bytes: number): string {
  return `the file ends here, but ${bytes} bytes were written`;
}

async function recoverLast(
  options: RecoveryOptions,
  last: Segment,
  file: DiskFile,
  known: Pick<SegmentEnd, 'knownBytes' | 'tear'>,
): Promise<{ newestTag: string; torn: TornWrite | undefined }> {
  const fileBytes = last.bytes;
  const scan = await scanSegment(file, last.head, fileBytes);
  let torn: TornWrite | undefined;
  if (scan.fault !== undefined) {
    const limits = { fileBytes, writeBytesMax: options.writeBytesMax, ...known };
    if (!(await isTornWrite(file, last.head, scan, limits))) {
      throw new LogDamagedError(last.path, scan.fault.offset, scan.fault.problem);
    }
    await file.truncate(scan.bytes);
    torn = { file: last.path, bytes: fileBytes - scan.bytes };
  } else if (scan.bytes < known.knownBytes) {
    throw new LogDamagedError(last.path, scan.bytes, endsEarly(known.knownBytes));
  }
  last.count = scan.count;
  last.bytes = scan.bytes;
  for (const { first, offset } of scan.batches) last.noteBatch(first, offset);
  // The last batch may stand in the kernel's cache only, its sync failed or never come: written once more, it is
  // durable before anybody reads it. The bytes are the same, so a crash in the middle of it harms nothing.
  if (scan.lastBatch !== undefined) await writeWhole(file, scan.lastBatch.bytes, scan.lastBatch.offset);
  return { newestTag: scan.lastBatch?.lastRecord.tag ?? last.head.previous?.tag ?? TAG_LOWEST, torn };
}
