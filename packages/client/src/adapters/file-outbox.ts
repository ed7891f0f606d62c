/**
 * An outbox in a file, for Node: changes are appended as lines of JSON and are on the disk before they count; what is
 * over is dropped when it outweighs the rest. One owner: a lock file beside it holds the process's id.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { OutboxEntry, OutboxStore } from '../outbox-store.ts';

/** A file larger than this, most of which is over, is written anew. */
const COMPACT_BYTES = 1024 * 1024;

type Change =
  | { readonly put: Omit<OutboxEntry, 'payload'> & { readonly json?: string; readonly base64?: string } }
  | { readonly remove: string };

/** Files that this process owns: its id alone does not say so, since ids are used again. */
const owned = new Set<string>();

/**
 * Keeps appends without answer in a file, so that they outlive the process. The folder must exist; another process on
 * the same file is refused.
 *
 * @example connect({ url: 'https://live.example.com', outbox: fileOutbox('./outbox.ndjson') })
 */
export function fileOutbox(file: string): OutboxStore {
  const path = resolve(file);
  const entries = new Map<string, OutboxEntry>();
  let handle: FileHandle | undefined;
  let bytes = 0;

  async function write(changes: readonly Change[]): Promise<void> {
    if (handle === undefined) throw new Error(`the outbox ${path} is not open`);
    const text = changes.map((change) => `${JSON.stringify(change)}\n`).join('');
    await handle.appendFile(text);
    await handle.datasync();
    bytes += Buffer.byteLength(text);
    if (bytes > COMPACT_BYTES && bytes > 4 * liveBytes(entries)) await compact();
  }

  /** Puts a file with what is left in the place of the old one, so that at each moment one of them is whole. */
  async function compact(): Promise<void> {
    const text = [...entries.values()].map((entry) => `${JSON.stringify({ put: lineOf(entry) })}\n`).join('');
    const next = await open(`${path}.next`, 'w');
    await next.writeFile(text);
    await next.datasync();
    await rename(`${path}.next`, path);
    await syncFolder(dirname(path));
    await handle?.close();
    handle = next;
    bytes = Buffer.byteLength(text);
  }

  return {
    async open() {
      lock(path);
      for (const change of parseChanges(path, await readIfThere(path))) {
        if ('put' in change) entries.set(change.put.rid, entryOf(change.put));
        else entries.delete(change.remove);
      }
      // Written anew at each start: what a crash tore off at the end is gone, and so is what is over.
      await compact();
      return [...entries.values()];
    },
    async put(added) {
      for (const entry of added) entries.set(entry.rid, entry);
      await write(added.map((entry) => ({ put: lineOf(entry) })));
    },
    async remove(rids) {
      for (const rid of rids) entries.delete(rid);
      await write(rids.map((rid) => ({ remove: rid })));
    },
    async close() {
      await handle?.close();
      handle = undefined;
      unlock(path);
    },
  };
}

function liveBytes(entries: ReadonlyMap<string, OutboxEntry>): number {
  let sum = 0;
  for (const { payload } of entries.values()) sum += payload.length + 200;
  return sum;
}

function lineOf({ payload, ...entry }: OutboxEntry): Extract<Change, { put: unknown }>['put'] {
  return typeof payload === 'string'
    ? { ...entry, json: payload }
    : { ...entry, base64: Buffer.from(payload).toString('base64') };
}

function entryOf({ json, base64, ...entry }: Extract<Change, { put: unknown }>['put']): OutboxEntry {
  return { ...entry, payload: base64 === undefined ? (json ?? 'null') : new Uint8Array(Buffer.from(base64, 'base64')) };
}

/** A last line without its end was torn by a crash: it never counted. Damage anywhere else is never skipped. */
function parseChanges(path: string, text: string): Change[] {
  const lines = text.split('\n');
  lines.pop();
  return lines.map((line, index) => {
    try {
      // Written by `write` above, line by line.
      return JSON.parse(line) as Change;
    } catch (cause) {
      throw new Error(`the outbox ${path} is damaged in line ${index + 1}; repair it or move it away`, { cause });
    }
  });
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** Not every system can sync a folder; those that cannot make renames durable by themselves. */
async function syncFolder(path: string): Promise<void> {
  try {
    await using folder = await open(path, 'r');
    await folder.sync();
  } catch (error) {
    if (process.platform !== 'win32') throw error;
  }
}

function lock(path: string): void {
  const lockPath = `${path}.lock`;
  if (!owned.has(path) && !isHeld(lockPath)) rmSync(lockPath, { force: true });
  try {
    writeFileSync(lockPath, String(process.pid), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Error(`the outbox ${path} is used by another client; ${lockPath} names its process`, { cause: error });
  }
  owned.add(path);
}

function unlock(path: string): void {
  if (!owned.delete(path)) return;
  rmSync(`${path}.lock`, { force: true });
}

/** True when the process that a lock names still runs. */
function isHeld(lockPath: string): boolean {
  try {
    const pid = Number(readFileSync(lockPath, 'utf8'));
    if (pid === process.pid || !Number.isSafeInteger(pid) || pid < 1) return false;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
