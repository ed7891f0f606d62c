/**
 * One connection to one Redis server, over `ioredis` with everything off that it would do by itself: no reconnecting, no
 * queue while there is no connection, no second sending. What was sent is answered, or unknown. The port decides the rest.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Redis, RedisOptions } from 'ioredis';
import { hostText, type RedisAddress, type RedisHost } from './redis-address.ts';
import { BrokerError } from '../broker/broker-port.ts';
import { connectionError, replyErrorOf } from './redis-errors.ts';
import type { RedisScript } from './redis-scripts.ts';

export type RedisArgument = string | number | Buffer;

export interface ConnectionTimes {
  /** How long a connection, and each command on it, may take. */
  readonly answerMs: number;
  /** How often a server that has nothing to say is asked for a sign of life. */
  readonly probeMs: number;
  /** Ends what has not connected yet. */
  readonly givenUp?: AbortSignal;
}

export class RedisConnection {
  readonly host: RedisHost;
  readonly redis: Redis;
  /** The server's number of this connection. */
  #id = 0;
  #lost: Error | undefined;
  #firstError: unknown;
  #onLost: ((error: Error) => void) | undefined;

  private constructor(redis: Redis, host: RedisHost) {
    this.redis = redis;
    this.host = host;
    redis.on('error', (error: unknown) => (this.#firstError ??= error));
    redis.on('end', () => this.#end());
  }

  /** Connects and signs in. Rejects in words, naming the host. */
  static async open(address: RedisAddress, host: RedisHost, times: ConnectionTimes): Promise<RedisConnection> {
    const { Redis } = await loadClient();
    const redis = new Redis(optionsFor(address, host, times));
    const connection = new RedisConnection(redis, host);
    const giveUp = (): void => connection.kill();
    times.givenUp?.addEventListener('abort', giveUp);
    try {
      times.givenUp?.throwIfAborted();
      await redis.connect();
      if (address.password !== undefined) {
        await redis.callBuffer('AUTH', ...(address.user === undefined ? [] : [address.user]), address.password);
      }
      if (address.database !== 0) await redis.callBuffer('SELECT', address.database);
      connection.#id = Number(await redis.callBuffer('CLIENT', 'ID'));
      return connection;
    } catch (error) {
      connection.kill();
      throw connectionError(hostText(host), connection.#firstError ?? error, address.tls ? 'TLS' : 'plain');
    } finally {
      times.givenUp?.removeEventListener('abort', giveUp);
    }
  }

  /** Called once, when the connection broke or was killed; at once when that is past. */
  set onLost(listener: (error: Error) => void) {
    this.#onLost = listener;
    if (this.#lost !== undefined) listener(this.#lost);
  }

  get id(): number {
    return this.#id;
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Sends a command; the answer's texts are buffers. Rejects with a `RedisReplyError`, or when nothing is known. */
  async command(name: string, ...args: readonly RedisArgument[]): Promise<unknown> {
    try {
      return await this.redis.callBuffer(name, ...args);
    } catch (error) {
      throw replyErrorOf(error) ?? connectionError(hostText(this.host), error);
    }
  }

  /** Runs a script on one key. */
  async run(script: RedisScript, key: string, args: readonly RedisArgument[]): Promise<unknown> {
    try {
      return await this.redis.callBuffer('EVALSHA', script.sha, 1, key, ...args);
    } catch (error) {
      const reply = replyErrorOf(error);
      if (reply?.kind !== 'NOSCRIPT') throw reply ?? connectionError(hostText(this.host), error);
      return this.command('EVAL', script.lua, 1, key, ...args);
    }
  }

  /**
   * Ends the connection so that nothing of it arrives any more: a closed socket would go on sending what it holds to a
   * server that comes back.
   */
  kill(reason?: Error): void {
    this.#lost ??= reason;
    const { stream } = this.redis as { stream?: Socket };
    try {
      // A socket that is half shut already cannot be reset: it would stay open for ever.
      if (stream?.writableEnded === false) stream.resetAndDestroy();
    } catch {
      // Over TLS there is no reset.
    }
    stream?.destroy();
    this.redis.disconnect();
  }

  #end(): void {
    const error = this.#firstError ?? new Error('Connection is closed.');
    this.#lost ??= connectionError(hostText(this.host), error);
    this.#onLost?.(this.#lost);
    this.#onLost = undefined;
  }
}

async function loadClient(): Promise<{ readonly Redis: typeof Redis }> {
  try {
    return await import('ioredis');
  } catch (cause) {
    if ((cause as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new BrokerError('a log on Redis needs the package ioredis, which is not installed: npm install ioredis', {
      isFinal: true,
      cause,
    });
  }
}

function optionsFor(
  address: RedisAddress,
  { host, port }: RedisHost,
  times: ConnectionTimes,
): Omit<RedisOptions, 'replyMapping'> {
  return {
    host,
    port,
    lazyConnect: true,
    connectTimeout: times.answerMs,
    commandTimeout: times.answerMs,
    retryStrategy: null,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
    connectionName: `tideway-${address.name}`,
    protocol: 2,
    ...(address.tls ? { tls: tlsOptions(address, host) } : {}),
  };
}

function tlsOptions(address: RedisAddress, host: string): NonNullable<RedisOptions['tls']> {
  const { caFile, certFile, keyFile } = address;
  return {
    // A server name must not be an IP address (RFC 6066); the certificate is checked against the host all the same.
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    ...(caFile === undefined ? {} : { ca: readPem(caFile) }),
    ...(certFile === undefined ? {} : { cert: readPem(certFile) }),
    ...(keyFile === undefined ? {} : { key: readPem(keyFile) }),
  };
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const { code } = cause as { code: string };
    throw new BrokerError(`the file ${file}, which the address names, cannot be read (${code})`, {
      isFinal: true,
      cause,
    });
  }
}
