/** A small disk of its own for a test, where this machine lets us mount one (Linux, as root). */
import { spawnSync } from 'node:child_process';
import { mkdtemp, open, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class SmallDisk {
  readonly folder: string;
  readonly #filler: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#filler = join(folder, 'filler');
  }

  /** A disk of this many bytes, or why there is none. */
  static async mount(bytes: number): Promise<SmallDisk | string> {
    const folder = await mkdtemp(join(tmpdir(), 'tideway-disk-'));
    const { status, stderr, error } = run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder]);
    if (status === 0) return new SmallDisk(folder);
    await rmdir(folder);
    return `a tmpfs cannot be mounted here: ${error?.message ?? stderr.trim()}`;
  }

  /** Takes every byte that is left. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, 'a');
    try {
      for (let bytes = 1024 * 1024; bytes >= 512;) {
        try {
          await file.write(Buffer.alloc(bytes, 1));
        } catch {
          bytes /= 2;
        }
      }
    } finally {
      await file.close();
    }
  }

  async empty(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  remount(how: 'ro' | 'rw'): void {
    const { status, stderr } = run('mount', ['-o', `remount,${how}`, this.folder]);
    if (status !== 0) throw new Error(`remount failed: ${stderr}`);
  }

  /** Also where a test failed and left files open. */
  async unmount(): Promise<void> {
    run('umount', ['-l', this.folder]);
    await rmdir(this.folder);
  }
}

function run(command: string, args: readonly string[]): ReturnType<typeof spawnSync> & { readonly stderr: string } {
  return spawnSync(command, args, { encoding: 'utf8' });
}
