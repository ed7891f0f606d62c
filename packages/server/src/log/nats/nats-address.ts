/**
 * The address of a log on NATS:
 *
 *     nats://[user:password@|token@]host[:port][,host[:port]…]/name[?partitions=8&replicas=1&…]
 *     nats+tls://…
 *
 * `name` names its streams and subjects. With `nats+tls:` nothing is said to a server that does not prove who it is.
 */
import { readFileSync } from 'node:fs';
import { BrokerError } from '../broker/broker-port.ts';

export interface NatsAddress {
  readonly hosts: readonly string[];
  readonly name: string;
  /** Of a log that is made; `undefined` takes what it has. */
  readonly partitions: number | undefined;
  /** Copies of each partition; `undefined` takes what the streams have, and 1 for new ones. */
  readonly replicas: number | undefined;
  readonly isTls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly token: string | undefined;
  /** Files: a user's credentials (JWT and seed), or the seed of an nkey. */
  readonly credentialsFile: string | undefined;
  readonly nkeyFile: string | undefined;
  /** PEM files: who signs the servers' certificates, and this client's own certificate with its key. */
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
}

export const natsForm = 'nats://HOST[:4222]/NAME';

const PARTITIONS_MAX = 1_024;
const PORT = 4222;
const files = {
  credentials: 'credentialsFile',
  nkey: 'nkeyFile',
  ca: 'caFile',
  cert: 'certFile',
  key: 'keyFile',
} as const;
const options = ['partitions', 'replicas', ...Object.keys(files)];

/** Takes an address apart. Throws in words; never repeats what may be a password. */
export function parseNatsAddress(address: string): NatsAddress {
  const match = /^nats(\+tls)?:\/\/(?:([^@/]*)@)?([^/?#@]+)\/([^/?#]*)(?:\?([^#]*))?$/i.exec(address);
  if (match === null) throw new Error(`a log on NATS is written ${natsForm}, with a name behind the host`);
  const [, tls, account, hosts, name, query] = match as unknown as [
    string,
    string?,
    string?,
    string?,
    string?,
    string?,
  ];
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name ?? '')) {
    throw new Error(`the name of a log on NATS has 1 to 64 of A–Z a–z 0–9 _ -, got "${name}"; write ${natsForm}`);
  }
  const given = new URLSearchParams(query ?? '');
  for (const option of given.keys()) {
    if (!options.includes(option))
      throw new Error(`${natsForm} has no option "${option}"; known: ${options.join(', ')}`);
  }
  const isTls = tls !== undefined;
  const named = Object.fromEntries(
    Object.entries(files).map(([option, field]) => [field, given.get(option) ?? undefined]),
  );
  const [user, password] = accountOf(account);
  const parsed = {
    hosts: (hosts as string).split(',').map((host) => hostOf(host)),
    name: name as string,
    partitions: countOf(given, 'partitions', PARTITIONS_MAX),
    replicas: countOf(given, 'replicas', 5),
    isTls,
    user: password === undefined ? undefined : user,
    password,
    token: password === undefined ? user : undefined,
    ...(named as Pick<NatsAddress, (typeof files)[keyof typeof files]>),
  };
  const ways = [parsed.user, parsed.token, parsed.credentialsFile, parsed.nkeyFile].filter((way) => way !== undefined);
  if (ways.length > 1) throw new Error(`${natsForm}: a user, a token, credentials= and nkey= exclude one another`);
  if ((parsed.certFile === undefined) !== (parsed.keyFile === undefined)) {
    throw new Error(`${natsForm}: cert= and key= need each other`);
  }
  if (!isTls && (parsed.caFile ?? parsed.certFile) !== undefined) {
    throw new Error(`${natsForm}: ca=, cert= and key= are for nats+tls://`);
  }
  return parsed;
}

/** The address for messages: without credentials. */
export function natsPlace({ isTls, hosts, name }: NatsAddress): string {
  return `${isTls ? 'nats+tls' : 'nats'}://${hosts.join(',')}/${name}`;
}

/** What a file of the address holds. Throws in words. */
export function readAddressFile(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new BrokerError(`${option}=${file} of the log's address cannot be read`, { isFinal: true, cause: error });
  }
}

function hostOf(text: string): string {
  const match = /^(\[[0-9a-f:]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/i.exec(text);
  if (match === null) throw new Error(`"${text}" is no host of a log on NATS; write HOST or HOST:PORT`);
  const port = match[2] === undefined ? PORT : Number(match[2]);
  if (port < 1 || port > 65_535) throw new Error(`"${text}": a port is 1 to 65535`);
  return `${match[1]}:${port}`;
}

function accountOf(account: string | undefined): [string?, string?] {
  if (account === undefined || account === '') return [];
  const colon = account.indexOf(':');
  const parts = colon < 0 ? [account] : [account.slice(0, colon), account.slice(colon + 1)];
  try {
    return parts.map((part) => decodeURIComponent(part)) as [string?, string?];
  } catch {
    throw new Error(`${natsForm}: the credentials before the @ must be percent-encoded`);
  }
}

function countOf(given: URLSearchParams, option: string, most: number): number | undefined {
  const text = given.get(option);
  if (text === null) return undefined;
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > most)
    throw new Error(`${option}=${text} of a log on NATS: a whole number from 1 to ${most}`);
  return count;
}
