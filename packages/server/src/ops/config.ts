/**
 * What a server is made with: `ServerOptions` as a program or `tideway.config.ts` gives them, and `ResolvedConfig`, the
 * same with every default filled in and every value checked. Nothing else in the server has defaults of its own.
 */
import type { Contract } from '@tideway/protocol';
import type { AuthOptions } from '../auth/authenticator.ts';
import type { BridgeOptions, ResolvedBridge } from '../bridge/bridge-options.ts';
import { type Env, nodeEnv } from '../env.ts';
import type { MethodOptions } from '../hub/call.ts';
import { isOnBroker, parseLogAddress } from '../log/registry.ts';
import { resolveBridges } from './config-bridges.ts';
import { resolveCalls } from './config-calls.ts';
import {
  developmentPolicy,
  type NamespaceOptions,
  type NamespacePolicy,
  resolveNamespaces,
} from './config-namespaces.ts';
import { isObject, refuseUnknown, valueAt } from './config-objects.ts';
import { type Setting, type SettingKey, settingKeys, settings, type SettingValues } from './config-schema.ts';
import { checkValue, ConfigError, type Problem, show } from './config-values.ts';
import type { LogFormat } from './logger-format.ts';
import type { LogLevel } from './logger-events.ts';
import type { LogLine } from './logger.ts';

/** What `createServer` takes. Each value's default, bounds and reason: docs/reference/config.md. */
export interface ServerOptions {
  /** What the channels carry; payloads that do not fit are refused. */
  readonly contract?: Contract | undefined;
  /** A folder for the embedded log, or `memory:`. */
  readonly log?: string | undefined;
  readonly data?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** For `tideway serve` and `tideway dev`: a program that makes its server itself cannot be started once more. */
  readonly workers?: number | undefined;
  readonly auth?: AuthOptions | undefined;
  readonly namespaces?: Readonly<Record<string, NamespaceOptions>> | undefined;
  /** What clients may call, by its name: 1–64 of `A–Z a–z 0–9 _ . -`. */
  readonly calls?: Readonly<Record<string, MethodOptions>> | undefined;
  /** What `tideway bridge` moves between brokers and channels, by name; a server takes no part in it. */
  readonly bridges?: Readonly<Record<string, BridgeOptions>> | undefined;
  readonly origins?: readonly string[] | undefined;
  readonly hosts?: readonly string[] | undefined;
  readonly trustedProxies?: readonly string[] | undefined;
  /** Paths of PEM files. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly limits?: Partial<ServerLimits> | undefined;
  readonly pingMs?: number | undefined;
  readonly helloMs?: number | undefined;
  readonly noticeMs?: number | undefined;
  readonly drainMs?: number | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly logFormat?: LogFormat | undefined;
  /** Takes the lines of the server's log of itself. Default: stderr. */
  readonly logger?: ((line: LogLine) => void) | undefined;
  readonly faults?: boolean | undefined;
  readonly development?: boolean | undefined;
  /** Clock, randomness and timers, for tests. */
  readonly env?: Env | undefined;
}

export interface ServerLimits {
  readonly recordBytes: number;
  readonly subscriptions: number;
  readonly sessions: number;
  readonly sessionsPerUser: number;
  readonly appendsPerSecond: number;
  readonly signalsPerSecond: number;
  readonly callsPerSecond: number;
  readonly outboxBytes: number;
  readonly outboxBytesTotal: number;
  readonly ringBytesTotal: number;
  readonly logBytes: number;
}

export interface ResolvedConfig {
  readonly contract: Contract | undefined;
  /** A folder, or a URL with a scheme. */
  readonly log: string;
  /** Absent with `memory:` alone: nothing is kept on disk. */
  readonly data: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly workers: number;
  readonly auth: AuthOptions;
  readonly namespaces: Readonly<Record<string, NamespacePolicy>>;
  /** The policy of namespaces that are not listed; absent: they are unknown. */
  readonly otherwise: NamespacePolicy | undefined;
  readonly calls: Readonly<Record<string, MethodOptions>>;
  readonly bridges: readonly ResolvedBridge[];
  readonly origins: readonly string[];
  readonly hosts: readonly string[];
  readonly trustedProxies: readonly string[];
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly limits: ServerLimits;
  readonly pingMs: number;
  readonly helloMs: number;
  readonly noticeMs: number;
  readonly drainMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly logger: ((line: LogLine) => void) | undefined;
  readonly faults: boolean;
  readonly development: boolean;
  readonly env: Env;
}

/** Given by code only: each is an object or function that no file of text can hold. */
const IN_CODE_ONLY = ['contract', 'calls', 'logger', 'env'];

/**
 * Checks options and fills in what they leave out.
 *
 * @throws ConfigError with everything that is wrong: each key, its value, and what is allowed
 */
export function resolveConfig(options: ServerOptions = {}): ResolvedConfig {
  const problems: Problem[] = [];
  refuseUnknownKeys(options, problems);
  const v = settingValues(options, problems);
  const { development } = v;
  const namespaces = resolveNamespaces(v.namespaces, { recordBytes: v['limits.recordBytes'], development }, problems);
  const calls = resolveCalls(options.calls, problems);
  const bridges = resolveBridges(v.bridges, problems);
  checkTogether(options, v, namespaces, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  const cert = v['tls.cert'];
  const key = v['tls.key'];
  return {
    contract: options.contract,
    ...placesOf(options, v),
    host: v.host,
    port: v.port,
    workers: v.workers,
    auth: options.auth ?? {},
    namespaces,
    otherwise: development ? developmentPolicy(v['limits.recordBytes']) : undefined,
    calls,
    bridges,
    origins: v.origins,
    hosts: v.hosts,
    trustedProxies: v.trustedProxies,
    tls: cert !== undefined && key !== undefined ? { cert, key } : undefined,
    limits: {
      recordBytes: v['limits.recordBytes'],
      subscriptions: v['limits.subscriptions'],
      sessions: v['limits.sessions'],
      sessionsPerUser: v['limits.sessionsPerUser'],
      appendsPerSecond: v['limits.appendsPerSecond'],
      signalsPerSecond: v['limits.signalsPerSecond'],
      callsPerSecond: v['limits.callsPerSecond'],
      outboxBytes: v['limits.outboxBytes'],
      outboxBytesTotal: v['limits.outboxBytesTotal'],
      ringBytesTotal: v['limits.ringBytesTotal'],
      logBytes: v['limits.logBytes'],
    },
    pingMs: v.pingMs,
    helloMs: v.helloMs,
    noticeMs: v.noticeMs,
    drainMs: v.drainMs,
    // `checkValue` has seen to it that these are among the choices of the table, which are these types.
    logLevel: v.logLevel as LogLevel,
    logFormat: v.logFormat as LogFormat,
    logger: options.logger,
    faults: v.faults,
    development,
    env: options.env ?? nodeEnv,
  };
}

/** Where things are kept: a `log` that is a folder is the data folder too, unless `data` says otherwise. */
function placesOf(
  options: ServerOptions,
  v: SettingValues,
): { readonly log: string; readonly data: string | undefined } {
  const { log } = v;
  if (log === undefined) return { log: v.data, data: v.data };
  if (!hasScheme(log)) return { log, data: options.data ?? log };
  return { log, data: log.startsWith('memory:') ? options.data : v.data };
}

function hasScheme(text: string): boolean {
  // A Windows drive letter is no scheme.
  return /^[a-z][a-z0-9+.-]+:/i.test(text);
}

function settingValues(options: ServerOptions, problems: Problem[]): SettingValues {
  const values: Record<string, unknown> = {};
  for (const key of settingKeys) {
    const setting: Setting = settings[key];
    let value = valueAt(options, key);
    if (value === undefined || value === null) {
      values[key] = 'default' in setting ? setting.default : undefined;
      continue;
    }
    // One where several are allowed is a list of one.
    if (setting.kind === 'list' && typeof value === 'string') value = [value];
    const problem = checkValue(key, setting, value);
    if (problem === undefined) values[key] = value;
    else {
      problems.push(problem);
      values[key] = 'default' in setting ? setting.default : undefined;
    }
  }
  // Each value is its setting's default or was checked against its kind.
  return values as SettingValues;
}

function refuseUnknownKeys(options: ServerOptions, problems: Problem[]): void {
  const under = (prefix: string): string[] => [
    ...new Set(
      settingKeys
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length).split('.')[0] as string),
    ),
  ];
  refuseUnknown('', options, [...under(''), ...IN_CODE_ONLY], problems);
  for (const [group, more] of [
    ['tls', []],
    ['limits', []],
    ['auth', ['session']],
    ['auth.jwt', []],
  ] as const) {
    const value = valueAt(options, group);
    if (value === undefined || value === null) continue;
    if (isObject(value)) refuseUnknown(group, value, [...under(`${group}.`), ...more], problems);
    else
      problems.push({
        key: group,
        message: `${group}: ${show(value)} is not allowed; an object with ${under(`${group}.`).join(', ')} is`,
      });
  }
}

/** True for a log of several nodes. */
function isShared(log: string | undefined, wrong: (message: string) => void): boolean {
  try {
    return log !== undefined && isOnBroker(parseLogAddress(log));
  } catch (error) {
    wrong((error as Error).message);
    return false;
  }
}

/** What is right by itself and wrong together. */
function checkTogether(
  options: ServerOptions,
  v: SettingValues,
  namespaces: Readonly<Record<string, NamespacePolicy>>,
  problems: Problem[],
): void {
  const wrong = (key: SettingKey | 'contract' | 'auth.session' | 'logger', message: string): number =>
    problems.push({ key, message: `${key}: ${message}` });
  if ((v['tls.cert'] === undefined) !== (v['tls.key'] === undefined)) {
    wrong(v['tls.cert'] === undefined ? 'tls.cert' : 'tls.key', 'is missing; TLS needs both tls.cert and tls.key');
  }
  if (v['limits.outboxBytes'] > v['limits.outboxBytesTotal']) {
    wrong(
      'limits.outboxBytes',
      `${v['limits.outboxBytes']} is more than limits.outboxBytesTotal, ${v['limits.outboxBytesTotal']}`,
    );
  }
  const { 'auth.ticketSecret': ticketSecret } = v;
  if (ticketSecret !== undefined && Buffer.byteLength(ticketSecret) < 32) {
    wrong('auth.ticketSecret', `has ${Buffer.byteLength(ticketSecret)} bytes; at least 32 are needed`);
  }
  if (options.auth?.session !== undefined && typeof options.auth.session !== 'function') {
    wrong('auth.session', `${show(options.auth.session)} is not allowed; a function is`);
  }
  if (options.logger !== undefined && typeof options.logger !== 'function') {
    wrong('logger', `${show(options.logger)} is not allowed; a function that takes a line is`);
  }
  if (v.workers > 0 && v.faults) {
    wrong('workers', `${v.workers} is not allowed with faults, which a client asks for on the process it has reached`);
  }
  if (isShared(v.log, (message) => wrong('log', message))) {
    if (v.workers > 0) {
      const instead = 'start several nodes instead, each on a port of its own, behind a load balancer';
      wrong('workers', `${v.workers} is not allowed with a broker's log; ${instead}`);
    }
    for (const [name, policy] of Object.entries(namespaces)) {
      if (policy.durable || name.startsWith('$')) continue;
      // Memory of one node is not what "any node" means.
      wrong(
        'namespaces',
        `namespaces.${name}.durable: false keeps records in one node's memory; a broker's log has many`,
      );
    }
  }
  if (v.development) return;
  for (const pattern of Object.keys(options.contract ?? {})) {
    const name = pattern.slice(0, pattern.indexOf(':'));
    if (namespaces[name] === undefined) {
      wrong('contract', `${show(pattern)} has no namespace; say in namespaces.${name} who may use its channels`);
    }
  }
}
