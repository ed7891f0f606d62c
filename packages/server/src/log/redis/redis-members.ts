/**
 * Asks the hosts of an address who they are, all at once, and chooses the one to begin with: the primary, or a member
 * of a Cluster that is well. Who does not answer holds up nobody for long.
 */
import type { Env } from '../../env.ts';
import { BrokerError } from '../broker/broker-port.ts';
import { hostText, type RedisAddress, type RedisHost } from './redis-address.ts';
import { RedisConnection, type ConnectionTimes } from './redis-connection.ts';
import { connectionError } from './redis-errors.ts';

export interface RedisMember {
  readonly connection: RedisConnection;
  /** What `INFO` says. */
  readonly info: ReadonlyMap<string, string>;
}

/** How long a primary waits for another one that claims to be it. */
const OTHERS_MS = 1_000;

/** Rejects in words when there is no server, or not the one primary that may be written to. */
export async function findMember(address: RedisAddress, times: ConnectionTimes, env: Env): Promise<RedisMember> {
  const { reached, failures } = await askMembers(address, times, env);
  let chosen: RedisMember | undefined;
  try {
    chosen = reached.find(isClustered) ?? onlyPrimary(reached, failures);
    return chosen;
  } finally {
    for (const member of reached) if (member !== chosen) member.connection.kill();
  }
}

/** Connects to one server. Rejects where it would lose records by itself, or cannot number them. */
export async function openMember(address: RedisAddress, host: RedisHost, times: ConnectionTimes): Promise<RedisMember> {
  const connection = await RedisConnection.open(address, host, times);
  try {
    const info = parseInfo(await connection.command('INFO'));
    checkServer(host, info);
    if (info.get('cluster_enabled') === '1') {
      const cluster = parseInfo(await connection.command('CLUSTER', 'INFO'));
      if (cluster.get('cluster_state') !== 'ok') {
        const message = `${hostText(host)}: the Redis Cluster is not well, or this node is cut off from it`;
        throw new BrokerError(message, { isFinal: false });
      }
    }
    return { connection, info };
  } catch (error) {
    connection.kill();
    throw connectionError(hostText(host), error);
  }
}

interface Asked {
  readonly reached: RedisMember[];
  readonly failures: BrokerError[];
}

/** Ends with the first member of a Cluster, soon after the first primary, or when all have answered or failed. */
function askMembers(address: RedisAddress, times: ConnectionTimes, env: Env): Promise<Asked> {
  return new Promise((resolve) => {
    const asked: Asked = { reached: [], failures: [] };
    const decided = new AbortController();
    const { givenUp } = times;
    const signals = givenUp === undefined ? [decided.signal] : [givenUp, decided.signal];
    const untilDecided = { ...times, givenUp: AbortSignal.any(signals) };
    let isOver = false;
    let cancelWait: (() => void) | undefined;
    const end = (): void => {
      isOver = true;
      cancelWait?.();
      decided.abort();
      resolve(asked);
    };
    const take = (member: RedisMember): void => {
      if (isOver) return member.connection.kill();
      asked.reached.push(member);
      if (isClustered(member)) end();
      else if (isPrimary(member)) cancelWait ??= env.setTimer(OTHERS_MS, end);
    };
    let left = address.hosts.length;
    for (const host of address.hosts) {
      openMember(address, host, untilDecided)
        .then(take, (error: BrokerError) => asked.failures.push(error))
        .finally(() => --left === 0 && !isOver && end())
        .catch(() => {});
    }
  });
}

function isClustered({ info }: RedisMember): boolean {
  return info.get('cluster_enabled') === '1';
}

function isPrimary({ info }: RedisMember): boolean {
  return info.get('role') === 'master';
}

function onlyPrimary(reached: readonly RedisMember[], failures: readonly BrokerError[]): RedisMember {
  const primaries = reached.filter(isPrimary);
  const [primary, ...others] = primaries;
  if (primary === undefined) {
    const replicas = reached.map(({ connection, info }) => {
      return `${hostText(connection.host)} is a read-only replica of ${info.get('master_host')}:${info.get('master_port')}`;
    });
    const reasons = [...replicas, ...failures.map(({ message }) => message)].join('; ');
    const isFinal = replicas.length === 0 && failures.every((failure) => failure.isFinal);
    throw new BrokerError(reached.length === 0 ? reasons : `no Redis primary: ${reasons}`, { isFinal });
  }
  if (others.length > 0) {
    const names = primaries.map(({ connection }) => hostText(connection.host)).join(' and ');
    throw new Error(`${names} both say that they are the primary: which one is right must be settled first`);
  }
  return primary;
}

function checkServer(host: RedisHost, info: ReadonlyMap<string, string>): void {
  const version = info.get('redis_version') ?? '0';
  if (Number.parseInt(version, 10) < 7) {
    const message = `${hostText(host)}: Redis ${version} is too old; a log needs 7.0 or newer`;
    throw new BrokerError(message, { isFinal: true });
  }
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (policy.startsWith('allkeys') && info.get('maxmemory') !== '0') {
    const effect = 'by which Redis deletes whole partitions when its memory is full';
    const message = `${hostText(host)}: maxmemory-policy is ${policy}, ${effect}; a log needs noeviction`;
    throw new BrokerError(message, { isFinal: true });
  }
}

function parseInfo(reply: unknown): ReadonlyMap<string, string> {
  return new Map([...String(reply).matchAll(/^([a-z_0-9]+):(.*?)\r?$/gm)].map((m) => [m[1] as string, m[2] as string]));
}
