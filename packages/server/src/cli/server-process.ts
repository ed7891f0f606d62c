/**
 * A server as a process: says when it is ready, stops cleanly when asked to, at once when asked twice, and writes down
 * what it fails of.
 */
import { resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { nodeEnv } from '../env.ts';
import type { ServerOptions } from '../ops/config.ts';
import { settings } from '../ops/config-schema.ts';
import { createLineWriter } from '../ops/logger-format.ts';
import { createLogger } from '../ops/logger.ts';
import { createServer } from '../server.ts';
import type { ListenOptions, Server } from '../server/server-contract.ts';
import { createPrimary } from '../server/workers/primary.ts';
import { createWorker, workerNumber } from '../server/workers/worker.ts';
import { version } from '../version.ts';
import { CliError, exitCodes, type ExitCode } from './exit-codes.ts';
import { createFaultClockEnv, FAULT_CLOCK_VARIABLE } from './fault-clock.ts';
import { type Io, printJson } from './io.ts';
import { startFailure } from './start-failure.ts';
import { StartLines } from './start-lines.ts';

/** After a failure that nobody foresaw, this long for what is in flight. */
const LAST_WORDS_MS = 3_000;

export interface Started {
  readonly url: string;
  readonly port: number;
  readonly readyMs: number;
}

export interface ServerProcessOptions {
  readonly io: Io;
  readonly options: ServerOptions;
  readonly isJson: boolean;
  readonly fallback?: ListenOptions['fallback'];
  /** Tells the person at the terminal what runs where. */
  readonly greet: (started: Started) => void;
}

/** Runs a server until the process is asked to stop. */
export async function runServer({ io, options, isJson, fallback, greet }: ServerProcessOptions): Promise<ExitCode> {
  // Nobody has to read what a server says.
  io.stdout.removeAllListeners('error').on('error', () => {});
  let server: Server | undefined;
  const worker = workerNumber(io.environment);
  const lines = new StartLines(options.logger ?? createLineWriter(options.logFormat ?? 'auto'));
  const stopped = Promise.withResolvers<ExitCode>();
  watchFailures(options, () => server);
  watchSignals(() => stop(), stopped.reject);

  const clockFile = io.environment[FAULT_CLOCK_VARIABLE];
  const isClockMoved = options.faults === true && clockFile !== undefined && clockFile !== '';
  const started = await Promise.race([stopped.promise, start()]);
  if (typeof started === 'number') return started;
  keepYoungGeneration();
  // Of several processes one speaks for all.
  if (worker !== undefined) return stopped.promise;
  if (isJson) await printJson(io, { event: 'ready', version, pid: process.pid, ...started });
  greet(started);
  return stopped.promise;

  async function create(): Promise<Server> {
    const all = { ...options, logger: lines.write, ...(isClockMoved && { env: createFaultClockEnv(clockFile) }) };
    if (worker !== undefined) {
      return createWorker(all, {
        number: worker,
        onDrain: (drainMs) => void stop(drainMs),
        // Without the process that has the log there is nothing to serve.
        onLost: () => process.exit(exitCodes.failed),
      });
    }
    return (options.workers ?? 0) > 0 ? createPrimary(all) : createServer(all);
  }

  async function stop(drainMs?: number): Promise<void> {
    // Before it is up there is nothing to lose.
    await server?.close(drainMs === undefined ? {} : { drainMs });
    stopped.resolve(exitCodes.ok);
  }

  async function start(): Promise<Started> {
    try {
      server = await create();
    } catch (error) {
      throw startFailure(error, resolve(io.folder, options.data ?? settings.data.default));
    }
    try {
      const { url, port } = await server.listen(fallback === undefined ? {} : { fallback });
      lines.release();
      return { url, port, readyMs: Math.round(performance.now()) };
    } catch (error) {
      await server.close({ drainMs: 0 });
      throw new CliError(exitCodes.failed, (error as Error).message);
    }
  }
}

/**
 * V8's young generation stays as large as the start has made it: two halves of 8 MB. It would grow with the first storm of
 * connections, by up to 40 MB that are not given back, and each of its collections would take longer. Smaller is no better:
 * with halves of 1 MB a storm's collections take 0.5 ms and not 2, but twice as long in all, at 10,000 appends a second
 * nearly three times, and no acknowledgement comes sooner.
 */
function keepYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

function watchSignals(stop: () => Promise<void>, fail: (error: unknown) => void): void {
  let isStopping = false;
  for (const [signal, number] of [
    ['SIGTERM', 15],
    ['SIGINT', 2],
  ] as const) {
    process.on(signal, () => {
      // Asked twice: whoever asks does not want to wait, and what is acknowledged is on disk.
      if (isStopping) process.exit(128 + number);
      isStopping = true;
      stop().catch(fail);
    });
  }
}

/** What nobody caught is written down, what is in flight gets a moment, then the process ends: its state is unknown. */
function watchFailures(options: ServerOptions, serverNow: () => Server | undefined): void {
  const logger = createLogger({ env: nodeEnv, write: options.logger ?? createLineWriter(options.logFormat ?? 'auto') });
  let isFailing = false;
  async function fail(error: unknown): Promise<void> {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    logger.log('server.failed', { message, stack });
    if (isFailing) return;
    isFailing = true;
    setTimeout(() => process.exit(exitCodes.failed), LAST_WORDS_MS).unref();
    try {
      await serverNow()?.close({ drainMs: 0 });
    } finally {
      process.exit(exitCodes.failed);
    }
  }
  process.on('uncaughtException', (error) => void fail(error));
  process.on('unhandledRejection', (error) => void fail(error));
}
