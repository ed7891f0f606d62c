/**
 * One process for each folder. The lock is the kernel's (by way of SQLite, the only door Node has to it): it ends with
 * its process however that ends, so nothing can stay stuck, no process id can be mistaken for another, and it holds
 * between containers that share a volume.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LOCK_FILE = 'lock';
/** Who holds it, for the refusal's message only. */
const OWNER_FILE = 'lock.pid';
const SQLITE_BUSY = 5;

/** The folder is another process's, or another log's of this one. */
export class FolderInUseError extends Error {
  constructor(folder: string, pid: string | undefined) {
    super(
      `the folder ${folder} is in use by ${pid === undefined ? 'another process' : `process ${pid}`}; one process at a time may open it`,
    );
    this.name = 'FolderInUseError';
  }
}

/** Takes the folder's lock; the returned function gives it back. */
export async function lockFolder(folder: string): Promise<() => void> {
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(join(folder, LOCK_FILE));
  try {
    // Nothing is ever written to this database: no journal is needed, and a full disk still locks.
    database.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY)
      throw new FolderInUseError(folder, await ownerOf(folder));
    throw new Error(`the folder ${folder} cannot be locked: ${(error as Error).message}`, { cause: error });
  }
  // On a full disk the lock holds all the same; only the message of a refusal says less.
  await writeFile(join(folder, OWNER_FILE), `${process.pid}\n`).catch(() => undefined);
  return () => database.close();
}

async function ownerOf(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, OWNER_FILE), 'utf8').catch(() => '');
  return /^\d+$/.exec(text.trim())?.[0];
}
