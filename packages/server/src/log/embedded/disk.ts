/**
 * What the embedded log asks of a disk, so that tests can give it one that is full, slow, read-only or loses what was
 * not synced. The real one writes off the main thread.
 */
import {
  constants,
  close as closeFile,
  fdatasync,
  fstat,
  fsync,
  ftruncate,
  open as openFile,
  read as readBytes,
  write as writeBytes,
} from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { makeFolder } from '../missing-folders.ts';
import { lockFolder } from './folder-lock.ts';

export interface Disk {
  /** Makes a folder and the folders above it; no error where it exists. */
  makeFolder(path: string): Promise<void>;
  list(folder: string): Promise<readonly string[]>;
  /** A whole small file; `undefined` where there is none. */
  readFile(path: string): Promise<Buffer | undefined>;
  /** A new empty file, in place of one that may stand there, to write and to read. */
  create(path: string): Promise<DiskFile>;
  /** A file that exists: to read, or to write and to read. */
  open(path: string, use: 'read' | 'write'): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals inside the folder durable. */
  syncFolder(path: string): Promise<void>;
  /**
   * Keeps other processes out until the returned function is called or this process ends, however it ends. To `read`
   * leaves no trace, and takes nothing where nobody ever locked. Rejects with a `FolderInUseError`.
   */
  lock(folder: string, use: 'read' | 'write'): Promise<() => void>;
  /**
   * Names this run of the machine: while it is the same, what a process has written is there, whether or not it was
   * synced. `undefined` where the platform has no name for it.
   */
  bootId(): Promise<string | undefined>;
}

export interface DiskFile {
  size(): Promise<number>;
  /** Fills the buffer from `at` on; returns how many bytes there were. */
  read(into: Buffer, at: number): Promise<number>;
  /**
   * Writes in one call at `at` and returns how many bytes were taken: they are durable when it resolves. The buffer
   * must stay as it is until then. Rejects with a `WriteError`.
   */
  write(bytes: Buffer, at: number): Promise<number>;
  /** Cuts the file; durable when it resolves. */
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** A write that failed. */
export class WriteError extends Error {
  /**
   * True when the sync failed, or may have: the kernel may now call pages clean that never reached the disk, so what
   * this file holds beyond the last good write cannot be known, and no later sync of it proves anything.
   */
  readonly syncFailed: boolean;

  constructor(cause: Error, syncFailed: boolean) {
    super(cause.message, { cause });
    this.name = 'WriteError';
    this.syncFailed = syncFailed;
  }
}

/** Writes all of it in one call, or rejects with a `WriteError`. */
export async function writeWhole(file: DiskFile, bytes: Buffer, at: number): Promise<void> {
  const taken = await file.write(bytes, at);
  if (taken < bytes.length) throw new WriteError(new Error(`only ${taken} of ${bytes.length} bytes were taken`), false);
}

const OPEN = promisify(openFile);
const CLOSE = promisify(closeFile);
const STAT = promisify(fstat);
const SYNC = promisify(fsync);
const SYNC_DATA = promisify(fdatasync);
const TRUNCATE = promisify(ftruncate);

/**
 * Writes carry their own sync where the platform has O_DSYNC and means it. Windows has none (the constant is
 * undefined there, and `flags | undefined` would silently not sync); on macOS it does not flush the drive, while
 * fsync does (F_FULLFSYNC).
 */
const SYNC_FLAG = process.platform === 'darwin' ? 0 : ((constants.O_DSYNC as number | undefined) ?? 0);

/** Refused for want of room, before anything could be half synced. */
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

class NodeFile implements DiskFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  async size(): Promise<number> {
    return (await STAT(this.#fd)).size;
  }

  read(into: Buffer, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      readBytes(this.#fd, into, 0, into.length, at, (error, count) =>
        error === null ? resolve(count) : reject(error),
      );
    });
  }

  write(bytes: Buffer, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      writeBytes(this.#fd, bytes, 0, bytes.length, at, (error, count) => {
        if (error !== null) reject(new WriteError(error, SYNC_FLAG !== 0 && !NO_ROOM.has(error.code ?? '')));
        else if (SYNC_FLAG !== 0) resolve(count);
        else {
          fdatasync(this.#fd, (failed) => (failed === null ? resolve(count) : reject(new WriteError(failed, true))));
        }
      });
    });
  }

  async truncate(bytes: number): Promise<void> {
    await TRUNCATE(this.#fd, bytes);
    await SYNC_DATA(this.#fd);
  }

  async close(): Promise<void> {
    await CLOSE(this.#fd);
  }
}

export const nodeDisk: Disk = {
  makeFolder,
  list: (folder) => readdir(folder),
  async readFile(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  },
  async create(path) {
    return new NodeFile(await OPEN(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | SYNC_FLAG, 0o600));
  },
  async open(path, use) {
    return new NodeFile(await OPEN(path, use === 'read' ? constants.O_RDONLY : constants.O_RDWR | SYNC_FLAG));
  },
  rename,
  remove: (path) => rm(path),
  async syncFolder(path) {
    // Windows cannot open a folder to sync it and journals its names by itself.
    if (process.platform === 'win32') return;
    const fd = await OPEN(path, constants.O_RDONLY);
    try {
      await SYNC(fd);
    } finally {
      await CLOSE(fd);
    }
  },
  lock: lockFolder,
  async bootId() {
    if (process.platform !== 'linux') return undefined;
    const text = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
    return text.trim() || undefined;
  },
};
