/** Opens or makes the folder of an embedded log: lock, constants, segments. */
import { dirname, join } from 'node:path';
import { formatEpoch } from '@tideway/protocol';
import { CONSTANTS_FILE, readConstants, writeConstants } from './constants-file.ts';
import type { Disk } from './disk.ts';
import { LogDamagedError, listSegments, readHead, recoverSegments, type TornWrite } from './recovery.ts';
import { writeKnownEnd } from './known-end.ts';
import { SEGMENT_HEAD_BYTES, segmentName } from './segment-format.ts';
import { Segments } from './segments.ts';

export const SEGMENTS_FOLDER = 'segments';
/** On the embedded log the fold's table is kept small and is checkpointed, so it may look far back. */
const WINDOW = 1_048_576;

export interface FolderOptions {
  readonly folder: string;
  readonly disk: Disk;
  /** What an existing log must have been made with. */
  readonly window: number | undefined;
  readonly segmentBytes: number;
  readonly writeBytesMax: number;
  randomBytes(count: number): Uint8Array;
}

export interface OpenedFolder {
  readonly epoch: string;
  readonly window: number;
  readonly segments: Segments;
  readonly torn: TornWrite | undefined;
  readonly unlock: () => void;
}

export async function openFolder(options: FolderOptions): Promise<OpenedFolder> {
  const { disk, folder } = options;
  await disk.makeFolder(join(folder, SEGMENTS_FOLDER));
  const unlock = await disk.lock(folder, 'write');
  try {
    const stored = await readConstants(disk, folder);
    // A killed process may have made them and not come to sync their name.
    if (stored !== undefined) await disk.syncFolder(folder);
    const opened = stored === undefined ? await create(options) : await recover(options, stored);
    await noteEnd(disk, folder, opened.segments);
    return { ...opened, unlock };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** What is written from now on may be torn; what is there is whole. Where it cannot be noted, what was noted holds. */
export async function noteEnd(disk: Disk, folder: string, segments: Segments): Promise<void> {
  const end = { ...segments.end, boot: await disk.bootId() };
  await writeKnownEnd(disk, join(folder, SEGMENTS_FOLDER), end).catch(() => undefined);
}

async function recover(
  options: FolderOptions,
  { epoch, window }: { readonly epoch: string; readonly window: number },
): Promise<Omit<OpenedFolder, 'unlock'>> {
  if (options.window !== undefined && options.window !== window) {
    throw new Error(
      `the log in ${options.folder} was made with a window of ${window} records; it cannot be opened with ${options.window}`,
    );
  }
  const folder = join(options.folder, SEGMENTS_FOLDER);
  const recovered = await recoverSegments({ ...options, folder, epoch });
  return {
    epoch,
    window,
    segments: Segments.recovered({ ...options, folder, epoch }, recovered),
    torn: recovered.torn,
  };
}

/** A log is there once its constants are: what an interrupted attempt left before them is made anew. */
async function create(options: FolderOptions): Promise<Omit<OpenedFolder, 'unlock'>> {
  const { disk } = options;
  const folder = join(options.folder, SEGMENTS_FOLDER);
  for (const first of await listSegments(disk, folder)) {
    const path = join(folder, segmentName(first));
    const { size } = await readHead(disk, path);
    if (size > SEGMENT_HEAD_BYTES)
      throw new LogDamagedError(join(options.folder, CONSTANTS_FILE), 0, `it is missing, but ${path} holds records`);
    await disk.remove(path);
  }
  const epoch = formatEpoch(options.randomBytes(6));
  const window = options.window ?? WINDOW;
  const segments = await Segments.create({ ...options, folder, epoch });
  try {
    await writeConstants(disk, options.folder, { epoch, window });
    // The folder's own name, where the folder above it may be opened.
    await disk.syncFolder(dirname(options.folder)).catch(() => undefined);
  } catch (error) {
    await segments.close();
    throw error;
  }
  return { epoch, window, segments, torn: undefined };
}
