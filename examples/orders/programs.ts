/**
 * Keeps the programs beside the server: starts them, shows what they say, starts again what has ended, as whatever runs
 * your services would, and ends them with the server.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

const AGAIN_MS = 1_000;
/** What ends sooner than this has something to say, and would say it again. */
const TOO_SOON_MS = 1_500;

export interface Program {
  readonly name: string;
  readonly command: readonly [program: string, ...args: string[]];
  readonly environment?: Readonly<Record<string, string>>;
  /** Told of each line it says; without it the line is shown. */
  readonly onLine?: (line: string) => void;
  /** Told why it does not run and is not started again. */
  readonly onFailure?: (why: string) => void;
}

/** Runs a program until the returned function is called. */
export function keepRunning(options: Program): () => void {
  const { name, command, environment } = options;
  const show = (text: string): void => console.log(`${name.padEnd(13)} ${text}`);
  const { onLine = show, onFailure = show } = options;
  let isWanted = true;
  let child: ChildProcess | undefined;
  const start = (): void => {
    const startedMs = performance.now();
    const [program, ...args] = command;
    // A group of its own: Ctrl-C is for the server, which ends them in order.
    child = spawn(program, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    if (child.pid !== undefined) show(`runs as ${child.pid}`);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface(stream).on('line', onLine);
    }
    child.on('error', (error) => onFailure(error.message));
    child.on('exit', (code, signal) => {
      if (!isWanted) return;
      if (signal === null && performance.now() - startedMs < TOO_SOON_MS) return onFailure(`ended with ${code}`);
      show(`ended (${signal ?? code}); it is started again`);
      setTimeout(() => isWanted && start(), AGAIN_MS);
    });
  };
  const end = (): void => {
    isWanted = false;
    child?.kill('SIGTERM');
  };
  process.on('exit', end);
  start();
  return end;
}

/** Starts redis-server on a free port; it keeps its data beside the server's, and ends when this process does. */
export async function startRedis(): Promise<string> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const folder = 'tideway-data/redis';
  mkdirSync(folder, { recursive: true });
  const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder];
  // What it has answered must be there after a kill.
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  await new Promise<void>((resolve, reject) => {
    keepRunning({
      name: 'redis',
      command: ['redis-server', ...place, ...durable],
      onLine(line) {
        if (line.includes('Ready to accept connections')) resolve();
      },
      onFailure: (why) => reject(new Error(`this example needs redis-server, or REDIS_URL (redis-server: ${why})`)),
    });
  });
  return `redis://127.0.0.1:${port}`;
}
