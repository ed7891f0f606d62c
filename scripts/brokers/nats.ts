/** A real nats-server with JetStream for tests and demos: alone or in a cluster, on loopback, stopped by process id. */
import { spawn, type ChildProcess } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePorts } from '@tideway/verifier/free-ports';
import { heldFolder, hold } from '../leash.ts';
import { type Broker, type BrokerKind, replicatedBroker } from './broker.ts';
import { buildNatsServer, findNatsServer } from './nats-program.ts';
import { pauseProcess } from './pause.ts';

const START_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 10_000;
const LINES_KEPT = 60;
/** Twice the largest record of the suites; the server's own default is 1 MiB. */
const PAYLOAD_BYTES_MAX = 8 * 1024 * 1024;

export interface NatsOptions {
  /** Lines of its `authorization` block. */
  readonly authorization?: string;
  /** PEM: speaks TLS only, and with `ca` asks clients for a certificate. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** False: core NATS only. */
  readonly isJetStream?: boolean;
  readonly payloadBytesMax?: number;
  /** Syncs every write before its acknowledgement. */
  readonly isSynced?: boolean;
  /** Another program than the one that is found, such as an older one. */
  readonly program?: string;
  /** More lines of its configuration. */
  readonly more?: string;
}

export interface NatsBroker extends Broker {
  readonly port: number;
  /** Its last words. */
  readonly lines: readonly string[];
  /** Resolves once it has said something like that, or at once where it did. */
  said(pattern: RegExp): Promise<void>;
  /** An address with that name and query, without credentials. */
  urlOf(name: string, query?: string): string;
  /** Keeps a copy of its data, or puts that copy back; only while it is killed. */
  saveData(): Promise<void>;
  restoreData(): Promise<void>;
}

export interface NatsCluster {
  readonly url: string;
  readonly members: readonly NatsBroker[];
  urlOf(name: string, query?: string): string;
  stop(): Promise<void>;
}

export const nats: BrokerKind = {
  name: 'nats',
  missing,
  start: () => startNats(),
  startMembers: async () => replicatedBroker(await startNatsCluster()),
};

function missing(): string | undefined {
  return findNatsServer() === undefined ? 'nats-server (with Go: node scripts/brokers/nats-program.ts)' : undefined;
}

export async function startNats(options: NatsOptions = {}): Promise<NatsBroker> {
  const program = options.program ?? (await buildNatsServer());
  const [port] = (await freePorts(1)) as [number];
  return startMember(program, port, 'tideway-test', options);
}

/** Starts a JetStream cluster of three, or another odd number, and waits until it has a leader. */
export async function startNatsCluster(options: NatsOptions = {}, size = 3): Promise<NatsCluster> {
  const program = options.program ?? (await buildNatsServer());
  const ports = await freePorts(2 * size);
  const routePorts = ports.splice(size);
  const routes = routePorts.map((port) => `nats-route://127.0.0.1:${port}`).join(', ');
  const members = await Promise.all(
    ports.map((port, n) =>
      startMember(program, port, `n${n + 1}`, {
        ...options,
        more: `cluster { name: tideway-test, host: 127.0.0.1, port: ${routePorts[n]}, routes: [${routes}] }\n${options.more ?? ''}`,
      }),
    ),
  );
  await Promise.all(members.map((member) => member.said(/metadata leader/)));
  const urlOf = (name: string, query = `partitions=4&replicas=${size}`): string =>
    `nats://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/${name}?${query}`;
  return {
    url: urlOf('tideway'),
    members,
    urlOf,
    async stop() {
      await Promise.all(members.map((member) => member.stop()));
    },
  };
}

async function startMember(
  program: string | undefined,
  port: number,
  name: string,
  options: NatsOptions,
): Promise<NatsBroker> {
  if (program === undefined) throw new Error(`${missing() ?? 'nats-server'} was not found`);
  const folder = await heldFolder('tideway-nats-');
  await writeSettings(folder, port, name, options);
  const server = new Server(program, folder, port);
  await server.start();
  const urlOf = (log: string, query = 'partitions=4'): string =>
    `nats${options.tls === undefined ? '' : '+tls'}://127.0.0.1:${port}/${log}?${query}`;
  const data = join(folder, 'data');
  return {
    url: urlOf('tideway'),
    port,
    lines: server.lines,
    said: (pattern) => server.said(pattern),
    urlOf,
    get pid() {
      return server.pid;
    },
    kill: () => server.end('SIGKILL'),
    shutDown: () => server.end('SIGTERM'),
    pause: () => pauseProcess(server.pid),
    resume: () => void process.kill(server.pid, 'SIGCONT'),
    restart: () => server.start(),
    wipe: () => rm(data, { recursive: true, force: true }),
    saveData: () => cp(data, join(folder, 'saved'), { recursive: true }),
    async restoreData() {
      await rm(data, { recursive: true, force: true });
      await cp(join(folder, 'saved'), data, { recursive: true });
    },
    async stop() {
      await server.end('SIGTERM');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function writeSettings(folder: string, port: number, name: string, options: NatsOptions): Promise<void> {
  const place = (file: string): string => JSON.stringify(join(folder, file));
  const { authorization, tls, isJetStream = true, payloadBytesMax = PAYLOAD_BYTES_MAX, isSynced, more } = options;
  const lines = [`server_name: ${name}`, 'host: 127.0.0.1', `port: ${port}`, `max_payload: ${payloadBytesMax}`];
  if (isJetStream) {
    lines.push(`jetstream { store_dir: ${place('data')}, ${isSynced === true ? 'sync_interval: always' : ''} }`);
  }
  if (authorization !== undefined) lines.push(`authorization { ${authorization} }`);
  if (tls !== undefined) {
    await writeFile(join(folder, 'cert.pem'), tls.cert);
    await writeFile(join(folder, 'key.pem'), tls.key, { mode: 0o600 });
    if (tls.ca !== undefined) await writeFile(join(folder, 'ca.pem'), tls.ca);
    const asks = tls.ca === undefined ? '' : `, ca_file: ${place('ca.pem')}, verify: true`;
    lines.push(`tls { cert_file: ${place('cert.pem')}, key_file: ${place('key.pem')}${asks} }`);
  }
  if (more !== undefined) lines.push(more);
  await writeFile(join(folder, 'nats.conf'), `${lines.join('\n')}\n`);
}

/** The process, again and again on the same folder. */
class Server {
  readonly lines: string[] = [];
  readonly #looks = new Set<() => void>();
  readonly #program: string;
  readonly #folder: string;
  readonly #port: number;
  #process: ChildProcess | undefined;

  constructor(program: string, folder: string, port: number) {
    this.#program = program;
    this.#folder = folder;
    this.#port = port;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('nats-server is not running');
    return pid;
  }

  said(pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#looks.delete(look);
        clearTimeout(timer);
      };
      const look = (): void => {
        if (!this.lines.some((line) => pattern.test(line))) return;
        end();
        resolve();
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`nats-server did not say ${pattern}:\n${this.lines.join('\n')}`));
      }, START_DEADLINE_MS);
      this.#looks.add(look);
      look();
    });
  }

  async start(): Promise<void> {
    this.lines.length = 0;
    const server = spawn(this.#program, ['-c', 'nats.conf'], { cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'] });
    hold(server);
    this.#process = server;
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`nats-server ${why}:\n${this.lines.join('\n')}`));
      const timer = setTimeout(() => fail(`was not ready after ${START_DEADLINE_MS} ms`), START_DEADLINE_MS);
      const take = (line: string): void => {
        this.lines.push(line);
        if (this.lines.length > LINES_KEPT) this.lines.shift();
        for (const look of this.#looks) look();
        if (!line.includes('Server is ready')) return;
        clearTimeout(timer);
        resolve();
      };
      for (const stream of [server.stdout, server.stderr]) createInterface({ input: stream }).on('line', take);
      server.once('error', reject);
      server.once('exit', (code, signal) => {
        clearTimeout(timer);
        fail(`ended (${signal ?? code}) before it was ready`);
      });
    }).catch(async (error: unknown) => {
      await this.end('SIGKILL');
      throw error;
    });
    await greeting(this.#port);
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const server = this.#process;
    this.#process = undefined;
    if (server?.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => server.once('exit', () => resolve()));
    server.kill(signal);
    // One that was stopped would not even hear that it shall end.
    server.kill('SIGCONT');
    const timer = setTimeout(() => server.kill('SIGKILL'), STOP_DEADLINE_MS);
    await gone;
    clearTimeout(timer);
  }
}

/** Resolves when the server greets: it listens a moment before it says that it is ready, or after. */
function greeting(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.setTimeout(START_DEADLINE_MS, () => socket.destroy(new Error('nats-server does not greet')));
    socket.once('data', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
