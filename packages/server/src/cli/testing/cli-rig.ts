/** The real command line for its tests: as a process of its own, or called in this one with streams of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '@tideway/verifier/free-ports';
import { run } from '../run.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
/** Brokers that boot and back-off on a busy machine are within it. */
const DEADLINE_MS = 60_000;

/** What a test waits for must come, or it fails saying what it was. */
export async function within<T>(promise: Promise<T>, what: string | (() => string)): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`waited ${DEADLINE_MS} ms for ${typeof what === 'string' ? what : what()}`)),
      DEADLINE_MS,
    );
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-cli-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }));
  return folder;
}

export interface Finished {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly folder?: string;
  readonly stdin?: string;
  /** A shell's words before the program, such as `ulimit -n 64;`. */
  readonly shell?: string;
}

/** A command that runs: its lines as they come, and its end. */
export class CliProcess {
  readonly child: ChildProcess;
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly #ended: Promise<number | null>;
  readonly #waiting = new Set<() => void>();

  constructor(t: TestContext, args: readonly string[], options: CliOptions = {}) {
    const { environment = {}, folder, stdin, shell } = options;
    const [program, ...words] = [process.execPath, '--conditions=tideway-source', MAIN, ...args];
    const call =
      shell === undefined
        ? ([program, words] as const)
        : (['sh', ['-c', `${shell} exec "$0" "$@"`, program, ...words]] as const);
    const child = spawn(call[0], call[1], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
      ...(folder !== undefined && { cwd: folder }),
    });
    this.child = child;
    // A command that ends before it has read its input is no fault of the test.
    child.stdin.on('error', () => {});
    if (stdin !== undefined) child.stdin.end(stdin);
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        resolve(code);
        this.#wake();
      });
    });
    this.#gather(child.stdout, this.stdout);
    this.#gather(child.stderr, this.stderr);
    t.after(() => child.kill('SIGKILL'));
  }

  /** The first line of a stream that fits; rejects when the command ends without one. */
  async line(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<string> {
    let isOver = false;
    void this.#ended.then(() => (isOver = true));
    return within(
      (async () => {
        for (;;) {
          const found = this[stream].find((line) => pattern.test(line));
          if (found !== undefined) return found;
          if (isOver) throw new Error(`it ended without ${pattern}:\n${this.stderr.join('\n')}`);
          await new Promise<void>((resolve) => this.#waiting.add(resolve));
        }
      })(),
      () => `${pattern} on ${stream}; there was: ${this.#lastWords()}`,
    );
  }

  async finished(): Promise<Finished> {
    const exitCode = await within(this.#ended, () => `the end of the command; it said: ${this.#lastWords()}`);
    return { exitCode, stdout: joined(this.stdout), stderr: joined(this.stderr) };
  }

  #lastWords(): string {
    return [...this.stdout.slice(-5), ...this.stderr.slice(-5)].join('\n');
  }

  async end(signal: NodeJS.Signals): Promise<Finished> {
    this.child.kill(signal);
    return this.finished();
  }

  #gather(stream: Readable, lines: string[]): void {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      this.#wake();
    });
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** Runs a command to its end, as a process. */
export async function runCli(t: TestContext, args: readonly string[], options: CliOptions = {}): Promise<Finished> {
  return new CliProcess(t, args, { stdin: '', ...options }).finished();
}

export interface RunningServer {
  readonly process: CliProcess;
  readonly url: string;
  readonly port: number;
  /** For commands: says where the server is. */
  readonly environment: Readonly<Record<string, string>>;
}

/** `tideway dev` (or another command), ready, on a port that is still free when it is started there again. */
export async function startServer(
  t: TestContext,
  options: CliOptions & { readonly data: string; readonly command?: string; readonly args?: readonly string[] },
): Promise<RunningServer> {
  const { data, command = 'dev', args = [] } = options;
  const server = new CliProcess(
    t,
    [command, '--port', String(await freePort()), '--data', data, '--json', ...args],
    options,
  );
  const { url, port } = JSON.parse(await server.line('stdout', /"event":"ready"/)) as {
    readonly url: string;
    readonly port: number;
  };
  return { process: server, url, port, environment: { TIDEWAY_URL: url } };
}

/** Runs a command in this process; for those that start nothing and wait for nothing. */
export async function runHere(
  args: readonly string[],
  options: {
    readonly stdin?: string;
    readonly environment?: Readonly<Record<string, string>>;
    readonly folder?: string;
  } = {},
): Promise<Finished> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const said = Promise.all([text(stdout), text(stderr)]);
  const exitCode = await run(args, {
    stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]),
    stdout,
    stderr,
    environment: options.environment ?? {},
    folder: options.folder ?? tmpdir(),
  });
  stdout.end();
  stderr.end();
  const [out, talk] = await said;
  return { exitCode, stdout: out, stderr: talk };
}
