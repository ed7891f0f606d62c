/** The two contenders of append: a Tideway server, and the floor program that only parses, syncs and answers. */
import { join } from 'node:path';
import { Appender, type AppenderOptions } from './appender.ts';
import { Child } from './child.ts';
import { explained, newAppender, newDataFolder, removeDataFolder, startTideway } from './tideway.ts';

export type AppendLoad = Omit<AppenderOptions, 'port' | 'path' | 'protocol' | 'hello'>;

export interface AppendServer {
  readonly pid: number;
  /** A generator for this server, not started yet. */
  appender(load: AppendLoad): Appender;
  /** The error, with what the server has to say to it. */
  explained?(error: unknown): Error;
  stop(): Promise<void>;
}

export async function startTidewayAppend(): Promise<AppendServer> {
  const server = await startTideway({});
  return {
    pid: server.pid,
    appender: (load) => newAppender(server.port, load),
    explained: (error) => explained(error, server),
    stop: () => server.stop(),
  };
}

/** @param reading also reads the header and checks the payload, as the protocol asks of any server */
export async function startFloorAppend(reading = false): Promise<AppendServer> {
  const folder = newDataFolder();
  const program = join(import.meta.dirname, 'floors', 'append-floor.ts');
  const child = new Child(process.execPath, [program, join(folder, 'log'), ...(reading ? ['--read'] : [])], {
    name: 'append floor',
  });
  const { port } = await child.next('ready');
  return {
    pid: child.pid,
    appender: (load) => new Appender({ ...load, port: Number(port), path: '/' }),
    async stop() {
      await child.stop();
      removeDataFolder(folder);
    },
  };
}
