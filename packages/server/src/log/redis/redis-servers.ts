/**
 * Which Redis server holds what: the one primary everything, or each node of a Cluster its slots. Keeps one connection
 * for commands to each server that is needed. The map of a Cluster is as old as `ask`.
 */
import type { Env } from '../../env.ts';
import { hostText, type RedisAddress, type RedisHost } from './redis-address.ts';
import { RedisConnection, type ConnectionTimes } from './redis-connection.ts';
import { FormerConnections } from './redis-former.ts';
import { findMember, openMember, type RedisMember } from './redis-members.ts';

interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly host: RedisHost;
}

export class RedisServers {
  readonly #address: RedisAddress;
  readonly #times: ConnectionTimes;
  readonly #former: FormerConnections;
  /** By `host:port`: those that are open, on their way, or were not to be had since the map was made. */
  readonly #connections = new Map<string, Promise<RedisConnection>>();
  /** The names of the last. */
  readonly #failed = new Set<string>();
  readonly #open = new Set<RedisConnection>();
  /** By key: this never changes. */
  readonly #slotOfKey = new Map<string, number>();
  /** Empty where there is no Cluster. */
  #slots: readonly SlotRange[] = [];
  #ended: Error | undefined;

  private constructor(address: RedisAddress, times: ConnectionTimes, former: FormerConnections) {
    this.#address = address;
    this.#times = times;
    this.#former = former;
  }

  /**
   * Rejects in words when there is nobody to begin with.
   *
   * @param former what was open before
   */
  static async find(
    address: RedisAddress,
    times: ConnectionTimes,
    env: Env,
    former = new FormerConnections(),
  ): Promise<RedisServers> {
    const first = await findMember(address, times, env);
    const servers = new RedisServers(address, times, former);
    try {
      await servers.#take(Promise.resolve(first), first.connection.host);
      if (first.info.get('cluster_enabled') === '1') servers.#slots = await slotsOf(first.connection);
      return servers;
    } catch (error) {
      first.connection.kill();
      throw error;
    }
  }

  get isCluster(): boolean {
    return this.#slots.length > 0;
  }

  /** The connection to the server that holds a key. */
  async forKey(key: string): Promise<RedisConnection> {
    if (!this.isCluster) return this.any();
    const slot = this.#slotOfKey.get(key) ?? Number(await this.any().command('CLUSTER', 'KEYSLOT', key));
    this.#slotOfKey.set(key, slot);
    const range = this.#slots.find(({ first, last }) => slot >= first && slot <= last);
    if (range === undefined) throw new Error(`no node of the Redis Cluster has slot ${slot}, which holds ${key}`);
    const known = this.#connections.get(hostText(range.host));
    return known ?? this.#take(openMember(this.#address, range.host, this.#times), range.host);
  }

  /** Has the map of a Cluster made anew. */
  async ask(): Promise<void> {
    if (!this.isCluster) return;
    this.#slots = await slotsOf(this.any());
    for (const name of this.#failed) this.#connections.delete(name);
    this.#failed.clear();
  }

  get isConnected(): boolean {
    return [...this.#open].some(({ isLost }) => !isLost);
  }

  /** One that is open, for what is no matter of a key. */
  any(): RedisConnection {
    for (const connection of this.#open) if (!connection.isLost) return connection;
    throw this.#ended ?? new Error('no server is connected');
  }

  /** The server is not used any more: the next who needs it connects anew. */
  drop(connection: RedisConnection): void {
    this.#open.delete(connection);
    this.#connections.delete(hostText(connection.host));
  }

  /** A further connection to the same server. */
  openBeside(connection: RedisConnection): Promise<RedisConnection> {
    return RedisConnection.open(this.#address, connection.host, this.#times);
  }

  connections(): Iterable<RedisConnection> {
    return this.#open;
  }

  kill(reason: Error): void {
    this.#ended = reason;
    for (const connection of this.#open) connection.kill(reason);
  }

  #take(opening: Promise<RedisMember>, host: RedisHost): Promise<RedisConnection> {
    const taken = opening.then(async ({ connection, info }) => {
      if (this.#ended !== undefined) {
        connection.kill();
        throw this.#ended;
      }
      this.#open.add(connection);
      await this.#former.replace(connection, info.get('run_id') ?? '');
      return connection;
    });
    const name = hostText(host);
    this.#connections.set(name, taken);
    taken.catch(() => this.#failed.add(name));
    return taken;
  }
}

async function slotsOf(connection: RedisConnection): Promise<readonly SlotRange[]> {
  type Node = readonly [host: Buffer | null, port: number, ...rest: unknown[]];
  const reply = (await connection.command('CLUSTER', 'SLOTS')) as readonly (readonly [number, number, Node])[];
  if (reply.length === 0) throw new Error(`${hostText(connection.host)}: the Redis Cluster has given out no slots`);
  return reply.map(([first, last, [host, port]]) => {
    // A node that was never told its own address gives none: it is the one that was asked.
    const name = host === null || host.length === 0 ? connection.host.host : host.toString();
    return { first, last, host: { host: name, port } };
  });
}
