/** A stream of Redis as a sink: an entry has the fields `channel` and `value`, and one for each header. */
import { nodeEnv } from '../env.ts';
import type { RedisConnection } from '../log/redis/redis-connection.ts';
import { RedisServers } from '../log/redis/redis-servers.ts';
import type { BridgeAddress } from './bridge-address.ts';
import { REDIS_TIMES } from './redis-source.ts';
import type { Outgoing, Sink } from './sink.ts';

type RedisBridge = Extract<BridgeAddress, { broker: 'redis' }>;

export async function openRedisSink(address: RedisBridge): Promise<Sink> {
  const servers = await RedisServers.find(address.at, REDIS_TIMES, nodeEnv);
  try {
    return new RedisSink(address, servers, await servers.forKey(address.stream));
  } catch (error) {
    servers.kill(new Error('given up'));
    throw error;
  }
}

class RedisSink implements Sink {
  readonly #address: RedisBridge;
  readonly #servers: RedisServers;
  readonly #connection: RedisConnection;

  constructor(address: RedisBridge, servers: RedisServers, connection: RedisConnection) {
    this.#address = address;
    this.#servers = servers;
    this.#connection = connection;
  }

  async put({ channel, value, headers }: Outgoing): Promise<void> {
    const { stream, field } = this.#address;
    await this.#connection.command('XADD', stream, '*', 'channel', channel, field, value, ...[...headers].flat());
  }

  close(): Promise<void> {
    this.#servers.kill(new Error('the bridge let go'));
    return Promise.resolve();
  }
}
