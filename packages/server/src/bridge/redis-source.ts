/**
 * A stream of Redis as a source. A consumer group keeps the place; one copy of the bridge reads at a time, since a group
 * gives its members entries in turn. What was given to a life that ended is claimed before anything new is read. Redis
 * only counts entries: a script takes them one by one, as many as there is room for.
 */
import { isUtf8 } from 'node:buffer';
import { nodeEnv, randomId } from '../env.ts';
import type { ConnectionTimes, RedisArgument, RedisConnection } from '../log/redis/redis-connection.ts';
import { RedisReplyError } from '../log/redis/redis-errors.ts';
import { script } from '../log/redis/redis-scripts.ts';
import { RedisServers } from '../log/redis/redis-servers.ts';
import type { BridgeAddress } from './bridge-address.ts';
import { bytesInJson, type Message, shortened, type Source, TAKEN_MAX, WAITING_BYTES_MAX } from './message.ts';
import { RedisLease } from './redis-lease.ts';

type RedisBridge = Extract<BridgeAddress, { broker: 'redis' }>;

interface RedisMessage extends Message {
  readonly entry: string;
}

export const REDIS_TIMES: ConnectionTimes = { answerMs: 5_000, probeMs: 2_500 };
/** How long the server waits for something to come; below the time for an answer. */
const BLOCK_MS = 1_000;
/** The group has one reader, whichever process it is. */
const READER = 'bridge';
const NO_MORE = '0-0';

/** Stream, group, reader, how many at most, how many bytes at most → entries that are new; at least one where there is any. */
const readScript = script(`
local entries, bytes = {}, 0
while #entries < tonumber(ARGV[3]) and bytes < tonumber(ARGV[4]) do
  local streams = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[1], '>')
  if not streams then break end
  local entry = streams[1][2][1]
  for _, text in ipairs(entry[2]) do bytes = bytes + #text end
  entries[#entries + 1] = entry
end
return entries
`);

/** The same of entries that were given before, with where to begin → where to go on, entries. */
const claimScript = script(`
local entries, bytes, from = {}, 0, ARGV[5]
while #entries < tonumber(ARGV[3]) and bytes < tonumber(ARGV[4]) do
  local page = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, from, 'COUNT', 1)
  from = page[1]
  local entry = page[2][1]
  -- Redis before 7 gives one that was deleted as nothing.
  if entry then
    for _, text in ipairs(entry[2]) do bytes = bytes + #text end
    entries[#entries + 1] = entry
  end
  if from == '${NO_MORE}' then break end
end
return { from, entries }
`);

export async function openRedisSource(address: RedisBridge, group: string): Promise<Source> {
  const servers = await RedisServers.find(address.at, REDIS_TIMES, nodeEnv);
  try {
    const home = await servers.forKey(address.stream);
    // In a Cluster a key with a tag of its own lives beside the stream.
    const leaseKey = `${address.stream.includes('{') ? address.stream : `{${address.stream}}`}:${group}:lease`;
    const lease = await RedisLease.take(await servers.forKey(leaseKey), leaseKey, randomId(nodeEnv));
    await createGroup(home, address.stream, group);
    return new RedisSource(address, group, servers, await servers.openBeside(home), lease);
  } catch (error) {
    servers.kill(new Error('given up'));
    throw error;
  }
}

async function createGroup(connection: RedisConnection, stream: string, group: string): Promise<void> {
  try {
    await connection.command('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM');
  } catch (error) {
    if (!(error instanceof RedisReplyError && error.kind === 'BUSYGROUP')) throw error;
  }
}

class RedisSource implements Source {
  readonly #address: RedisBridge;
  readonly #group: string;
  readonly #servers: RedisServers;
  readonly #reading: RedisConnection;
  readonly #lease: RedisLease;
  readonly #identity: string;
  /** What the scripts are told of whom they read for, and how much. */
  readonly #atMost: readonly RedisArgument[];
  /** Where to claim on; absent once everything old was claimed. */
  #claimFrom: string | undefined = NO_MORE;
  #given: readonly RedisMessage[] = [];

  constructor(address: RedisBridge, group: string, servers: RedisServers, reading: RedisConnection, lease: RedisLease) {
    this.#address = address;
    this.#group = group;
    this.#servers = servers;
    this.#reading = reading;
    this.#lease = lease;
    this.#atMost = [group, READER, TAKEN_MAX, WAITING_BYTES_MAX];
    this.#identity = shortened(`${group}\n${address.place}`).slice(0, 16);
  }

  async next(signal: AbortSignal): Promise<readonly Message[]> {
    while (!signal.aborted) {
      // What is read without it might be given before what another copy is still storing.
      this.#lease.assertHeld();
      const entries = this.#claimFrom === undefined ? await this.#read() : await this.#claim(this.#claimFrom);
      if (entries.length === 0) continue;
      this.#given = entries.map((entry) => this.#message(entry));
      return this.#given;
    }
    return [];
  }

  async settled(): Promise<void> {
    const ids = this.#given.map(({ entry }) => entry);
    await this.#reading.command('XACK', this.#address.stream, this.#group, ...ids);
  }

  async close(): Promise<void> {
    await this.#lease.leave();
    const reason = new Error('the bridge let go');
    this.#reading.kill(reason);
    this.#servers.kill(reason);
  }

  async #claim(from: string): Promise<readonly Entry[]> {
    const answer = await this.#reading.run(claimScript, this.#address.stream, [...this.#atMost, from]);
    const [next, entries] = answer as readonly [Buffer, readonly Entry[]];
    const place = next.toString();
    this.#claimFrom = place === NO_MORE ? undefined : place;
    return entries;
  }

  async #read(): Promise<readonly Entry[]> {
    const entries = await this.#reading.run(readScript, this.#address.stream, this.#atMost);
    return (entries as readonly Entry[]).length > 0 ? (entries as readonly Entry[]) : this.#wait();
  }

  /** For the first one that comes. */
  async #wait(): Promise<readonly Entry[]> {
    const { stream } = this.#address;
    const answer = await this.#reading.command(
      ...(['XREADGROUP', 'GROUP', this.#group, READER, 'COUNT', 1, 'BLOCK', BLOCK_MS, 'STREAMS', stream, '>'] as const),
    );
    const streams = answer as readonly (readonly [Buffer, readonly Entry[]])[] | null;
    return streams?.[0]?.[1] ?? [];
  }

  #message([id, fields]: Entry): RedisMessage {
    const { stream, field } = this.#address;
    const entry = id.toString();
    const headers = new Map<string, string>();
    const all: Record<string, unknown> = {};
    let body: Buffer | undefined;
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const name = (fields[i] as Buffer).toString();
      const value = fields[i + 1] as Buffer;
      all[name] ??= bytesInJson(value);
      if (name === field) body ??= value;
      else if (isUtf8(value) && !headers.has(name)) headers.set(name, value.toString());
    }
    return {
      entry,
      subject: stream,
      headers,
      body: body ?? Buffer.from(JSON.stringify(all)),
      id: `${this.#identity}/${entry}`,
      place: `stream ${stream}, entry ${entry}`,
    };
  }
}

type Entry = readonly [id: Buffer, fields: readonly Buffer[]];
