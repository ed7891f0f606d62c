/**
 * The one table of settings: key, kind, default, bounds, meaning and reason. Checks, environment variables, flags,
 * `tideway config` and docs/reference/config.md are all made from it. What only code can give (contract, session hook,
 * permission functions, logger) stands in `ServerOptions` alone.
 */
import { limits, timing } from '@tideway/protocol';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

interface Described {
  /** One sentence: what it is. */
  readonly meaning: string;
  /** Why this default, or why it exists. */
  readonly reason?: string;
  /** Never shown, and never a flag, because other users of a machine see the flags of its processes. */
  readonly secret?: true;
}

interface Bounded extends Described {
  readonly default?: number;
  readonly min: number;
  readonly max: number;
}

/** What a text must look like. */
export type TextForm = 'origin' | 'host' | 'network';

export type Setting =
  | (Described & { readonly kind: 'text'; readonly default?: string; readonly form?: TextForm })
  | (Described & { readonly kind: 'list'; readonly default?: readonly string[]; readonly form?: TextForm })
  | (Described & { readonly kind: 'choice'; readonly default?: string; readonly choices: readonly string[] })
  | (Described & {
      readonly kind: 'choices';
      readonly default?: readonly string[];
      readonly choices: readonly string[];
    })
  | (Described & { readonly kind: 'switch'; readonly default: boolean })
  | (Bounded & { readonly kind: 'count' | 'bytes' | 'duration' | 'port' })
  /** A structure: in the environment as JSON, checked by its own room. */
  | (Described & { readonly kind: 'json' });

export const settings = {
  host: {
    kind: 'text',
    default: '127.0.0.1',
    meaning: 'The address to listen on.',
    reason: 'Loopback until somebody decides otherwise; `0.0.0.0` or `::` for the network.',
  },
  port: { kind: 'port', default: 7400, min: 0, max: 65_535, meaning: 'The port to listen on; 0 takes a free one.' },
  log: {
    kind: 'text',
    meaning:
      'Where records are ordered and kept: a folder for the embedded log, `memory:`, or a broker: `nats://`, `redis://`, `amqp://`, `kafka://` (docs/logs). Default: the folder `data`.',
  },
  data: {
    kind: 'text',
    default: './tideway-data',
    meaning: 'The folder of what this node keeps: its view, its ticket key and, if embedded, its log.',
  },
  origins: {
    kind: 'list',
    form: 'origin',
    default: [],
    meaning:
      'Pages of these origins may connect too, such as `https://app.example.com`; exact match. `*` lets every page in, without its cookies.',
    reason: 'The server’s own origin is always in. A page anywhere could else use its visitor’s cookie (CWE-1385).',
  },
  hosts: {
    kind: 'list',
    form: 'host',
    default: [],
    meaning:
      'Names under which this server is reached, without port. Loopback names and addresses always are; `*` takes all.',
    reason:
      'Empty: on loopback and in `tideway dev` no other name is taken (DNS rebinding), on the network every name is.',
  },
  trustedProxies: {
    kind: 'list',
    form: 'network',
    default: [],
    meaning:
      'Proxies in front, as addresses (`10.0.0.7`) or networks (`10.0.0.0/8`, `fd00::/8`). On connections from there the client’s address, the name it asked for and whether it uses TLS are what `X-Forwarded-For`, `-Host` and `-Proto` say; from anywhere else these headers are not read. `Forwarded` never is.',
    reason: 'A proxy must set all three or take them away, or its clients write them.',
  },
  workers: {
    kind: 'count',
    default: 0,
    min: 0,
    max: 256,
    meaning:
      'Processes that serve clients beside the one that has the log, on one port (docs/guides/workers.md); 0: one process does all.',
    reason: 'One process keeps one core busy. For `tideway serve` and `tideway dev`, on the embedded log or `memory:`.',
  },
  'tls.cert': {
    kind: 'text',
    meaning: 'A PEM file with the certificate and its chain. Watched: a new one is used without dropping anyone.',
  },
  'tls.key': { kind: 'text', meaning: 'A PEM file with the private key.' },
  namespaces: { kind: 'json', meaning: 'The policy of each namespace, by name: see below.' },
  bridges: {
    kind: 'json',
    secret: true,
    meaning: 'What `tideway bridge` moves between brokers and channels, by name. Its addresses may hold credentials.',
  },
  'auth.jwt.secret': {
    kind: 'text',
    secret: true,
    meaning: 'HS256: the secret shared with whoever issues the tokens, at least 32 bytes (RFC 7518 §3.2).',
  },
  'auth.jwt.publicKey': {
    kind: 'text',
    meaning: 'RS256, ES256 or EdDSA: a public key or certificate, as PEM text or as the path of a PEM file.',
  },
  'auth.jwt.jwks': {
    kind: 'text',
    meaning:
      'RS256, ES256 or EdDSA: the URL or the path of a JWK set. Asked again when it changes or a new `kid` appears.',
  },
  'auth.jwt.algorithms': {
    kind: 'choices',
    choices: ['HS256', 'RS256', 'ES256', 'EdDSA'],
    meaning: 'The algorithms that are accepted. Default: those the key can have.',
  },
  'auth.jwt.issuer': { kind: 'list', meaning: '`iss` must be one of these.' },
  'auth.jwt.audience': {
    kind: 'list',
    meaning: '`aud` must have one of these.',
    reason: 'Else a token for another service of the same provider opens this one.',
  },
  'auth.jwt.type': {
    kind: 'text',
    meaning: 'The header’s `typ` must be this, such as `at+jwt` (RFC 9068). Default: not looked at.',
  },
  'auth.jwt.clockToleranceMs': {
    kind: 'duration',
    default: 5 * SECOND,
    min: 0,
    max: 5 * MINUTE,
    meaning: 'How far the clock of the issuer may be off.',
  },
  'auth.keys': {
    kind: 'json',
    meaning: 'The API keys of back ends: a list of `{name, sha256, user?, roles?, allow?}`. Only hashes are kept.',
  },
  'auth.ticketSecret': {
    kind: 'text',
    secret: true,
    meaning:
      'What tickets for `EventSource` are signed with, at least 32 bytes; the same on all nodes of a log, which then take each other’s.',
    reason: 'Default: made from `auth.jwt.secret`; without one, a key in `data`, of this node alone.',
  },
  pingMs: {
    kind: 'duration',
    default: timing.pingMs,
    min: SECOND,
    max: HOUR,
    meaning: 'How often a connection is pinged.',
    reason: 'Common proxies cut a connection that is idle for 60 s.',
  },
  helloMs: {
    kind: 'duration',
    default: timing.helloMs,
    min: 100,
    max: 5 * MINUTE,
    meaning: 'How long a connection may live without a successful `hello`.',
  },
  noticeMs: {
    kind: 'duration',
    default: 2 * SECOND,
    min: 0,
    max: HOUR,
    meaning:
      'How long a stopping server only says so on `/readyz`, so that load balancers notice, before clients are told to move. Not where it is the only node.',
  },
  drainMs: {
    kind: 'duration',
    default: 20 * SECOND,
    min: 0,
    max: HOUR,
    meaning: 'How long a stopping server lets its clients take to move elsewhere.',
  },
  'limits.recordBytes': {
    kind: 'bytes',
    default: limits.recordBytes,
    min: KIB,
    max: limits.recordBytesMax,
    meaning: 'The largest record, unless its namespace says otherwise.',
  },
  'limits.subscriptions': {
    kind: 'count',
    default: limits.subscriptions,
    min: 1,
    max: 100_000,
    meaning: 'Channels that one session may follow.',
  },
  'limits.sessions': {
    kind: 'count',
    default: 50_000,
    min: 1,
    max: 10_000_000,
    meaning: 'WebSockets and event streams of this node; beyond it new ones are turned away as `overloaded`.',
    reason: '50,000 idle ones take about 0.6 GB, and as many file descriptors.',
  },
  'limits.sessionsPerUser': {
    kind: 'count',
    default: 1_000,
    min: 1,
    max: 10_000_000,
    meaning: 'Sessions of one user on this node.',
    reason: 'No person has so many devices; a runaway script has.',
  },
  'limits.appendsPerSecond': {
    kind: 'count',
    default: 50_000,
    min: 1,
    max: 10_000_000,
    meaning: 'Appends of one session, with a burst of one second’s worth; beyond it `rate_limited`.',
  },
  'limits.signalsPerSecond': {
    kind: 'count',
    default: 1_000,
    min: 1,
    max: 10_000_000,
    meaning: 'Signals of one session, with a burst of one second’s worth; beyond it they are dropped and counted.',
    reason: 'Each is copied to every follower.',
  },
  'limits.callsPerSecond': {
    kind: 'count',
    default: 1_000,
    min: 1,
    max: 10_000_000,
    meaning: 'Calls of one session, with a burst of one second’s worth; beyond it `rate_limited`.',
  },
  'limits.outboxBytes': {
    kind: 'bytes',
    default: MIB,
    min: 16 * KIB,
    max: GIB,
    meaning: 'What may wait to be sent to one session; beyond it its subscriptions keep a place and read on later.',
  },
  'limits.outboxBytesTotal': {
    kind: 'bytes',
    default: 512 * MIB,
    min: MIB,
    max: 1024 * GIB,
    meaning:
      'What may wait to be sent to all sessions together. Answers over HTTP may hold half of it, bodies a quarter.',
    reason: '10,000 full outboxes of 1 MiB would be 10 GB.',
  },
  'limits.ringBytesTotal': {
    kind: 'bytes',
    default: 64 * MIB,
    min: MIB,
    max: 1024 * GIB,
    meaning: 'The newest records of followed channels that are kept in memory, all channels together.',
  },
  'limits.logBytes': {
    kind: 'bytes',
    default: GIB,
    min: 16 * MIB,
    max: 1024 * 1024 * GIB,
    meaning: 'The size at which the embedded log begins to delete its oldest segments.',
  },
  logLevel: {
    kind: 'choice',
    default: 'info',
    choices: ['debug', 'info', 'warn', 'error'],
    meaning: 'Which events are logged.',
  },
  logFormat: {
    kind: 'choice',
    default: 'auto',
    choices: ['auto', 'json', 'pretty'],
    meaning: 'How the log of the server itself looks on stderr; `auto` is pretty on a terminal, else JSON lines.',
  },
  faults: {
    kind: 'switch',
    default: false,
    meaning: 'Lets clients ask for faults on their own connection (cut, delay, slow, freeze, lost acknowledgements).',
    reason: 'For tests and the demo.',
  },
  development: {
    kind: 'switch',
    default: false,
    meaning: 'Anyone may do anything on any channel: what `tideway dev` sets.',
  },
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingKey = keyof typeof settings;

export const settingKeys = Object.keys(settings) as SettingKey[];

/** What a value of each kind is in code. */
export type Kinds = {
  text: string;
  list: readonly string[];
  choice: string;
  choices: readonly string[];
  switch: boolean;
  count: number;
  bytes: number;
  duration: number;
  port: number;
  json: unknown;
};

/** The values of all settings by key; `undefined` only where there is no default. */
export type SettingValues = {
  readonly [K in SettingKey]:
    | Kinds[(typeof settings)[K]['kind']]
    | ((typeof settings)[K] extends { default: unknown } ? never : undefined);
};

/** `limits.outboxBytes` → `TIDEWAY_LIMITS_OUTBOX_BYTES`. */
export function environmentName(key: string): string {
  return `TIDEWAY_${key
    .replaceAll('.', '_')
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toUpperCase()}`;
}

/** `limits.outboxBytes` → `limits-outbox-bytes`; `undefined` where a flag would be seen by others, or is no text. */
export function flagName(key: SettingKey): string | undefined {
  const setting: Setting = settings[key];
  if (setting.secret === true || setting.kind === 'json') return undefined;
  return key
    .replaceAll('.', '-')
    .replaceAll(/([a-z])([A-Z])/g, '$1-$2')
    .toLowerCase();
}
