/** Runs the programs that documents and examples show, in folders and processes of their own, and reads what they say. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

const root = join(import.meta.dirname, '../..');
const DEADLINE_MS = 60_000;

/** A folder outside of the repository in which the packages of this repository can be imported; removed at the end. */
export function projectFolder(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'tideway-docs-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return folder;
}

/** Where a program of this name is; the places of servers included, which not everybody's PATH has. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** A running program; ended with the test at the latest. */
export class Program {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #said = '';
  #onSaid = (): void => {};

  constructor(
    t: Pick<TestContext, 'after'>,
    folder: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    /** Another program than this Node. */
    executable?: string,
  ) {
    const nodeArgs = executable === undefined ? ['--conditions=tideway-source'] : [];
    const child = spawn(executable ?? process.execPath, [...nodeArgs, ...args], {
      cwd: folder,
      env: { ...process.env, NODE_TEST_CONTEXT: '', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
        this.#onSaid();
      });
    }
    this.#ended = new Promise((resolve) => child.once('close', resolve));
    t.after(() => this.kill('SIGKILL'));
  }

  /** Everything it said until now, both streams. */
  get said(): string {
    return this.#said;
  }

  /** The first match in what it says; rejects when it does not come in time or the program ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const look = (): boolean => {
      const match = pattern.exec(this.#said);
      if (match !== null) resolve(match);
      return match !== null;
    };
    const fail = (why: string): void => reject(new Error(`${why} without saying ${String(pattern)}:\n${this.#said}`));
    const deadline = setTimeout(() => fail(`${DEADLINE_MS} ms passed`), DEADLINE_MS);
    this.#onSaid = () => void look();
    void this.#ended.then((code) => look() || fail(`it ended with ${String(code)}`));
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Sends a signal; resolves with the exit code once it has ended. */
  async kill(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return await this.#ended;
  }
}
