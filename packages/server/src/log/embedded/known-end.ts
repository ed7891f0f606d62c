/**
 * How far the log was known to be whole when it was last opened or closed, and in which run of the machine: what tells
 * damage in the last batch from a torn write. Kept beside the segments, so that a copy of them has it too.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { writeWhole, type Disk } from './disk.ts';
import type { SegmentHead } from './segment-format.ts';

const FILE = 'known-end';

export interface KnownEnd {
  /** The last segment's first record, and how many of its bytes were whole and durable. */
  readonly first: number;
  readonly bytes: number;
  /** The run of the machine; `undefined` where the platform does not name it. */
  readonly boot: string | undefined;
}

/**
 * Which parts of its last write a process may have left behind. One that was killed leaves a beginning of it: the kernel
 * goes on, and it takes the bytes in their order. Where the power was cut it may be any parts.
 */
export type Tear = 'beginning' | 'any parts';

/** Reads it; `undefined` where there is none, or none that can be trusted. */
export async function readKnownEnd(disk: Disk, folder: string): Promise<KnownEnd | undefined> {
  const text = (await disk.readFile(join(folder, FILE)))?.toString('latin1');
  const [, body, sum] = /^(.*)\n([0-9a-f]{8})\n$/.exec(text ?? '') ?? [];
  if (body === undefined || crc32(body).toString(16).padStart(8, '0') !== sum) return undefined;
  // The checksum held: this is what `writeKnownEnd` wrote.
  return JSON.parse(body) as KnownEnd;
}

/** Writes it; durable when it resolves. */
export async function writeKnownEnd(disk: Disk, folder: string, { first, bytes, boot }: KnownEnd): Promise<void> {
  const path = join(folder, FILE);
  const body = JSON.stringify({ first, bytes, boot });
  const file = await disk.create(`${path}.new`);
  try {
    await writeWhole(file, Buffer.from(`${body}\n${crc32(body).toString(16).padStart(8, '0')}\n`), 0);
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.new`, path);
  await disk.syncFolder(folder);
}

/** How many bytes of the last segment must be whole; 0 where nothing is known of it. */
export function knownBytes(end: KnownEnd | undefined, last: Pick<SegmentHead, 'first'>): number {
  return end?.first === last.first ? end.bytes : 0;
}

export function tearOf(end: KnownEnd | undefined, boot: string | undefined): Tear {
  return boot !== undefined && end?.boot === boot ? 'beginning' : 'any parts';
}
