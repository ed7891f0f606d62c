/**
 * An outbox in a file, for Node: changes are appended as lines of JSON and are on the disk before they count; what is
 * over is dropped when it outweighs the rest.
 */
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { OutboxEntry, OutboxStore } from '../outbox-store.ts';
import { lockFile, unlockFile } from './file-lock.ts';

/** A file larger than this, most of which is over, is written anew. */
const COMPACT_BYTES = 1024 * 1024;

type Change =
  | { readonly put: Omit<OutboxEntry, 'payload'> & { readonly json?: string; readonly base64?: string } }
  | { readonly remove: string };

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
  /** A write or sync failed: what the file holds behind its last whole line, nobody knows. */
  let isSuspect = false;

  async function write(changes: readonly Change[]): Promise<void> {
    if (handle === undefined) throw new Error(`the outbox ${path} is not open`);
    // Another file, with all that counts, these changes included: a sync that failed cannot be repeated.
    if (isSuspect) return compact();
    const text = changes.map((change) => `${JSON.stringify(change)}\n`).join('');
    isSuspect = true;
    await handle.appendFile(text);
    await handle.datasync();
    isSuspect = false;
    bytes += Buffer.byteLength(text);
    if (bytes > COMPACT_BYTES && bytes > 4 * liveBytes(entries)) await compact();
  }

  /** Puts a file with what is left in the place of the old one, so that at each moment one of them is whole. */
  async function compact(): Promise<void> {
    const text = [...entries.values()].map((entry) => `${JSON.stringify({ put: lineOf(entry) })}\n`).join('');
    const next = await open(`${path}.next`, 'w');
    try {
      await next.writeFile(text);
      await next.datasync();
      await rename(`${path}.next`, path);
    } catch (error) {
      await next.close();
      throw error;
    }
    const old = handle;
    handle = next;
    bytes = Buffer.byteLength(text);
    isSuspect = false;
    await old?.close();
    await syncFolder(dirname(path));
  }

  return {
    async open() {
      lockFile(path);
      try {
        entries.clear();
        for (const change of parseChanges(path, await readIfThere(path))) {
          if ('put' in change) entries.set(change.put.rid, entryOf(change.put));
          else entries.delete(change.remove);
        }
        // Written anew at each start: what a crash tore off at the end is gone, and so is what is over.
        await compact();
        return [...entries.values()];
      } catch (error) {
        unlockFile(path);
        throw error;
      }
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
      unlockFile(path);
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
