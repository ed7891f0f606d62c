/**
 * Starts real Redis servers (Debian: redis-server): one alone, a primary with a replica, a Cluster. On loopback and free
 * ports, data in a folder of their own, stopped by process id.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort, LAST_PORT } from '@tideway/verifier/free-ports';
import { heldFolder, hold } from '../leash.ts';
import { type Broker, type BrokerKind, replicatedBroker, type StaleBroker } from './broker.ts';
import { pauseProcess } from './pause.ts';

export interface RedisServerOptions {
  /** How the append-only file is kept; `false` for none at all. Default `always`: a kill loses nothing, however slow the disk is. */
  readonly fsync?: 'always' | 'everysec' | 'no' | false;
  /** Asked of the default user. */
  readonly password?: string;
  /** Lines of an ACL, such as `on >secret ~tideway:* +@all`; its name is `app`. */
  readonly user?: string;
  /** Certificate and key in PEM; then the server speaks TLS only. Its own certificate is the only authority it knows. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Replicates another server. */
  readonly replicaOf?: RedisServer;
  readonly cluster?: boolean;
  /** Further settings, as in redis.conf. */
  readonly settings?: Readonly<Record<string, string>>;
}

const READY_MS = 60_000;
/** After this time a failover that was asked for is given up (CLUSTER FAILOVER). */
const ELECTION_MS = 5_000;
const STOP_MS = 10_000;

/** One redis-server; another process after `restart`. */
export class RedisServer implements Broker {
  readonly port: number;
  readonly folder: string;
  readonly options: RedisServerOptions;
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string, options: RedisServerOptions) {
    this.port = port;
    this.folder = folder;
    this.options = options;
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const folder = await heldFolder('tideway-redis-');
    const server = new RedisServer(await memberPort(options.cluster === true), folder, options);
    await server.restart();
    return server;
  }

  get url(): string {
    const { password, tls } = this.options;
    const credentials = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
    return `${tls === undefined ? 'redis' : 'rediss'}://${credentials}127.0.0.1:${this.port}`;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('redis-server is not running');
    return pid;
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async shutDown(): Promise<void> {
    await this.#end('SIGTERM');
  }

  pause(): void {
    pauseProcess(this.pid);
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  async restart(): Promise<void> {
    if (this.#process !== undefined) await this.#end('SIGTERM');
    const child = spawn('redis-server', [await this.#writeSettings()], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    hold(child);
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => said.push(String(chunk)));
    await untilReady(child, said);
  }

  async wipe(): Promise<void> {
    for (const name of await readdir(this.folder)) await rm(join(this.folder, name), { recursive: true });
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    // What it forked to save may still write.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20 });
  }

  /** What redis-cli answers to a command, as text; throws when it is an error. */
  cli(...command: readonly string[]): string {
    const { password, tls } = this.options;
    const secure = tls === undefined ? [] : ['--tls', '--insecure'];
    const signIn = password === undefined ? [] : ['--pass', password, '--no-auth-warning'];
    const args = ['-e', '-p', String(this.port), ...secure, ...signIn, ...command];
    return execFileSync('redis-cli', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trimEnd();
  }

  /** Waits until it has nothing to save in the background. */
  untilSaved(): Promise<void> {
    return until(() => !/_in_progress:1|scheduled:1/.test(this.cli('INFO', 'persistence')), 'Redis to save');
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    // One that cannot end by itself is ended.
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(late);
    // What it forked to save or to replicate may hold them for a while.
    for (const stream of [child.stdout, child.stderr]) stream?.destroy();
  }

  async #writeSettings(): Promise<string> {
    const { fsync = 'always', password, user, tls, replicaOf, cluster, settings = {} } = this.options;
    const lines = [
      'bind 127.0.0.1',
      tls === undefined ? `port ${this.port}` : `port 0\ntls-port ${this.port}\ntls-auth-clients no`,
      `dir ${this.folder}`,
      'save ""',
      'repl-diskless-sync-delay 0',
      `appendonly ${fsync === false ? 'no' : 'yes'}`,
      ...(fsync === false ? [] : [`appendfsync ${fsync}`]),
      ...(password === undefined ? [] : [`requirepass ${password}`]),
      ...(user === undefined ? [] : [`user app ${user}`]),
      ...(replicaOf === undefined ? [] : [`replicaof 127.0.0.1 ${replicaOf.port}`]),
      ...(cluster === true
        ? ['cluster-enabled yes', 'cluster-node-timeout 2000', 'cluster-replica-validity-factor 0']
        : []),
      ...Object.entries(settings).map(([name, value]) => `${name} ${value}`),
    ];
    await mkdir(this.folder, { recursive: true });
    if (tls !== undefined) {
      await writeFile(join(this.folder, 'certificate.pem'), tls.certificate);
      await writeFile(join(this.folder, 'key.pem'), tls.key);
      const file = (name: string): string => join(this.folder, `${name}.pem`);
      lines.push(`tls-cert-file ${file('certificate')}`, `tls-key-file ${file('key')}`);
      lines.push(`tls-ca-cert-file ${file('certificate')}`);
    }
    const path = join(this.folder, 'redis.conf');
    await writeFile(path, `${lines.join('\n')}\n`);
    return path;
  }
}

export const redis: BrokerKind = {
  name: 'redis',
  missing: () => {
    for (const program of ['redis-server', 'redis-cli']) {
      try {
        execFileSync(program, ['--version'], { stdio: 'ignore' });
      } catch {
        return `${program} is not installed (Debian: apt-get install redis-server)`;
      }
    }
    return undefined;
  },
  start: () => RedisServer.start(),
  startStale: startRedisPair,
  startMembers: async () => {
    const members = await startRedisCluster(3, { settings: { 'cluster-require-full-coverage': 'no' } });
    const url = `redis://${members.map(({ port }) => `127.0.0.1:${port}`).join()}`;
    const stop = async (): Promise<void> => void (await Promise.all(members.map((member) => member.stop())));
    return replicatedBroker({ url, members, stop });
  },
};

/** A broker to be measured: Redis as most run it, which may lose what a slow disk has not taken yet. */
export function startMeasured(kind: BrokerKind): Promise<Broker> {
  return kind === redis ? RedisServer.start({ fsync: 'everysec' }) : kind.start();
}

/** A primary and its replica, which becomes a primary once it is detached. */
async function startRedisPair(): Promise<StaleBroker> {
  const primary = await RedisServer.start();
  const replica = await RedisServer.start({ replicaOf: primary });
  await untilReplicated(replica);
  const members = [primary, replica];
  const url = `redis://${members.map(({ port }) => `127.0.0.1:${port}`).join()}`;
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.stop()));
  };
  return Object.assign(replicatedBroker({ url, members, stop }), {
    async detachReplica() {
      replica.cli('REPLICAOF', 'NO', 'ONE');
    },
    failOver: () => primary.kill(),
  });
}

/** Starts a Cluster of primaries, each with a share of the slots, and waits until all agree on it. */
export async function startRedisCluster(count = 3, options: RedisServerOptions = {}): Promise<readonly RedisServer[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => RedisServer.start({ ...options, cluster: true })),
  );
  const [first] = servers as [RedisServer, ...RedisServer[]];
  const share = 16_384 / count;
  for (const [n, server] of servers.entries()) {
    server.cli('CLUSTER', 'ADDSLOTSRANGE', String(Math.ceil(n * share)), String(Math.ceil((n + 1) * share) - 1));
    server.cli('CLUSTER', 'SET-CONFIG-EPOCH', String(n + 1));
    if (server !== first) server.cli('CLUSTER', 'MEET', '127.0.0.1', String(first.port));
  }
  await untilClusterIsWell(servers);
  return servers;
}

/** Waits until all nodes of a Cluster know each other, and that every slot is held. */
export async function untilClusterIsWell(servers: readonly RedisServer[]): Promise<void> {
  for (const server of servers) {
    await until(() => {
      const info = server.cli('CLUSTER', 'INFO');
      // The state alone may be ok while slots are missing.
      const wanted = ['cluster_state:ok', 'cluster_slots_ok:16384', `cluster_known_nodes:${servers.length}`];
      return wanted.every((line) => info.includes(line));
    }, 'the Cluster to agree');
  }
}

/** Adds a replica of a primary to its Cluster; resolves once all of them know it. */
export async function startClusterReplica(servers: readonly RedisServer[], primary: RedisServer): Promise<RedisServer> {
  const replica = await RedisServer.start({ ...primary.options, cluster: true });
  const id = primary.cli('CLUSTER', 'MYID');
  replica.cli('CLUSTER', 'MEET', '127.0.0.1', String(primary.port));
  await until(() => replica.cli('CLUSTER', 'NODES').includes(id), 'the replica to meet the Cluster');
  replica.cli('CLUSTER', 'REPLICATE', id);
  const up = (): boolean => replica.cli('INFO', 'replication').includes('master_link_status:up');
  await until(up, 'the replica to have everything');
  const own = replica.cli('CLUSTER', 'MYID');
  for (const server of servers) {
    await until(() => new RegExp(`^${own} .*slave ${id}`, 'm').test(server.cli('CLUSTER', 'NODES')), 'all to know it');
  }
  return replica;
}

/** Makes a replica the primary. One that is not elected in time, since somebody was busy, stands again. */
export async function failOver(replica: RedisServer): Promise<void> {
  const isPrimary = (): boolean => replica.cli('INFO', 'replication').includes('role:master');
  while (!isPrimary()) {
    replica.cli('CLUSTER', 'FAILOVER');
    await until(isPrimary, 'the replica to be elected', ELECTION_MS).catch(() => undefined);
  }
}

/** Waits until a replica has everything its primary had at the call. */
export async function untilReplicated(replica: RedisServer, primary = replica.options.replicaOf): Promise<void> {
  if (primary === undefined) throw new Error('whose replica is it?');
  await until(() => replica.cli('INFO', 'replication').includes('master_link_status:up'), 'the replica to connect');
  const field = (server: RedisServer, name: string): string | undefined => {
    return new RegExp(`^${name}:(\\d+)`, 'm').exec(server.cli('INFO', 'replication'))?.[1];
  };
  const wanted = Number(field(primary, 'master_repl_offset'));
  await until(() => Number(field(replica, 'slave_repl_offset')) >= wanted, 'the replica to catch up');
}

async function until(holds: () => boolean, what: string, deadlineMs = READY_MS): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function untilReady(child: ChildProcess, said: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (result: () => void): void => {
      clearTimeout(timer);
      child.stdout?.off('data', look);
      child.off('error', fail);
      child.off('exit', exit);
      result();
    };
    const look = (): void => {
      if (said.join('').includes('Ready to accept connections')) end(resolve);
    };
    const fail = (error: Error): void => end(() => reject(error));
    const exit = (): void => end(() => reject(new Error(`redis-server ended: ${said.join('')}`)));
    const timer = setTimeout(() => {
      end(() => reject(new Error(`redis-server was not ready within ${READY_MS} ms: ${said.join('')}`)));
    }, READY_MS);
    child.stdout?.on('data', look);
    child.on('error', fail);
    child.on('exit', exit);
  });
}

/** A free port; for a Cluster also the one 10,000 above it, over which its nodes talk. */
async function memberPort(cluster: boolean): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (!cluster) return port;
    if (port < LAST_PORT - 10_000 && (await isFree(port + 10_000))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });
}
