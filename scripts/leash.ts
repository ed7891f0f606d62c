/**
 * The leash of a test's or a demo's helpers: one process that outlives this one for a moment, however it ends, and then
 * ends what this one had started and removes what that had written. Told over its standard input, of which only the
 * newest line counts.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A line that is not whole is none: `read` fails at the end of the input, whatever stands before it. */
const program = 'while IFS= read -r line; do last=$line; done; eval "$last"';

const pids = new Set<number>();
const folders = new Set<string>();
let shell: ChildProcess | undefined;

/** Holds a process until it ends. */
export function hold(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  pids.add(pid);
  child.once('exit', () => {
    pids.delete(pid);
    tell();
  });
  tell();
}

/** A new folder for one that is held; whoever stops it removes the folder, else the leash does. */
export async function heldFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  folders.add(folder);
  tell();
  return folder;
}

/** Whether a process of that id runs. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function tell(): void {
  const ends = pids.size === 0 ? '' : `kill -9 ${[...pids].join(' ')}; `;
  const remove = `rm -rf ${[...folders].map((folder) => `'${folder.replaceAll("'", `'\\''`)}'`).join(' ')}`;
  // What has just been killed may still have written.
  leash().stdin?.write(`${ends}${remove} || { sleep 1; ${remove}; }\n`);
}

function leash(): ChildProcess {
  if (shell !== undefined) return shell;
  // Ctrl-C goes to the whole group of a terminal; this one must not hear it.
  shell = spawn('/bin/sh', ['-c', program], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.on('error', () => {});
  shell.stdin?.on('error', () => {});
  shell.unref();
  return shell;
}
