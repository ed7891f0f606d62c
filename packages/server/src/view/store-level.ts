/**
 * The view's store on disk: LevelDB in a folder of its own. Writes are not synced: the log is what survives. Every
 * value carries its checksum, because LevelDB does not look at its own when it reads.
 */
import { mkdir, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ClassicLevel } from 'classic-level';
import { StoreError, type Store, type StoreKey, type StoreOp, type StoreRange, type StoreScan } from './store.ts';

/** Changes when an older server could not read what this one writes. */
const FORMAT = 1;
const FORMAT_FILE = 'format';
const RECORDS_FOLDER = 'records';
/** Only the last damaged store is kept: it is for a person to look at, not a backup. */
const ASIDE_FOLDER = 'records-set-aside';
const PROBE_FILE = 'room-probe';
/** Opening anew writes the write buffer (4 MiB) as a table, and compactions need room beside it. */
const ROOM_BYTES = 16 * 1024 * 1024;
const PROBE_BYTES = 64 * 1024;
const CHECKSUM_BYTES = 4;

export class LevelStore implements Store {
  readonly #folder: string;
  #level: ClassicLevel<string, Buffer> | undefined;

  /** @param folder where it lives; made when it is missing */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true });
      await this.#checkFormat();
      const level = new ClassicLevel<string, Buffer>(join(this.#folder, RECORDS_FOLDER), {
        keyEncoding: 'utf8',
        valueEncoding: 'buffer',
      });
      await level.open();
      this.#level = level;
    } catch (error) {
      throw this.#storeError(error, 'cannot be opened');
    }
  }

  getSync(key: StoreKey): Buffer | undefined {
    try {
      const sealed = this.#opened().getSync(key);
      return sealed === undefined ? undefined : unseal(key, sealed);
    } catch (error) {
      throw this.#storeError(error, 'cannot be read');
    }
  }

  async scan({ bytes, ...range }: StoreRange): Promise<StoreScan> {
    try {
      const iterator = this.#opened().iterator({
        ...range,
        highWaterMarkBytes: Math.min(bytes, 2 ** 31),
        fillCache: true,
      });
      try {
        const found = await iterator.nextv(range.limit);
        const entries = found.map(([key, sealed]) => ({ key, value: unseal(key, sealed) }));
        let size = 0;
        for (const [key, sealed] of found) size += key.length + sealed.length;
        return { entries, end: entries.length < range.limit && size <= bytes };
      } finally {
        await iterator.close();
      }
    } catch (error) {
      throw this.#storeError(error, 'cannot be read');
    }
  }

  async write(ops: readonly StoreOp[]): Promise<void> {
    try {
      await this.#opened().batch(
        ops.map((op) =>
          op.type === 'put'
            ? { type: 'put', key: op.key, value: seal(op.value, op.key) }
            : { type: 'del', key: op.key },
        ),
      );
    } catch (error) {
      throw this.#storeError(error, 'cannot be written');
    }
  }

  async hasRoom(): Promise<boolean> {
    const probe = join(this.#folder, PROBE_FILE);
    try {
      // Gone, it is made again: the view then finds it empty, and is made anew from the log.
      await mkdir(this.#folder, { recursive: true });
      const { bavail, bsize } = await statfs(this.#folder);
      if (bavail * bsize < ROOM_BYTES) return false;
      // A disk that has room may still be read-only, or another's quota may be used up.
      await writeFile(probe, Buffer.alloc(PROBE_BYTES, 1), { flush: true });
      return true;
    } catch {
      return false;
    } finally {
      await rm(probe, { force: true }).catch(() => {});
    }
  }

  async setAside(): Promise<string> {
    await this.close();
    const aside = join(this.#folder, ASIDE_FOLDER);
    await rm(aside, { recursive: true, force: true });
    await rename(join(this.#folder, RECORDS_FOLDER), aside).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
    });
    return aside;
  }

  async close(): Promise<void> {
    const level = this.#level;
    this.#level = undefined;
    await level?.close();
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #opened(): ClassicLevel<string, Buffer> {
    if (this.#level === undefined) throw new StoreError('failed', `the view's store in ${this.#folder} is not open`);
    return this.#level;
  }

  async #checkFormat(): Promise<void> {
    const file = join(this.#folder, FORMAT_FILE);
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return writeFile(file, `${FORMAT}\n`);
    const found = Number(text);
    if (found <= FORMAT) return;
    throw new StoreError(
      'newer',
      `${this.#folder} holds a view of format ${text.trim()}; this server reads up to ${FORMAT}: use the newer server, or remove the folder to have the view made anew from the log`,
    );
  }

  #storeError(error: unknown, what: string): StoreError {
    if (error instanceof StoreError) return error;
    const { code, message } = rootOf(error);
    const why = code === 'LEVEL_LOCKED' ? 'another process holds it' : message;
    return new StoreError(reasonOf(code, message), `the view's store in ${this.#folder} ${what}: ${why}`, error);
  }
}

function reasonOf(code: unknown, message: string): StoreError['reason'] {
  if (code === 'LEVEL_LOCKED') return 'in_use';
  // A file that LevelDB knows of and that is not there.
  return code === 'LEVEL_CORRUPTION' || /No such file/.test(message) ? 'damaged' : 'failed';
}

/** A checksum over key and value: a value under another key is damage, too. */
function checksum(key: StoreKey, value: Buffer): number {
  return crc32(value, crc32(key));
}

function seal(value: Buffer, key: StoreKey): Buffer {
  const sealed = Buffer.allocUnsafe(value.length + CHECKSUM_BYTES);
  sealed.set(value);
  sealed.writeUInt32LE(checksum(key, value), value.length);
  return sealed;
}

function unseal(key: StoreKey, sealed: Buffer): Buffer {
  const length = sealed.length - CHECKSUM_BYTES;
  if (length >= 0) {
    const value = sealed.subarray(0, length);
    if (sealed.readUInt32LE(length) === checksum(key, value)) return value;
  }
  throw new StoreError('damaged', `the view's store holds a value that is not as it was written`);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** LevelDB's own error lies beneath those of the library around it. */
function rootOf(error: unknown): { readonly code: unknown; readonly message: string } {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error) root = root.cause;
  return { code: codeOf(root), message: root instanceof Error ? root.message : String(root) };
}
