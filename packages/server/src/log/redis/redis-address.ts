/**
 * Reads the address of a log on Redis:
 *
 *     redis://[[user]:password@]host[:port][,host[:port]…][/name][?option=value&…]
 *
 * Several hosts are the members of one deployment: a primary with its replicas, or a Cluster. Which of the two, and who
 * is the primary, is asked of the servers, so there is one form for all. `rediss:` speaks TLS.
 */

export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

export interface RedisAddress {
  readonly hosts: readonly RedisHost[];
  readonly tls: boolean;
  /** Files in PEM: the authority to trust in place of the system's, a client certificate and its key. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly user?: string;
  readonly password?: string;
  /** Begins every key. */
  readonly name: string;
  /** The numbered database; a Cluster has only 0. */
  readonly database: number;
  /** Of a new log; absent: what it has. */
  readonly partitions?: number;
  /** How many replicas must hold a record before it counts as stored. */
  readonly replicas: number;
}

const PORT = 6379;
const PARTITIONS_MAX = 256;
export const redisForm = 'redis://[USER:PASSWORD@]HOST[:6379][/NAME]';

/** What may stand behind the question mark. */
const optionNames = ['partitions', 'replicas', 'database', 'ca', 'cert', 'key'];

/** Throws in words; no part of what may be a password is repeated. */
export function parseRedisAddress(address: string): RedisAddress {
  const parts = /^(rediss?):\/\/(?:([^@/?]*)@)?([^@/?]*)(?:\/([^?]*))?(?:\?(.*))?$/i.exec(address);
  if (parts === null) throw new Error(`a Redis address is written ${redisForm}`);
  const [, scheme = '', credentials, hosts = '', name = '', query = ''] = parts;
  const options = new URLSearchParams(query);
  for (const option of options.keys()) {
    if (!optionNames.includes(option)) {
      throw new Error(`a Redis address has no option "${option}"; known: ${optionNames.join(', ')}`);
    }
  }
  const tls = scheme.toLowerCase() === 'rediss';
  const files = { caFile: options.get('ca'), certFile: options.get('cert'), keyFile: options.get('key') };
  const given = Object.entries(files).filter(([, file]) => file !== null);
  if (!tls && given.length > 0) {
    throw new Error('ca, cert and key belong to TLS: write rediss://');
  }
  if ((files.certFile === null) !== (files.keyFile === null)) {
    throw new Error('cert and key of a Redis address come together');
  }
  const partitions = numberOption(options, 'partitions', 1, PARTITIONS_MAX);
  return {
    hosts: hosts.split(',').map(parseHost),
    tls,
    ...(Object.fromEntries(given) as Partial<Record<keyof typeof files, string>>),
    ...parseCredentials(credentials),
    name: parseName(name),
    database: numberOption(options, 'database', 0, 65_535) ?? 0,
    replicas: numberOption(options, 'replicas', 0, 16) ?? 0,
    ...(partitions === undefined ? {} : { partitions }),
  };
}

/** The address as messages name it: without credentials and options. */
export function placeOf({ hosts, tls, name }: RedisAddress): string {
  return `${tls ? 'rediss' : 'redis'}://${hosts.map(hostText).join(',')}/${name}`;
}

export function hostText({ host, port }: RedisHost): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function parseHost(text: string): RedisHost {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/i.exec(text);
  const host = parts?.[1] ?? parts?.[2];
  const port = parts?.[3] === undefined ? PORT : Number(parts[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new Error(
      `"${text}" is no host of a Redis address; write host, host:port or [IPv6]:port, with commas between`,
    );
  }
  return { host, port };
}

function parseCredentials(text: string | undefined): { user?: string; password?: string } {
  if (text === undefined || text === '') return {};
  const colon = text.indexOf(':');
  if (colon < 0) throw new Error('a Redis address with a user needs a password: user:password@, or :password@');
  const user = decode(text.slice(0, colon));
  return { ...(user === '' ? {} : { user }), password: decode(text.slice(colon + 1)) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error('user and password of a Redis address are percent-encoded; write a % itself as %25');
  }
}

function parseName(text: string): string {
  if (text === '') return 'tideway';
  if (!/^[a-z0-9._-]{1,64}$/i.test(text)) {
    throw new Error(`"${text}" is no name for a log on Redis: 1 to 64 letters, digits, dots, hyphens and underscores`);
  }
  return text;
}

function numberOption(options: URLSearchParams, name: string, min: number, max: number): number | undefined {
  const text = options.get(name);
  if (text === null) return undefined;
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max)) {
    throw new Error(`${name}=${text} of a Redis address: a whole number from ${min} to ${max}`);
  }
  return number;
}
