/**
 * Loaded into the server before its own code: dies in the middle of a batch's write, makes the disk slow or full, and
 * sets the wall clock wrong, each when the parent says so. The server knows nothing of it.
 */
import fs, { appendFileSync, constants, writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import type { InsideMessage, KillMode } from './inside-message.ts';

/** Files opened for synchronous writing: those of the log, where such writing exists. */
const logFiles = new Set<number>();
const SYNC_FLAGS = ((constants.O_DSYNC as number | undefined) ?? 0) | ((constants.O_SYNC as number | undefined) ?? 0);

let killMode: KillMode | undefined;
let fraction = 0.5;
let writeDelayMs = 0;
let isFull = false;
let clockMs = Number(process.env['TORTURE_CLOCK_MS'] ?? 0);

const realNow = Date.now;
Date.now = () => realNow() + clockMs;

type OpenCallback = (error: NodeJS.ErrnoException | null, fd: number) => void;
const realOpen = fs.open as (path: fs.PathLike, flags: unknown, mode: unknown, callback: OpenCallback) => void;
const realClose = fs.close;
type WriteCallback = (error: NodeJS.ErrnoException | null, written: number, buffer: Buffer) => void;
type Write = (
  fd: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
  callback: WriteCallback,
) => void;
const realWrite = fs.write as unknown as Write;

/** How the server calls `open` and `write`: with all arguments. */
const tortured = {
  open(path: fs.PathLike, flags: unknown, ...rest: unknown[]): void {
    const callback = rest.at(-1) as OpenCallback;
    realOpen(path, flags, rest.length > 1 ? rest[0] : undefined, (error, fd) => {
      if (error === null && typeof flags === 'number' && (flags & SYNC_FLAGS) !== 0) logFiles.add(fd);
      callback(error, fd);
    });
  },
  close(fd: number, callback?: (error: NodeJS.ErrnoException | null) => void): void {
    logFiles.delete(fd);
    realClose(fd, callback);
  },
  write(...[fd, buffer, offset, length, position, callback]: Parameters<Write>): void {
    if (!logFiles.has(fd)) {
      realWrite(fd, buffer, offset, length, position, callback);
      return;
    }
    if (killMode !== undefined)
      die(killMode, fd, buffer.subarray(offset, offset + length), position, () =>
        realWrite(fd, buffer, offset, length, position, callback),
      );
    if (isFull) {
      const written = Math.floor(length * fraction);
      if (written > 0) writeSync(fd, buffer, offset, written, position);
      const error: NodeJS.ErrnoException = Object.assign(new Error('ENOSPC: no space left on device, write'), {
        code: 'ENOSPC',
      });
      setImmediate(callback, error, 0, buffer);
    } else if (writeDelayMs > 0) {
      setTimeout(() => realWrite(fd, buffer, offset, length, position, callback), writeDelayMs);
    } else realWrite(fd, buffer, offset, length, position, callback);
  },
};

/** Leaves a note of what was under way, and dies as `kill -9` would have it. */
function die(mode: KillMode, fd: number, batch: Buffer, position: number, begin: () => void): void {
  let written = 0;
  switch (mode) {
    case 'before':
      break;
    case 'torn':
      written = Math.min(batch.length - 1, Math.max(1, Math.floor(batch.length * fraction)));
      writeSync(fd, batch, 0, written, position);
      break;
    case 'during':
      written = -1;
      begin();
      break;
    case 'after':
      written = batch.length;
      writeSync(fd, batch, 0, written, position);
      break;
    default:
      mode satisfies never;
  }
  const evidence = process.env['TORTURE_EVIDENCE'];
  if (evidence !== undefined) appendFileSync(evidence, `${JSON.stringify({ mode, bytes: batch.length, written })}\n`);
  process.kill(process.pid, 'SIGKILL');
}

Object.assign(fs, tortured);
syncBuiltinESMExports();

process.on('message', (message: InsideMessage) => {
  killMode = message.kill ?? killMode;
  fraction = message.fraction ?? fraction;
  writeDelayMs = message.writeDelayMs ?? writeDelayMs;
  isFull = message.diskFull ?? isFull;
  clockMs = message.clockMs ?? clockMs;
});
// Listening keeps the channel to the parent, and with it this process, alive unless it is taken back.
process.channel?.unref();
