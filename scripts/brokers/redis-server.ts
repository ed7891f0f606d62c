/** One real redis-server (Debian: redis-server), on loopback and a free port. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort, LAST_PORT } from '@tideway/verifier/free-ports';
import { heldFolder } from '../leash.ts';
import type { Broker } from './broker.ts';
import { BrokerProcess } from './broker-process.ts';

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

const START_MS = 60_000;
/** For what the server does not say, and so is asked for. */
const ASK_MS = 20;

export class RedisServer extends BrokerProcess implements Broker {
  readonly port: number;
  readonly options: RedisServerOptions;

  private constructor(port: number, folder: string, options: RedisServerOptions) {
    super({
      name: 'redis-server',
      command: 'redis-server',
      args: ['redis.conf'],
      folder,
      ready: /Ready to accept connections/,
      startMs: START_MS,
    });
    this.port = port;
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

  override async restart(): Promise<void> {
    await this.#writeSettings();
    await super.restart();
  }

  /** What redis-cli answers to a command, as text; throws when it is an error. */
  cli(...command: readonly string[]): string {
    const { password, tls } = this.options;
    const secure = tls === undefined ? [] : ['--tls', '--insecure'];
    const signIn = password === undefined ? [] : ['--pass', password, '--no-auth-warning'];
    const args = ['-e', '-p', String(this.port), ...secure, ...signIn, ...command];
    return execFileSync('redis-cli', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trimEnd();
  }

  /** Asks until the answer to a command is as it should be. */
  async until(command: readonly string[], isSo: (answer: string) => boolean, what: string): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (!isSo(this.cli(...command))) {
      if (Date.now() > deadline) throw new Error(`waited ${START_MS} ms for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
  }

  /** Waits until it has nothing to save in the background. */
  async untilSaved(): Promise<void> {
    await this.until(['INFO', 'persistence'], (info) => !/_in_progress:1|scheduled:1/.test(info), 'Redis to save');
  }

  /** Waits until it has everything that its primary had at the call. */
  async untilReplicated(primary = this.options.replicaOf): Promise<void> {
    if (primary === undefined) throw new Error('whose replica is it?');
    const field = (info: string, name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
    const replication = ['INFO', 'replication'];
    await this.until(replication, (info) => info.includes('master_link_status:up'), 'the replica to connect');
    const wanted = field(primary.cli(...replication), 'master_repl_offset');
    await this.until(replication, (info) => field(info, 'slave_repl_offset') >= wanted, 'the replica to catch up');
  }

  async #writeSettings(): Promise<void> {
    const { fsync = 'always', password, user, tls, replicaOf, cluster, settings = {} } = this.options;
    const lines = [
      'bind 127.0.0.1',
      tls === undefined ? `port ${this.port}` : `port 0\ntls-port ${this.port}\ntls-auth-clients no`,
      `dir ${join(this.folder, 'data')}`,
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
    await mkdir(join(this.folder, 'data'), { recursive: true });
    if (tls !== undefined) {
      await writeFile(join(this.folder, 'certificate.pem'), tls.certificate);
      await writeFile(join(this.folder, 'key.pem'), tls.key);
      const file = (name: string): string => join(this.folder, `${name}.pem`);
      lines.push(`tls-cert-file ${file('certificate')}`, `tls-key-file ${file('key')}`);
      lines.push(`tls-ca-cert-file ${file('certificate')}`);
    }
    await writeFile(join(this.folder, 'redis.conf'), `${lines.join('\n')}\n`);
  }
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
