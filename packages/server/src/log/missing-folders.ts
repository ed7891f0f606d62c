/**
 * Makes a folder and those above it that are missing. Not by Node's `recursive`: that never ends where the folder above
 * is there and takes nothing, as /proc does.
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** Rejects with the system's error where there is no folder in the end. */
export async function makeFolder(path: string): Promise<void> {
  const folder = resolve(path);
  const above = dirname(folder);
  const error = await tryToMake(folder);
  if (error === undefined) return;
  if (error.code !== 'ENOENT' || above === folder) throw error;
  await makeFolder(above);
  // If that is not enough, what is missing is not the folder above.
  const last = await tryToMake(folder);
  if (last !== undefined) throw last;
}

/** `undefined` where there is a folder now. */
async function tryToMake(folder: string): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await mkdir(folder);
    return undefined;
  } catch (error) {
    const isThere = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    return isThere ? undefined : (error as NodeJS.ErrnoException);
  }
}
