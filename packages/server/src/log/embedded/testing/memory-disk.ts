/**
 * A disk in memory that fails on demand, and on a power cut keeps or loses each sector that was not synced: what the
 * embedded log must live with, played thousands of times in a second. For tests and simulations.
 */
import { dirname } from 'node:path';
import { WriteError, type Disk, type DiskFile } from '../disk.ts';
import { FolderInUseError } from '../folder-lock.ts';

/** A call that changes something. */
export interface DiskCall {
  readonly what: 'create' | 'write' | 'truncate' | 'rename' | 'remove' | 'sync-folder';
  readonly path: string;
  readonly bytes: number;
}

/** How a call ends other than well. */
export type DiskFault =
  /** Nothing of it happens. */
  | { readonly fails: 'before'; readonly code: string }
  /** Of a write: so many bytes are taken, and nothing else is said. */
  | { readonly fails: 'short'; readonly bytes: number }
  /** It happens, but not on the disk, and no later sync brings it there. */
  | { readonly fails: 'sync'; readonly code: string }
  /** The process dies, or the power goes, in the middle of it. */
  | { readonly fails: 'kill' | 'power' };

const SECTOR_BYTES = 512;

let boots = 0;

interface Inode {
  /** What a process reads. */
  content: Buffer;
  /** What is on the disk for sure; where the two differ, a power cut decides. */
  durable: Buffer;
}

export class MemoryDisk {
  /** Asked before each call that changes something. */
  onCall: ((call: DiskCall) => DiskFault | undefined) | undefined;
  /** Room for all files together. */
  capacityBytes = Number.POSITIVE_INFINITY;
  readonly #random: () => number;
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  /** Changes of names that no sync of their folder has made durable yet, in order. */
  #looseNames: { readonly folder: string; readonly apply: (names: Map<string, Inode>) => void }[] = [];
  #locked = new Set<string>();
  #life = 0;
  /** Which run of the machine it is. */
  #boot: string;
  #held: Promise<void> = Promise.resolve();
  #died: (() => void) | undefined;

  /**
   * @param random in [0, 1): decides what a power cut keeps
   * @param boot the run of the machine, where it is that of another disk
   */
  constructor(random: () => number, boot = `boot ${boots++}`) {
    this.#random = random;
    this.#boot = boot;
  }

  get bootName(): string {
    return this.#boot;
  }

  /** Starts a process. It sees the disk until it dies; then its calls never return. */
  boot(): { readonly disk: Disk; readonly died: Promise<void> } {
    const died = new Promise<void>((resolve) => (this.#died = resolve));
    return { disk: this.#process(this.#life), died };
  }

  /** The process dies; the kernel lives on. */
  kill(): void {
    this.#life++;
    this.#locked.clear();
    this.#died?.();
  }

  /** The power goes: what was not synced is there or is not. */
  cutPower(): void {
    this.kill();
    this.#boot = `boot ${boots++}`;
    for (const { apply } of this.#looseNames) if (this.#random() < 0.5) apply(this.#durableNames);
    this.#looseNames = [];
    this.#names = new Map(this.#durableNames);
    for (const inode of this.#names.values()) this.#decide(inode);
  }

  /** Lets no call come back until the returned function is called. */
  hold(): () => void {
    let release = (): void => undefined;
    this.#held = new Promise((resolve) => (release = resolve));
    return release;
  }

  /** All files: what a copy of the folder would hold. */
  files(): ReadonlyMap<string, Buffer> {
    return new Map(Array.from(this.#names, ([path, { content }]) => [path, Buffer.from(content)]));
  }

  /** Puts a file there, as a restored copy or a damage would. */
  put(path: string, bytes: Buffer): void {
    const inode: Inode = { content: Buffer.from(bytes), durable: Buffer.from(bytes) };
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  /** Takes a file away. */
  drop(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  #decide(inode: Inode): void {
    const { content, durable } = inode;
    const length = this.#random() < 0.5 ? content.length : durable.length;
    const after = Buffer.alloc(length);
    for (let at = 0; at < length; at += SECTOR_BYTES) {
      const source = this.#random() < 0.5 ? content : durable;
      after.set(source.subarray(at, Math.min(at + SECTOR_BYTES, length)), at);
    }
    inode.content = after;
    inode.durable = Buffer.from(after);
  }

  #process(life: number): Disk {
    const call = async (what: DiskCall['what'], path: string, bytes = 0): Promise<DiskFault | undefined> => {
      await this.#turn(life);
      const fault = this.onCall?.({ what, path, bytes });
      if (fault?.fails === 'before') throw failure(fault.code, what, path);
      return fault;
    };
    /** A name changes at once for every process, and for good when its folder is synced. */
    const rename = async (
      what: 'create' | 'rename' | 'remove',
      path: string,
      apply: (names: Map<string, Inode>) => void,
    ): Promise<void> => {
      const fault = await call(what, path);
      apply(this.#names);
      this.#looseNames.push({ folder: dirname(path), apply });
      await this.#die(life, fault);
    };
    return {
      makeFolder: () => this.#turn(life),
      list: async (folder) => {
        await this.#turn(life);
        return [...this.#names.keys()]
          .filter((path) => dirname(path) === folder)
          .map((path) => path.slice(folder.length + 1));
      },
      readFile: async (path) => {
        await this.#turn(life);
        const content = this.#names.get(path)?.content;
        return content === undefined ? undefined : Buffer.from(content);
      },
      create: async (path) => {
        const inode: Inode = { content: Buffer.alloc(0), durable: Buffer.alloc(0) };
        await rename('create', path, (names) => names.set(path, inode));
        return this.#file(life, path, inode, call);
      },
      open: async (path) => {
        await this.#turn(life);
        const inode = this.#names.get(path);
        if (inode === undefined) throw failure('ENOENT', 'open', path);
        return this.#file(life, path, inode, call);
      },
      rename: async (from, to) => {
        const inode = this.#names.get(from);
        if (inode === undefined) throw failure('ENOENT', 'rename', from);
        await rename('rename', from, (names) => {
          names.delete(from);
          names.set(to, inode);
        });
      },
      remove: async (path) => {
        if (!this.#names.has(path)) throw failure('ENOENT', 'remove', path);
        await rename('remove', path, (names) => names.delete(path));
      },
      syncFolder: async (folder) => {
        const fault = await call('sync-folder', folder);
        if (fault?.fails === 'sync') throw failure(fault.code, 'sync', folder);
        await this.#die(life, fault);
        for (const loose of this.#looseNames) if (loose.folder === folder) loose.apply(this.#durableNames);
        this.#looseNames = this.#looseNames.filter((loose) => loose.folder !== folder);
      },
      lock: async (folder) => {
        await this.#turn(life);
        if (this.#locked.has(folder)) throw new FolderInUseError(folder, undefined);
        this.#locked.add(folder);
        return () => void (life === this.#life && this.#locked.delete(folder));
      },
      bootId: async () => {
        await this.#turn(life);
        return this.#boot;
      },
    };
  }

  #file(
    life: number,
    path: string,
    inode: Inode,
    call: (what: DiskCall['what'], path: string, bytes: number) => Promise<DiskFault | undefined>,
  ): DiskFile {
    // After a failed sync the kernel forgets what it still had to write: nothing this handle syncs can be trusted.
    let sick = false;
    return {
      size: async () => {
        await this.#turn(life);
        return inode.content.length;
      },
      read: async (into, at) => {
        await this.#turn(life);
        return at >= inode.content.length ? 0 : inode.content.copy(into, 0, at);
      },
      write: async (bytes, at) => {
        let fault: DiskFault | undefined;
        try {
          fault = await call('write', path, bytes.length);
        } catch (error) {
          throw new WriteError(error as Error, false);
        }
        let taken = this.#roomFor(inode, at, bytes.length);
        if (taken === 0 && bytes.length > 0) throw new WriteError(failure('ENOSPC', 'write', path), false);
        if (fault?.fails === 'short') taken = Math.min(taken, fault.bytes);
        // A killed process's write stops anywhere; one that the power interrupts is seen whole by nobody.
        if (fault?.fails === 'kill') taken = Math.floor(this.#random() * (taken + 1));
        inode.content = overwritten(inode.content, bytes.subarray(0, taken), at);
        await this.#die(life, fault);
        sick ||= fault?.fails === 'sync';
        if (fault?.fails === 'sync') throw new WriteError(failure(fault.code, 'write', path), true);
        if (!sick) inode.durable = overwritten(inode.durable, bytes.subarray(0, taken), at);
        return taken;
      },
      truncate: async (bytes) => {
        const fault = await call('truncate', path, bytes);
        inode.content = resized(inode.content, bytes);
        await this.#die(life, fault);
        sick ||= fault?.fails === 'sync';
        if (fault?.fails === 'sync') throw failure(fault.code, 'truncate', path);
        if (!sick) inode.durable = resized(inode.durable, bytes);
      },
      close: () => this.#turn(life),
    };
  }

  #roomFor(inode: Inode, at: number, bytes: number): number {
    let used = 0;
    for (const { content } of new Set(this.#names.values())) used += content.length;
    const grows = Math.max(0, at + bytes - inode.content.length);
    return bytes - Math.min(grows, Math.max(0, used + grows - this.capacityBytes));
  }

  /** Lets others run, as a real disk does; a process that died does not come back from its call. */
  async #turn(life: number): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    await this.#held;
    if (life !== this.#life) await new Promise<never>(() => undefined);
  }

  async #die(life: number, fault: DiskFault | undefined): Promise<void> {
    if (fault?.fails === 'kill') this.kill();
    if (fault?.fails === 'power') this.cutPower();
    if (life !== this.#life) await new Promise<never>(() => undefined);
  }
}

function overwritten(content: Buffer, bytes: Buffer, at: number): Buffer {
  const after = resized(content, Math.max(content.length, at + bytes.length));
  bytes.copy(after, at);
  return after;
}

function resized(content: Buffer, bytes: number): Buffer {
  const after = Buffer.alloc(bytes);
  after.set(content.subarray(0, bytes));
  return after;
}

function failure(code: string, what: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${what} '${path}'`), { code });
}
