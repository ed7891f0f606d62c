/**
 * A real server as a child process: started from source, told on stdout when it is ready, killed by the handle it was
 * started with. Used by the suites and the torture run.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './deadline.ts';
import { freePort } from './free-ports.ts';

const MAIN = fileURLToPath(new URL('../../../server/src/cli/main.ts', import.meta.url));
const LEASH = new URL('./leash.ts', import.meta.url).href;
/** The server's last words that are kept for whoever asks why it ended. */
const LINES_KEPT = 200;

export interface ServerOptions {
  /** The folder of its data. */
  readonly data: string;
  /** Flags behind `tideway dev`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A module that is loaded before the server; it may be spoken to with `tell`. */
  readonly preload?: URL;
  /** Told of each line of the server's own log. */
  readonly onLogLine?: (line: string) => void;
}

export class ServerProcess {
  /** The same at each start, so one that nobody else is given meanwhile; 0 before the first. */
  port = 0;
  #scheme = 'http:';
  readonly #options: ServerOptions;
  #child: ChildProcess | undefined;
  readonly lines: string[] = [];
  #isAsked = false;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  get url(): string {
    return `${this.#scheme}//127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it and waits until it says that it is ready; rejects when it ends before, by whichever hand. */
  async start(deadlineMs = 120_000): Promise<void> {
    if (this.port === 0) this.port = await freePort();
    const { data, flags = [], env, preload } = this.#options;
    const child = spawn(
      process.execPath,
      [
        '--conditions=tideway-source',
        '--disable-warning=ExperimentalWarning',
        ...[LEASH, ...(preload === undefined ? [] : [preload.href])].flatMap((module) => ['--import', module]),
        ...[MAIN, 'dev', '--port', String(this.port), '--data', data, '--json', ...flags],
      ],
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, ...env } },
    );
    this.#child = child;
    this.#isAsked = false;
    this.lines.length = 0;
    const stderr = createInterface({ input: child.stderr as NodeJS.ReadableStream });
    stderr.on('line', (line) => {
      this.lines.push(line);
      if (this.lines.length > LINES_KEPT) this.lines.shift();
      this.#options.onLogLine?.(line);
    });
    const ready = new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
        const said = parseReady(line);
        if (said === undefined) return;
        const { protocol, port } = new URL(said);
        this.#scheme = protocol;
        this.port = Number(port);
        resolve();
      });
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(
          new Error(`the server ended (${signal ?? code}) before it was ready:\n${this.lines.slice(-20).join('\n')}`),
        ),
      );
    });
    await within(ready, deadlineMs, 'the server to be ready');
  }

  /** Says something to the preloaded module; lost where the server is just going down. */
  tell(message: object): void {
    if (this.#child?.connected === true) this.#child.send(message, () => {});
  }

  /** `kill -9`, and waits until it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Asks it to stop; gives its exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** True when it is not running: never started, killed, or ended by itself. */
  get hasEnded(): boolean {
    const child = this.#child;
    return child === undefined || child.exitCode !== null || child.signalCode !== null;
  }

  /** Resolves when it is gone, by whichever hand. */
  async gone(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await once(child, 'exit');
  }

  /** True from when it was asked to stop, or killed, until it is started again. */
  get isStopping(): boolean {
    return this.#isAsked || this.hasEnded;
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    this.#isAsked = true;
    const child = this.#child;
    if (child === undefined) return null;
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await within(this.gone(), 60_000, `the server to end after ${signal}`);
    }
    return child.exitCode;
  }
}

function parseReady(line: string): string | undefined {
  try {
    const said = JSON.parse(line) as { readonly event?: unknown; readonly url?: unknown };
    return said.event === 'ready' && typeof said.url === 'string' ? said.url : undefined;
  } catch {
    return undefined;
  }
}
