/**
 * One process for each folder. The lock is the kernel's (by way of SQLite, the only door Node has to it): it ends with
 * its process however that ends, so nothing can stay stuck, no process id can be mistaken for another, and it holds
 * between containers that share a volume.
 */
import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const LOCK_FILE = 'lock';
/** Who holds it, for the refusal's message only. */
const OWNER_FILE = 'lock.pid';
const SQLITE_BUSY = 5;

/** The folder is another process's, or another log's of this one. */
export class FolderInUseError extends Error {
  constructor(folder: string, pid: string | undefined) {
    const owner = pid === undefined ? 'another process' : `process ${pid}`;
    super(
      `the folder ${folder} is in use by ${owner}; one process at a time may open it: stop that one, or choose another folder`,
    );
    this.name = 'FolderInUseError';
  }
}

/** Takes the folder's lock; the returned function gives it back. */
export async function lockFolder(folder: string, use: 'read' | 'write'): Promise<() => void> {
  const path = join(folder, LOCK_FILE);
  if (use === 'read' && !(await exists(path))) return () => undefined;
  const unlock = await lockFile(folder, path);
  // On a full disk the lock holds all the same; only the message of a refusal says less.
  if (use === 'write') await writeFile(join(folder, OWNER_FILE), `${process.pid}\n`).catch(() => undefined);
  return unlock;
}

async function lockFile(folder: string, path: string): Promise<() => void> {
  const { DatabaseSync } = await import('node:sqlite');
  let database: InstanceType<typeof DatabaseSync> | undefined;
  try {
    const opened = new DatabaseSync(path);
    database = opened;
    // Nothing is ever written to this database, and its journal stays in memory: a full disk still locks.
    opened.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return () => opened.close();
  } catch (error) {
    database?.close();
    const { errcode, message } = error as Error & { errcode?: number };
    if (errcode === SQLITE_BUSY) throw new FolderInUseError(folder, await ownerOf(folder));
    throw new Error(`the folder ${folder} cannot be locked: ${message}; it must be writable`, { cause: error });
  }
}

async function ownerOf(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, OWNER_FILE), 'utf8').catch(() => '');
  return /^\d+$/.exec(text.trim())?.[0];
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
