/** A server as the whole of a process: ready line, signals, and an end that loses nothing. `dev` and `serve` share it. */
import type { ServerOptions } from '../ops/config.ts';
import { createServer, type Server } from '../server.ts';
import { exitCodes, type Io } from './command.ts';

export async function serveUntilStopped(
  io: Io,
  options: ServerOptions,
  more: {
    /** One JSON line on stdout when ready, for programs. */
    readonly json: boolean;
    /** What people are told when ready. */
    readonly greeting: (server: Server, url: string, readyMs: number) => string;
    readonly fallback?: Parameters<Server['listen']>[0] extends infer O
      ? O extends { fallback?: infer F }
        ? F
        : never
      : never;
  },
): Promise<number> {
  const server = await createServer(options);
  const stopped = stopOnSignal(server, io);
  let url: string;
  try {
    ({ url } = await server.listen(more.fallback === undefined ? {} : { fallback: more.fallback }));
  } catch (error) {
    await server.close({ drainMs: 0 });
    throw error;
  }
  const readyMs = Math.round(performance.now());
  if (more.json) io.stdout.write(`${JSON.stringify({ event: 'ready', url, pid: process.pid, readyMs })}\n`);
  else io.stderr.write(more.greeting(server, url, readyMs));
  return await stopped;
}

/** The first signal drains, flushes and closes; the second ends at once. */
function stopOnSignal(server: Server, io: Io): Promise<number> {
  return new Promise((resolve, reject) => {
    let isStopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (isStopping) process.exit(exitCodes.interrupted);
      isStopping = true;
      if (io.stderr.isTTY === true)
        io.stderr.write(`\n${signal}: letting clients go, writing what is in flight (again: at once)\n`);
      server.close().then(() => resolve(exitCodes.ok), reject);
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
}
