/**
 * Resident memory of connections that are open, subscribed and idle: what the process has after garbage was collected,
 * less what it had before the first, by the number of connections. Code that was compiled meanwhile counts as theirs.
 */
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { Child } from './child.ts';
import type { TlsClients } from './peers/tls-clients.ts';
import { processRssBytes } from './proc.ts';
import { Receiver, type Dialect } from './receiver.ts';
import type { Sample } from './scenario.ts';

/** Arguments of Node with which a server collects garbage when it is told to. */
export const collectingNodeArgs = ['--expose-gc', '--import', join(import.meta.dirname, 'peers', 'collect.ts')];

export interface IdleServer {
  readonly pid: number;
  readonly port: number;
  readonly dialect: Dialect;
  stop(): Promise<void>;
}

async function rssAfterCollection(pid: number): Promise<number> {
  // Three times, with pauses: finalizers run in between, and the heap gives pages back afterwards.
  for (let i = 0; i < 3; i++) {
    process.kill(pid, 'SIGUSR2');
    await after(700);
  }
  return processRssBytes(pid);
}

interface Clients {
  ready(): Promise<void>;
  stop(): Promise<void>;
}

function plainClients({ port, dialect }: IdleServer, connections: number): Clients {
  const receiver = new Receiver({ port, connections, dialect });
  return {
    async ready() {
      await receiver.ready();
    },
    stop: () => receiver.stop(),
  };
}

function tlsClients({ port, dialect }: IdleServer, connections: number): Clients {
  const options: TlsClients = {
    url: `wss://127.0.0.1:${port}${dialect.path}`,
    ...(dialect.protocol === undefined ? {} : { protocol: dialect.protocol }),
    connections,
    frames: dialect.scripts?.[0] ?? [],
    messages: dialect.ready?.count ?? 0,
  };
  const program = join(import.meta.dirname, 'peers', 'tls-clients.ts');
  const child = new Child(process.execPath, [program, JSON.stringify(options)], { name: 'TLS clients' });
  return {
    async ready() {
      await child.next('ready', 120_000);
    },
    stop: () => child.stop(),
  };
}

export async function measureIdle(
  start: () => Promise<IdleServer>,
  options: { readonly connections: number; readonly tls: boolean },
): Promise<Sample> {
  const server = await start();
  try {
    const before = await rssAfterCollection(server.pid);
    const clients = options.tls ? tlsClients(server, options.connections) : plainClients(server, options.connections);
    try {
      await clients.ready();
      await after(1_000);
      const now = await rssAfterCollection(server.pid);
      return {
        connections: options.connections,
        rssMb: now / 1e6,
        emptyRssMb: before / 1e6,
        rssKbEach: (now - before) / 1e3 / options.connections,
      };
    } finally {
      await clients.stop();
    }
  } finally {
    await server.stop();
  }
}
