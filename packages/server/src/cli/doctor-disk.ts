/** What `doctor` looks at on the disk of the data folder: is it one, has it room, how long does a durable write take. */
import { constants } from 'node:fs';
import { access, mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { bad, good, warning, type Finding } from './finding.ts';

const GIB = 1024 ** 3;
/** The types that statfs gives for file systems in memory: tmpfs, ramfs. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6]);
const WRITES = 60;
const WRITE_BYTES = 4_096;
const SYNC_SLOW_MS = 50;

export async function* examineDisk(data: string, logBytes: number): AsyncIterable<Finding> {
  const folder = await nearestFolder(resolve(data));
  try {
    await access(folder, constants.W_OK | constants.R_OK);
  } catch {
    yield bad('data', `${folder} cannot be written`, 'give the folder to the user that runs the server');
    return;
  }
  yield good('data', folder === resolve(data) ? `${folder} can be written` : `${data} can be made in ${folder}`);
  const { bavail, bsize, type } = await statfs(folder);
  if (IN_MEMORY.has(type))
    yield warning('disk', `${folder} lies in memory`, 'what is durable there ends with the machine');
  yield freeSpace(bavail * bsize, logBytes);
  yield syncTime(await durableWrites(folder));
}

/** The folder itself, or where it would be made. */
async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const exists = await access(folder).then(
      () => true,
      () => false,
    );
    if (exists || folder === dirname(folder)) return folder;
  }
}

export function freeSpace(bytes: number, logBytes: number): Finding {
  const shown = `${(bytes / GIB).toFixed(1)} GiB are free`;
  // The log up to its size, and about as much again for the view.
  return bytes >= 2 * logBytes
    ? good('space', shown)
    : warning(
        'space',
        shown,
        `the log may grow to ${(logBytes / GIB).toFixed(1)} GiB and the view beside it about as much; see limits.logBytes`,
      );
}

/** How long each of some writes takes until it is durable, in the way the log writes. */
async function durableWrites(folder: string): Promise<number[]> {
  const own = await mkdtemp(join(folder, '.tideway-doctor-'));
  try {
    const file = await open(join(own, 'sync'), constants.O_CREAT | constants.O_WRONLY | (constants.O_DSYNC ?? 0));
    const bytes = Buffer.alloc(WRITE_BYTES, 1);
    const times: number[] = [];
    for (let n = 0; n < WRITES; n++) {
      const startMs = performance.now();
      await file.write(bytes);
      if (constants.O_DSYNC === undefined) await file.datasync();
      times.push(performance.now() - startMs);
    }
    await file.close();
    return times.toSorted((a, b) => a - b);
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

export function syncTime(sorted: readonly number[]): Finding {
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] as number;
  const [p50, p99] = [at(0.5), at(0.99)];
  const shown = `a durable write takes ${p50.toFixed(2)} ms (p50), ${p99.toFixed(2)} ms (p99)`;
  return p99 <= SYNC_SLOW_MS
    ? good('sync', shown)
    : warning('sync', shown, 'each append waits for one; a faster disk makes appends faster');
}
