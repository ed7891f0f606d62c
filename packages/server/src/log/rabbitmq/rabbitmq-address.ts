/**
 * Reads the address of a log on RabbitMQ:
 *
 *     amqp://user:password@host:5672/vhost?name=tideway&partitions=8
 *     amqp://user:password@host-1,host-2,host-3/?name=tideway
 *
 * What stands before the question mark is an ordinary AMQP address, so the log's own name stands behind it.
 */
export interface RabbitmqAddress {
  /** Members of one cluster. */
  readonly hosts: readonly RabbitmqHost[];
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  /** What every queue and exchange of the log begins with. */
  readonly name: string;
  /** How many streams a new log is made with; absent: the default, or whatever the log has. */
  readonly partitions: number | undefined;
  /** How much of each partition the broker keeps, at least; decided when the partition is made. */
  readonly keepBytes: number;
  /** How large the files of a stream are: what the broker removes at once. */
  readonly segmentBytes: number;
  /** Only with `amqps:`. */
  readonly tls: RabbitmqTls | undefined;
  /** The address without credentials, for messages. */
  readonly place: string;
}

export interface RabbitmqHost {
  readonly host: string;
  readonly port: number;
}

/** Files in PEM. */
export interface RabbitmqTls {
  /** Whom to trust instead of the usual authorities. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export const rabbitmqForm = 'amqp://[user:password@]host:5672/vhost?name=NAME';

/** 4 W records of 16 KiB. */
const KEEP_BYTES = 4 * 1024 ** 3;
const SEGMENT_BYTES = 50_000_000;
const PARTITIONS_MAX = 256;
const parameters = ['name', 'partitions', 'keepBytes', 'segmentBytes', 'ca', 'cert', 'key'];

/** Throws in words, and never with what may be a password. */
export function parseRabbitmqAddress(address: string): RabbitmqAddress {
  const { url, hosts: given } = parseUrl(address);
  const isTls = url.protocol === 'amqps:';
  const query = url.searchParams;
  for (const name of query.keys()) {
    if (!parameters.includes(name)) throw new Error(`${url.protocol} "${name}" is not known; ${parameters.join(', ')}`);
  }
  const hosts = given.map((host) => hostOf(host, isTls ? 5671 : 5672));
  const name = query.get('name') ?? 'tideway';
  if (!/^[A-Za-z0-9_.-]{1,100}$/.test(name)) {
    throw new Error(`name "${name}": a log's name has 1 to 100 of A–Z a–z 0–9 _ . -`);
  }
  const vhost = decodeURIComponent(url.pathname.slice(1)) || '/';
  const keepBytes = wholeNumber(query, 'keepBytes', KEEP_BYTES);
  const segmentBytes = wholeNumber(query, 'segmentBytes', Math.min(SEGMENT_BYTES, Math.ceil(keepBytes / 4)));
  if (segmentBytes * 2 > keepBytes) {
    throw new Error(`segmentBytes ${segmentBytes} is more than half of keepBytes, ${keepBytes}`);
  }
  const files = ['ca', 'cert', 'key'].map((file) => query.get(file) ?? undefined);
  if (!isTls && files.some((file) => file !== undefined)) throw new Error('ca, cert and key are for amqps:');
  const [ca, cert, key] = files;
  if ((cert === undefined) !== (key === undefined)) throw new Error('cert and key belong together');
  const partitions = query.has('partitions') ? wholeNumber(query, 'partitions', 0) : undefined;
  if (partitions !== undefined && partitions > PARTITIONS_MAX) {
    throw new Error(`partitions ${partitions}: at most ${PARTITIONS_MAX}`);
  }
  return {
    hosts,
    user: url.username === '' ? 'guest' : decodeURIComponent(url.username),
    password: url.username === '' && url.password === '' ? 'guest' : decodeURIComponent(url.password),
    vhost,
    name,
    partitions,
    keepBytes,
    segmentBytes,
    tls: isTls ? { ca, cert, key } : undefined,
    place: `${url.protocol}//${hosts.map(hostText).join(',')}/${vhost === '/' ? '' : encodeURIComponent(vhost)}?name=${name}`,
  };
}

/** As in messages and addresses. */
export function hostText({ host, port }: RabbitmqHost): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The address as a URL with the first of its hosts, and all hosts as they are written. */
function parseUrl(address: string): { readonly url: URL; readonly hosts: readonly string[] } {
  const [, before, hosts, behind] = /^(amqps?:\/\/(?:[^@/?#]*@)?)([^/?#]+)(.*)$/i.exec(address) ?? [];
  const all = hosts?.split(',') ?? [];
  try {
    return { url: new URL(`${before}${all[0]}${behind}`), hosts: all };
  } catch {
    throw new Error('the address of the log is no URL; write amqp://user:password@host:5672/vhost?name=tideway');
  }
}

function hostOf(text: string, portOtherwise: number): RabbitmqHost {
  const [, host, port] = /^(\[[0-9a-f:]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/i.exec(text) ?? [];
  const number = port === undefined ? portOtherwise : Number(port);
  if (host === undefined || number < 1 || number > 65_535)
    throw new Error(`"${text}" is no host; write HOST or HOST:PORT`);
  return { host: host.replace(/^\[|\]$/g, ''), port: number };
}

function wholeNumber(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  const number = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (number < 1) throw new Error(`${name} "${text}": a whole number from 1 upwards`);
  return number;
}
