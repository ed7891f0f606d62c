/** The log's constants beside its data: `log.json`, made once, whole or not at all. */
import { join } from 'node:path';
import { writeWhole, type Disk } from './disk.ts';
import { LOG_FORMAT } from './segment-format.ts';

export const CONSTANTS_FILE = 'log.json';

export interface StoredConstants {
  readonly epoch: string;
  /** How many records the fold may look back. */
  readonly window: number;
}

/** Reads them; `undefined` where the folder holds no log. Throws in words for what it cannot take. */
export async function readConstants(disk: Disk, folder: string): Promise<StoredConstants | undefined> {
  const path = join(folder, CONSTANTS_FILE);
  const bytes = await disk.readFile(path);
  if (bytes === undefined) return undefined;
  let stored: unknown;
  try {
    stored = JSON.parse(bytes.toString('utf8'));
  } catch {
    stored = undefined;
  }
  const { format, epoch, window } = (typeof stored === 'object' && stored !== null ? stored : {}) as Record<
    string,
    unknown
  >;
  if (typeof format === 'number' && format > LOG_FORMAT) {
    throw new Error(
      `${path} was made in format ${format} by a newer Tideway; this one reads up to format ${LOG_FORMAT}`,
    );
  }
  if (
    typeof format !== 'number' ||
    typeof epoch !== 'string' ||
    !/^[-0-9A-Z_a-z]{6}$/.test(epoch) ||
    !isWindow(window)
  ) {
    throw new Error(`${path} is damaged: it must hold format, epoch and window`);
  }
  return { epoch, window };
}

/** Writes them for a new log; durable when it resolves. */
export async function writeConstants(disk: Disk, folder: string, { epoch, window }: StoredConstants): Promise<void> {
  if (!isWindow(window))
    throw new RangeError(`window must be a whole number of records, 1 or more; got ${String(window)}`);
  const path = join(folder, CONSTANTS_FILE);
  const file = await disk.create(`${path}.new`);
  try {
    await writeWhole(file, Buffer.from(`${JSON.stringify({ format: LOG_FORMAT, epoch, window })}\n`), 0);
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.new`, path);
  await disk.syncFolder(folder);
}

function isWindow(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}
