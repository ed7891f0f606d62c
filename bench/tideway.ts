/** A Tideway server as a process of the bench, started from source as `npm start` starts it, and how to speak to it. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Appender, type AppenderOptions } from './appender.ts';
import { Child } from './child.ts';
import type { FanOutServer, StartFanOut } from './fan-out.ts';
import { outFolder } from './floors/compile.ts';
import { onlyChildOf } from './proc.ts';
import type { Dialect } from './receiver.ts';

const repository = join(import.meta.dirname, '..');
const sourceMain = join(repository, 'packages/server/src/cli/main.ts');
const packedMain = join(repository, 'packages/server/dist/cli/main.js');

/** Why the server cannot be measured; `undefined` when it can. */
export function missingTideway(packed = false): string | undefined {
  if (packed) return existsSync(packedMain) ? undefined : 'it is not built: npm run build';
  return existsSync(sourceMain) ? undefined : 'the server has no command line yet';
}

const dataFolders = new Set<string>();

/** A new folder for a server's data, on the disk the checkout is on: a system's /tmp may be memory. */
export function newDataFolder(): string {
  mkdirSync(outFolder, { recursive: true });
  const path = mkdtempSync(join(outFolder, 'data-'));
  dataFolders.add(path);
  return path;
}

export function removeDataFolder(path: string): void {
  dataFolders.delete(path);
  // A server that was killed a moment ago may still be putting a file there.
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
}

/** Removes what is left; for the way out. */
export function removeDataFolders(): void {
  for (const path of dataFolders) removeDataFolder(path);
}

export interface TidewayOptions {
  /** Where its data is kept; without it a new folder, which goes with the server. */
  readonly dataFolder?: string;
  /** `dev` lets anyone do anything; `serve` does as its environment says. */
  readonly command?: 'dev' | 'serve';
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[];
  readonly packed?: boolean;
}

export interface Tideway {
  readonly child: Child;
  readonly pid: number;
  readonly port: number;
  /** From the start of the process to its `ready`. */
  readonly startMs: number;
  /** Ends the process, cleanly, and removes a folder that was made for it. */
  stop(): Promise<void>;
}

export async function startTideway(options: TidewayOptions): Promise<Tideway> {
  const startedMs = performance.now();
  const nodeArgs = [...(options.nodeArgs ?? []), ...(options.packed ? [] : ['--conditions=tideway-source'])];
  const main = options.packed ? packedMain : sourceMain;
  const dataFolder = options.dataFolder ?? newDataFolder();
  const removeOwn = (): void => {
    if (options.dataFolder === undefined) removeDataFolder(dataFolder);
  };
  const command = [options.command ?? 'dev', '--port', '0', '--data', dataFolder, '--json'];
  const child = new Child(process.execPath, [...nodeArgs, main, ...command, ...(options.args ?? [])], {
    name: 'Tideway',
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  try {
    const { url } = await child.next('ready');
    const startMs = performance.now() - startedMs;
    return {
      child,
      pid: child.pid,
      port: Number(new URL(String(url)).port),
      startMs,
      async stop() {
        await child.stop();
        removeOwn();
      },
    };
  } catch (error) {
    child.kill('SIGKILL');
    await child.ended;
    removeOwn();
    throw error;
  }
}

const wire = { path: '/v1/ws', protocol: 'tideway.v1' } as const;

export function helloText(instance: string, token?: string): string {
  return JSON.stringify({ op: 'hello', id: 1, instance, ...(token === undefined ? {} : { token }), client: 'bench/1' });
}

export function subscribeText(channel: string, from = 'now'): string {
  return JSON.stringify({ op: 'subscribe', id: 2, channel, from });
}

/** Connections that say these frames (a `hello` and a `subscribe`, both with an `ok`) and then count records. */
export function tidewayDialect(scripts: readonly (readonly string[])[]): Dialect {
  return {
    ...wire,
    scripts,
    ready: { prefix: '{"op":"ok"', count: 2 },
    countPrefix: '{"op":"record"',
    ping: { prefix: '{"op":"ping"', pong: '{"op":"pong"}' },
    failPrefix: '{"op":"error"',
  };
}

export function newAppender(
  port: number,
  options: Omit<AppenderOptions, 'port' | 'path' | 'protocol' | 'hello'> & { readonly token?: string },
): Appender {
  return new Appender({ ...options, ...wire, port, hello: helloText('bench-appender', options.token) });
}

/** Adds what the server's own log warned of to an error that its clients saw. */
export function explained(error: unknown, server: Tideway): Error {
  const { warnings } = server.child;
  const message = (error as Error).message;
  if (warnings.length === 0) return new Error(message, { cause: error });
  return new Error(`${message}; the server's log: ${warnings.join(' ')}`, { cause: error });
}

/** The channels of fan-out: one name, or numbered ones where there are several. */
function channelName(channels: number, number: number): string {
  return channels === 1 ? 'bench:fan-out' : `bench:fan-out-${number}`;
}

/** @param of which process of the server is looked at; without it the one that was started */
function fanOutStarter(args: readonly string[], of?: (pid: number) => number): StartFanOut {
  return async ({ channels }) => {
    const server = await startTideway({ args });
    const scripts = Array.from({ length: channels }, (_, number) => [
      helloText(`bench-${number}`),
      subscribeText(channelName(channels, number)),
    ]);
    const observed = of === undefined ? server : { ...server, pid: of(server.pid) };
    return fanOutServer(observed, channels, tidewayDialect(scripts));
  };
}

export const startTidewayFanOut = fanOutStarter([]);

/** All subscribers on one worker, which is looked at. */
export const startWorkerFanOut = fanOutStarter(['--workers', '1'], onlyChildOf);

/** The same, looking at the process with the log. */
export const startPrimaryFanOut = fanOutStarter(['--workers', '1']);

function fanOutServer(server: Tideway, channels: number, dialect: Dialect): FanOutServer {
  return {
    pid: server.pid,
    port: server.port,
    dialect,
    async prepare(plan) {
      const appender = newAppender(server.port, {
        channel: channels === 1 ? 'bench:fan-out' : 'bench:fan-out-',
        ...(channels === 1 ? {} : { channels }),
        payloadBytes: plan.payloadBytes,
        pace: plan.hz > 0 ? { ratePerSecond: plan.hz * plan.burst, burst: plan.burst } : { lockstep: plan.burst },
        records: plan.ticks * plan.burst,
      });
      await appender.ready();
      return {
        generators: [appender.pid],
        async send() {
          appender.go();
          await appender.done();
        },
        close: () => appender.stop(),
      };
    },
    explained: (error) => explained(error, server),
    stop: () => server.stop(),
  };
}
