/**
 * One owner of a file among the processes of this machine: a lock file beside it names the process, and one that was
 * left by a process that died is taken over.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** Paths that this process owns. */
const owned = new Set<string>();

/**
 * @throws Error when another client of this or another process owns the file; it names the lock
 */
export function lockFile(path: string): void {
  const lockPath = `${path}.lock`;
  const own = `${lockPath}.${process.pid}`;
  const refuse = (holder: string): Error =>
    new Error(
      `the file ${path} is used by another client, of process ${holder}; one client may use it at a time (${lockPath} names it)`,
    );
  if (owned.has(path)) throw refuse(`${process.pid}, this one`);
  // Made whole before it has its name, so that nobody ever reads half of it.
  writeFileSync(own, nameOf(process.pid));
  try {
    for (;;) {
      try {
        linkSync(own, lockPath);
        owned.add(path);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const found = readLock(lockPath);
      if (found === undefined) continue;
      if (isAlive(found)) throw refuse(found.split(' ')[0] ?? '');
      takeAway(lockPath, found);
    }
  } finally {
    rmSync(own, { force: true });
  }
}

export function unlockFile(path: string): void {
  if (owned.delete(path)) rmSync(`${path}.lock`, { force: true });
}

/** Removes a dead process's lock; one that another process has put there meanwhile is put back. */
function takeAway(lockPath: string, dead: string): void {
  const aside = `${lockPath}.${process.pid}.dead`;
  try {
    renameSync(lockPath, aside);
    if (readFileSync(aside, 'utf8') !== dead) linkSync(aside, lockPath);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function readLock(lockPath: string): string | undefined {
  try {
    return readFileSync(lockPath, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The id and, where the system says it, the start of a process: ids are used again. */
function nameOf(pid: number): string {
  try {
    // The 22nd field; the 2nd is in parentheses and may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop()?.split(' ');
    return `${pid} ${fields?.[19] ?? ''}`.trim();
  } catch {
    return String(pid);
  }
}

function isAlive(name: string): boolean {
  const pid = Number(name.split(' ')[0]);
  // This process does not own the file: who wrote this had the same id in an earlier life.
  if (!Number.isSafeInteger(pid) || pid < 1 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return !name.includes(' ') || nameOf(pid) === name;
}
