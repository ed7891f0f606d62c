/**
 * The policy of a namespace: who may do what on its channels, and how long and how much they keep. Checks what a
 * configuration says about it and fills in the defaults.
 */
import { isNamespace, limits, type PayloadKind } from '@tideway/protocol';
import type { Permission } from '../auth/identity.ts';
import type { Who } from '../auth/permissions.ts';
import type { Retention } from '../view/view.ts';
import { isObject, refuseUnknown } from './config-objects.ts';
import type { Kinds, Setting } from './config-schema.ts';
import { checkValue, parseValue, type Problem, show } from './config-values.ts';

/** What a configuration says about one namespace. Nobody may what is not stated. */
export interface NamespaceOptions {
  /** Who may follow its channels. */
  readonly subscribe?: Who | undefined;
  /** Who may append records. */
  readonly append?: Who | undefined;
  /** Who may send signals. */
  readonly signal?: Who | undefined;
  /** Who may read pages of its history. */
  readonly history?: Who | undefined;
  /** Who may trim and close its channels. Never `anyone`. */
  readonly admin?: Who | undefined;
  /** Refuse payloads of the other kind. Default: both are taken. */
  readonly payload?: PayloadKind | undefined;
  /** The largest record. Default: `limits.recordBytes`. */
  readonly recordBytes?: number | undefined;
  /** How much a channel keeps; what lies beyond any of the limits is removed in the background. `records` and `ageMs` have defaults. */
  readonly retention?: Retention | undefined;
  /** False: records live in the memory of this node only. Default true. */
  readonly durable?: boolean | undefined;
  /** True: pages of history are never kept by caches, so that a trim is forgotten at once. Default false. */
  readonly noStore?: boolean | undefined;
}

/** A namespace's policy with its defaults. */
export interface NamespacePolicy {
  readonly subscribe?: Who;
  readonly append?: Who;
  readonly signal?: Who;
  readonly history?: Who;
  readonly admin?: Who;
  readonly payload?: PayloadKind;
  readonly recordBytes: number;
  readonly retention: Retention;
  readonly durable: boolean;
  readonly noStore: boolean;
}

const DAY_MS = 86_400_000;
const AGE_MAX_MS = 3_650 * DAY_MS;

const whoKeys = ['subscribe', 'append', 'signal', 'history', 'admin'] as const satisfies readonly Permission[];

/** The settings of a namespace besides its permissions; docs/reference/config.md is made from them. */
export const namespaceSettings = {
  payload: {
    kind: 'choice',
    choices: ['json', 'bytes'],
    meaning: 'Payloads of the other kind are refused as `invalid`. Default: both are taken.',
  },
  recordBytes: {
    kind: 'bytes',
    min: 1024,
    max: limits.recordBytesMax,
    meaning: 'The largest record. Default: `limits.recordBytes`.',
  },
  'retention.records': {
    kind: 'count',
    default: 1_000,
    min: 1,
    max: 1_000_000_000,
    meaning:
      'A channel keeps so many of its newest records; of what is beyond any of the three limits it lets go some time later.',
  },
  'retention.ageMs': {
    kind: 'duration',
    default: DAY_MS,
    min: 1_000,
    max: AGE_MAX_MS,
    meaning: 'How old a record may become, also one of few; older ones go some time later.',
  },
  'retention.bytes': {
    kind: 'bytes',
    min: 1024,
    max: 1024 ** 5,
    meaning: 'How many bytes of its newest records a channel keeps. Default: not limited.',
  },
  durable: {
    kind: 'switch',
    default: true,
    meaning: 'False: records live in the memory of this node only, and end with it.',
  },
  noStore: {
    kind: 'switch',
    default: false,
    meaning: 'True: pages of history are never kept by caches, so that a trim is forgotten at once.',
  },
} as const satisfies Readonly<Record<string, Setting>>;

type NamespaceSettings = typeof namespaceSettings;

/** What a channel keeps at least, where its namespace does not say. */
export const defaultRetention: Retention = {
  records: namespaceSettings['retention.records'].default,
  ageMs: namespaceSettings['retention.ageMs'].default,
};

const KNOWN: readonly string[] = [...whoKeys, 'payload', 'recordBytes', 'retention', 'durable', 'noStore'];
const KNOWN_RETENTION: readonly string[] = ['records', 'ageMs', 'bytes'];
const RESERVED = ['anyone', 'user', 'key'];

/** The namespace of the server's own figures; back ends may read it unless the configuration says otherwise. */
const SYSTEM_NAMESPACE = '$system';

/** The policies by namespace; what is wrong is added to `problems`. */
export function resolveNamespaces(
  options: unknown,
  defaults: { readonly recordBytes: number; readonly development: boolean },
  problems: Problem[],
): Record<string, NamespacePolicy> {
  const policies: Record<string, NamespacePolicy> = Object.create(null);
  policies[SYSTEM_NAMESPACE] = resolveNamespace(
    SYSTEM_NAMESPACE,
    { subscribe: 'key', history: 'key', durable: false },
    defaults,
    problems,
  );
  if (options === undefined) return policies;
  if (!isObject(options)) {
    const message = `namespaces: ${show(options)} is not allowed; an object such as { chat: { subscribe: 'user' } } is`;
    problems.push({ key: 'namespaces', message });
    return policies;
  }
  for (const [name, value] of Object.entries(options)) {
    const key = `namespaces.${name}`;
    if (!isNamespace(name) || (name.startsWith('$') && name !== SYSTEM_NAMESPACE)) {
      problems.push({
        key,
        message: `${key}: ${show(name)} is no namespace; 1–32 of a–z, 0–9 and -, a letter first, are allowed`,
      });
    } else if (!isObject(value)) {
      problems.push({
        key,
        message: `${key}: ${show(value)} is not allowed; an object such as { subscribe: 'user' } is`,
      });
    } else {
      policies[name] = resolveNamespace(name, value, defaults, problems);
    }
  }
  return policies;
}

/** The policy of namespaces that are not listed, in development mode: anyone may do anything. */
export function developmentPolicy(recordBytes: number): NamespacePolicy {
  return {
    subscribe: 'anyone',
    append: 'anyone',
    signal: 'anyone',
    history: 'anyone',
    recordBytes,
    retention: defaultRetention,
    durable: true,
    noStore: false,
  };
}

function resolveNamespace(
  name: string,
  options: Readonly<Record<string, unknown>>,
  defaults: { readonly recordBytes: number },
  problems: Problem[],
): NamespacePolicy {
  const prefix = `namespaces.${name}`;
  refuseUnknown(prefix, options, KNOWN, problems);
  const retention = options['retention'] ?? {};
  if (isObject(retention)) refuseUnknown(`${prefix}.retention`, retention, KNOWN_RETENTION, problems);
  else
    problems.push({
      key: `${prefix}.retention`,
      message: `${prefix}.retention: ${show(retention)} is not allowed; { records, ageMs, bytes } is`,
    });

  /** The checked value, or the default. */
  function value<K extends keyof NamespaceSettings>(key: K): Kinds[NamespaceSettings[K]['kind']] | undefined {
    type Value = Kinds[NamespaceSettings[K]['kind']];
    const setting: Setting = namespaceSettings[key];
    const [outer, inner] = key.split('.') as [string, string?];
    const given = inner === undefined ? options[outer] : isObject(retention) ? retention[inner] : undefined;
    if (given === undefined || given === null)
      return ('default' in setting ? setting.default : undefined) as Value | undefined;
    // A namespace may come out of an environment variable, where `1 MiB` and `24h` are as welcome as anywhere.
    const read = typeof given === 'string' ? parseValue(setting, given) : given;
    const problem = checkValue(`${prefix}.${key}`, setting, read, given);
    if (problem !== undefined) problems.push(problem);
    // What the check let pass is of its setting's kind; after a problem nobody sees it.
    return read as Value;
  }

  const who: { [P in (typeof whoKeys)[number]]?: Who } = {};
  for (const key of whoKeys) {
    const given = options[key];
    if (given === undefined || given === null) continue;
    const problem = checkWho(`${prefix}.${key}`, key, given);
    if (problem !== undefined) problems.push(problem);
    else who[key] = given as Who;
  }
  // One of the choices of the table.
  const payload = value('payload') as PayloadKind | undefined;
  const bytes = value('retention.bytes');
  return {
    ...who,
    ...(payload !== undefined && { payload }),
    recordBytes: value('recordBytes') ?? defaults.recordBytes,
    retention: {
      records: value('retention.records'),
      ageMs: value('retention.ageMs'),
      ...(bytes !== undefined && { bytes }),
    },
    durable: value('durable') ?? true,
    noStore: value('noStore') ?? false,
  };
}

/** What is wrong with the words that say who may. */
export function checkWho(key: string, permission: Permission | 'call', who: unknown): Problem | undefined {
  const allowed = "'anyone', 'user', 'key', a list of roles, or a function is";
  if (permission === 'admin' && who === 'anyone') {
    return { key, message: `${key}: "anyone" is not allowed; 'user', 'key', a list of roles, or a function is` };
  }
  if (typeof who === 'function' || RESERVED.includes(who as string)) return undefined;
  if (!Array.isArray(who) || who.length === 0 || !who.every((role) => typeof role === 'string' && role !== '')) {
    return { key, message: `${key}: ${show(who)} is not allowed; ${allowed}` };
  }
  const word = (who as string[]).find((role) => RESERVED.includes(role));
  if (word === undefined) return undefined;
  return { key, message: `${key}: ${show(who)} lists "${word}", which is no role; say '${word}' alone, or give roles` };
}
