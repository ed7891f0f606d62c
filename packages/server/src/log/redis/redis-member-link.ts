/**
 * What a log has open to one Redis server: a connection for commands, one for reads, those that follow. It is never
 * mended: whatever breaks ends all of it, once.
 */
import type { Env } from '../../env.ts';
import type { ConnectionTimes, RedisConnection } from './redis-connection.ts';
import { RedisReplyError } from './redis-errors.ts';
import { RedisFollower } from './redis-follower.ts';
import type { RedisServers } from './redis-servers.ts';

/** A partition, as the server that holds it knows it. */
export interface RedisPartition {
  readonly key: string;
  /** The group that names the epoch. */
  readonly group: string;
}

export interface MemberLinkParts {
  readonly servers: RedisServers;
  readonly times: ConnectionTimes;
  readonly env: Env;
  /** What lies there. */
  partitionsOn(member: MemberLink): readonly RedisPartition[];
  /** Called once, when it ended by itself. */
  onBroken(member: MemberLink, error: Error): void;
}

/** After these the map of the servers, or what is known of a partition, is not true any more. */
const outdated = new Set(['READONLY', 'MOVED', 'ASK', 'TRYAGAIN', 'CLUSTERDOWN', 'NOGROUP', 'LOADING', 'MASTERDOWN']);

export class MemberLink {
  /** For commands. */
  readonly connection: RedisConnection;
  readonly #parts: MemberLinkParts;
  #reader: Promise<RedisConnection> | undefined;
  /** By key where a Cluster reads no two slots in one command; else one for all. */
  readonly #followers = new Map<string, Promise<RedisFollower>>();
  #cancelProbe: () => void = () => {};
  /** Why it ended. */
  reason: Error | undefined;

  constructor(connection: RedisConnection, parts: MemberLinkParts) {
    this.connection = connection;
    this.#parts = parts;
    this.#watch(connection);
    if (this.reason === undefined) this.#probeLater();
  }

  /** A connection for reads only: no append waits behind a long page. */
  reader(): Promise<RedisConnection> {
    return (this.#reader ??= this.#openBeside());
  }

  follower(key: string): Promise<RedisFollower> {
    const shared = this.#parts.servers.isCluster ? key : '';
    const opening = this.#followers.get(shared) ?? this.#openFollower();
    this.#followers.set(shared, opening);
    return opening;
  }

  /** Rejects when the server is not the primary any more: what it says may be old. */
  async assertPrimary(): Promise<void> {
    const [role] = (await this.connection.command('ROLE')) as readonly Buffer[];
    if (String(role) !== 'master') throw new RedisReplyError('READONLY', 'the Redis primary became a replica');
  }

  /** An answer is one; anything else is a server that is over. */
  judge(error: unknown): void {
    if (!(error instanceof RedisReplyError) || outdated.has(error.kind)) this.#break(error as Error);
  }

  /** Ends it from outside; `onBroken` is not called. */
  end(reason: Error): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.#cancelProbe();
    this.connection.kill(reason);
    this.#reader?.then((reader) => reader.kill(reason)).catch(() => {});
    for (const opening of this.#followers.values()) opening.then((follower) => follower.end(reason)).catch(() => {});
  }

  async #openFollower(): Promise<RedisFollower> {
    return new RedisFollower(await this.#openBeside(), this.connection, this.#parts.times.probeMs);
  }

  async #openBeside(): Promise<RedisConnection> {
    const connection = await this.#parts.servers.openBeside(this.connection);
    this.#watch(connection);
    if (this.reason !== undefined) connection.kill(this.reason);
    return connection;
  }

  #watch(connection: RedisConnection): void {
    connection.onLost = (error) => this.#break(error);
  }

  #break(error: Error): void {
    if (this.reason !== undefined) return;
    this.end(error);
    this.#parts.onBroken(this, error);
  }

  /** Asks for a sign of life, the server for its role and every partition there for its life. */
  #probeLater(): void {
    const { env, times, partitionsOn } = this.#parts;
    this.#cancelProbe = env.setTimer(times.probeMs, () => {
      const lives = partitionsOn(this).map(({ key, group }) => this.connection.command('XPENDING', key, group));
      Promise.all([this.assertPrimary(), ...lives]).then(
        () => this.reason === undefined && this.#probeLater(),
        (error: unknown) => this.#break(error as Error),
      );
    });
  }
}
