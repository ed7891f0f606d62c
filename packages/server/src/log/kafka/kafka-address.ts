/**
 * Where a log on Kafka is, as configuration writes it:
 *
 *     kafka://[user:password@]host[:9092][,host…][/name][?parameters]       kafka+tls://… the same over TLS
 *
 *     partitions    how many a new log gets (8); fixed for its life
 *     replication   copies of each (3, or as many as there are brokers)
 *     retention     how long records stay at least, beside those that the log itself needs: 90m, 12h, 7d (7d), none, forever
 *     sasl          plain, scram-sha-256, scram-sha-512 (scram-sha-512), with a user and a password
 *     advertised    ignore: one broker behind a tunnel or a port forward is reached where the address says, not it itself
 *     ca, cert, key files: what to trust, and this client's own certificate, with kafka+tls
 */

export interface KafkaAddress {
  readonly brokers: readonly BrokerAddress[];
  /** Of the topic that holds the records; others have names that begin with it. */
  readonly name: string;
  readonly partitions: number | undefined;
  readonly replication: number | undefined;
  /** How long records stay at least; infinite: nothing is ever deleted. */
  readonly retentionMs: number;
  /** The one broker is reached where the address says, whatever it calls itself. */
  readonly ignoresAdvertised: boolean;
  readonly tls: KafkaTls | undefined;
  readonly login: KafkaLogin | undefined;
  /** Without credentials and parameters. */
  readonly place: string;
}

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

export interface KafkaTls {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export interface KafkaLogin {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
  readonly user: string;
  readonly password: string;
}

export const kafkaForm = 'kafka://[user:password@]host[:9092][,host]/name';

const DAY_MS = 86_400_000;
const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: DAY_MS };
const mechanisms = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const;
const parameterNames = ['partitions', 'replication', 'retention', 'advertised', 'sasl', 'ca', 'cert', 'key'];

/** Throws in words. Nothing of the address is repeated that could hold a credential. */
export function parseKafkaAddress(address: string): KafkaAddress {
  const [, scheme, , user, hosts, path, query] =
    /^(kafka(?:\+tls)?):\/\/(([^@/?#]*)@)?([^@/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(address) ?? [];
  if (scheme === undefined || hosts === undefined) throw new Error(`a Kafka address has the form ${kafkaForm}`);
  const brokers = hosts.split(',').map(parseBroker);
  const name = parseName(path ?? '');
  const parameters = new URLSearchParams(query ?? '');
  for (const key of parameters.keys()) {
    if (!parameterNames.includes(key)) {
      throw new Error(`a Kafka address has no parameter "${key}"; known: ${parameterNames.join(', ')}`);
    }
  }
  const isTls = scheme.toLowerCase() === 'kafka+tls';
  const file = (key: string): string | undefined => parameters.get(key) ?? undefined;
  const tls = { ca: file('ca'), cert: file('cert'), key: file('key') };
  if (!isTls && Object.values(tls).some((value) => value !== undefined)) {
    throw new Error('ca, cert and key belong to kafka+tls://');
  }
  const advertised = parameters.get('advertised');
  if (advertised !== null && advertised !== 'ignore') throw new Error(`advertised is ignore, not "${advertised}"`);
  if ((tls.cert === undefined) !== (tls.key === undefined)) throw new Error('cert and key come together');
  return {
    brokers,
    name,
    partitions: parseCount(parameters, 'partitions', 1_024),
    replication: parseCount(parameters, 'replication', 16),
    retentionMs: parseRetention(parameters.get('retention')),
    ignoresAdvertised: advertised !== null,
    tls: isTls ? tls : undefined,
    login: parseLogin(user, parameters.get('sasl')),
    place: `${scheme.toLowerCase()}://${brokers.map(({ host, port }) => `${host}:${port}`).join(',')}/${name}`,
  };
}

function parseBroker(text: string): BrokerAddress {
  const [, bracketed, plain, portText] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = portText === undefined ? 9_092 : Number(portText);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new Error('each broker of a Kafka address is host or host:port, with commas between them');
  }
  return { host, port };
}

function parseName(path: string): string {
  const name = path === '' ? 'tideway' : path;
  // Kafka allows 249; the longest of ours has ".constants" behind it.
  if (/^[a-zA-Z0-9._-]{1,200}$/.test(name) && !/^\.{1,2}$/.test(name)) return name;
  throw new Error(`"${name}" cannot be the name of a topic: letters, digits, ".", "_" and "-", at most 200`);
}

function parseCount(parameters: URLSearchParams, key: string, max: number): number | undefined {
  const text = parameters.get(key);
  if (text === null) return undefined;
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= max) return count;
  throw new Error(`${key} is a whole number from 1 to ${max}, not "${text}"`);
}

function parseRetention(text: string | null): number {
  if (text === null) return 7 * DAY_MS;
  if (text === 'forever') return Number.POSITIVE_INFINITY;
  if (text === 'none') return 0;
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined && Number(count) > 0) return Number(count) * (units[unit] ?? DAY_MS);
  throw new Error(`retention is a time such as 90m, 12h or 7d, none or forever, not "${text}"`);
}

function parseLogin(text: string | undefined, sasl: string | null): KafkaLogin | undefined {
  if (text === undefined) {
    if (sasl !== null) throw new Error('sasl needs a user and a password before the first host');
    return undefined;
  }
  const mechanism = sasl ?? 'scram-sha-512';
  if (!Object.hasOwn(mechanisms, mechanism)) {
    throw new Error(`sasl is one of ${Object.keys(mechanisms).join(', ')}, not "${mechanism}"`);
  }
  const colon = text.indexOf(':');
  if (colon < 1) throw new Error('a login is written user:password@ before the first host');
  try {
    return {
      mechanism: mechanisms[mechanism as keyof typeof mechanisms],
      user: decodeURIComponent(text.slice(0, colon)),
      password: decodeURIComponent(text.slice(colon + 1)),
    };
  } catch {
    throw new Error('the user or the password has a "%" that is not followed by two hexadecimal digits; write %25');
  }
}
