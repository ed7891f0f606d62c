/**
 * Who may do what on which channel: the namespace's policy decides, the token's `allow` narrows it. What no namespace
 * allows is denied. Decides about channels only, never about fields of a record; remembers nothing (a caller may).
 */
import { type Contract, isChannelName, namespaceOf, TidewayError, timing } from '@tideway/protocol';
import { isAllowed } from './allow.ts';
import { permissionWords, type AllowWord, type Identity, type Permission } from './identity.ts';

/**
 * Who may: `anyone`; `user` (whoever is authenticated, back ends included); `key` (a back end's API key); a list of
 * roles, one of which is enough; or a function, whose answer counts only when it is `true`.
 */
export type Who = 'anyone' | 'user' | 'key' | readonly string[] | WhoFunction;

export type WhoFunction = (identity: Identity, channel: string) => boolean | Promise<boolean>;

/** The part of a namespace's policy that is read here; nobody may what is not stated. */
export type PermissionRules = { readonly [P in Permission]?: Who | undefined };

/** What the hub asks about namespaces and permissions. */
export interface Permissions<Rules extends PermissionRules> {
  readonly contract: Contract | undefined;
  /** The policies of all namespaces but the server's own: nobody appends there. */
  readonly appendable: readonly Rules[];
  /** The policy of the channel's namespace; `undefined` where there is none, or the name is no channel name. */
  rules(channel: string): Rules | undefined;
  /**
   * Whether the identity may. Rules that are words or lists answer at once; a function may answer with a promise, which
   * rejects with `internal` when that function throws.
   */
  may(identity: Identity, permission: Permission, channel: string): boolean | Promise<boolean>;
  /** All that the identity may there; rejects as `may` does. */
  permissionsOf(identity: Identity, channel: string): Promise<readonly Permission[]>;
  /** The policy of the namespace whose channels a glob names. */
  globRules(glob: string): Rules | undefined;
  /**
   * Whether the identity may on every channel that a glob names. A function is asked about the glob itself: its `*`
   * stands in no channel's name.
   */
  mayEvery(identity: Identity, permission: Permission, glob: string): boolean | Promise<boolean>;
  /** The error for what `may` denied: `channel_unknown`, `forbidden`, or `unauthenticated` where no credentials were given. */
  refusal(identity: Identity, permission: Permission, channel: string): TidewayError;
  /** True when anybody at all may read the channel's history. */
  isPublic(channel: string): boolean;
}

/** Nobody but the server itself writes to its own namespaces. */
const READING: ReadonlySet<Permission> = new Set(['subscribe', 'history']);

/** What nobody does there, in words. */
const WRITES: Partial<Record<Permission, string>> = { append: 'appends', signal: 'signals', admin: 'trims or closes' };

/**
 * @param options.namespaces policies by namespace
 * @param options.otherwise development mode: the policy of namespaces that are not listed
 */
export function createPermissions<Rules extends PermissionRules>(options: {
  readonly namespaces: Readonly<Record<string, Rules>>;
  readonly otherwise?: Rules | undefined;
  readonly contract?: Contract | undefined;
  /** Told what a function of a policy threw, which no client is told. */
  readonly onFailed?: (message: string, cause: unknown) => void;
}): Permissions<Rules> {
  const policies = new Map(Object.entries(options.namespaces));

  function globRules(glob: string): Rules | undefined {
    return policies.get(namespaceOf(glob)) ?? options.otherwise;
  }

  function rules(channel: string): Rules | undefined {
    const policy = globRules(channel);
    return policy !== undefined && isChannelName(channel) ? policy : undefined;
  }

  /** @param names a channel, or a glob that stands for each of its channels */
  function judge(
    policy: Rules | undefined,
    identity: Identity,
    permission: Permission,
    names: string,
  ): boolean | Promise<boolean> {
    if (policy === undefined || !isAllowed(identity.allow, permission, names)) return false;
    if (names.startsWith('$') && !READING.has(permission)) return false;
    if (identity.development === true) return true;
    if (permission === 'admin' && identity.kind === 'anonymous') return false;
    return decide(policy[permission], identity, permission, names, options.onFailed);
  }

  const listed = [...policies].filter(([name]) => !name.startsWith('$')).map(([, policy]) => policy);

  return {
    contract: options.contract,
    appendable: options.otherwise === undefined ? listed : [...listed, options.otherwise],
    rules,
    isPublic: (channel) => rules(channel)?.history === 'anyone',
    globRules,
    may: (identity, permission, channel) => judge(rules(channel), identity, permission, channel),
    async permissionsOf(identity, channel) {
      const policy = rules(channel);
      const given: Permission[] = [];
      for (const word of permissionWords) if (await judge(policy, identity, word, channel)) given.push(word);
      return given;
    },
    mayEvery: (identity, permission, glob) => judge(globRules(glob), identity, permission, glob),
    refusal(identity, permission, channel) {
      if (rules(channel) === undefined) {
        return isChannelName(channel)
          ? new TidewayError('channel_unknown', `${channel}: there is no namespace "${namespaceOf(channel)}" here`)
          : new TidewayError(
              'channel_unknown',
              `${shown(channel)} is not a channel name: namespace:rest, rest of 1–200 characters`,
            );
      }
      if (channel.startsWith('$') && !READING.has(permission))
        return new TidewayError(
          'forbidden',
          `${channel} is the server's own: nobody ${WRITES[permission] ?? 'writes'} there`,
        );
      return denied(identity, `${permission} on ${channel}`);
    },
  };
}

/**
 * Whether an identity may call a method, by the same rules: nobody where nothing is stated, and a token with an `allow`
 * where its `*` has the word `call`. A promise only where a function decides; it rejects as `may` does.
 */
export function mayCall(
  who: Who | undefined,
  identity: Identity,
  method: string,
  onFailed: (message: string, cause: unknown) => void,
): boolean | Promise<boolean> {
  if (!isAllowed(identity.allow, 'call', method)) return false;
  return identity.development === true || decide(who, identity, 'call', method, onFailed);
}

/** The error for what `mayCall` denied. */
export function callRefusal(identity: Identity, method: string): TidewayError {
  return denied(identity, `call of ${method}`);
}

/** Whoever has shown no credentials may do better with some (HEL-5). */
function denied(identity: Identity, what: string): TidewayError {
  const message = `${what} is not allowed to ${describe(identity)}`;
  return identity.kind === 'anonymous'
    ? new TidewayError('unauthenticated', `${message}; no credentials were given`)
    : new TidewayError('forbidden', message);
}

function decide(
  who: Who | undefined,
  identity: Identity,
  permission: AllowWord,
  names: string,
  onFailed: ((message: string, cause: unknown) => void) | undefined,
): boolean | Promise<boolean> {
  return typeof who === 'function' ? ask(who, identity, permission, names, onFailed) : matches(who, identity);
}

function matches(who: Exclude<Who, WhoFunction> | undefined, identity: Identity): boolean {
  if (who === undefined) return false;
  if (who === 'anyone') return true;
  if (who === 'user') return identity.kind !== 'anonymous';
  if (who === 'key') return identity.kind === 'key';
  return identity.roles.some((role) => who.includes(role));
}

function ask(
  who: WhoFunction,
  identity: Identity,
  permission: AllowWord,
  channel: string,
  onFailed: ((message: string, cause: unknown) => void) | undefined,
): boolean | Promise<boolean> {
  const failed = (cause: unknown): never => {
    const message = `the function that decides about ${permission} on ${channel} failed`;
    onFailed?.(message, cause);
    throw new TidewayError('internal', message, { cause, retryMs: timing.retryMs });
  };
  // Only `true` is a yes: a function that forgets to return, or returns an object, must not open a channel.
  const isYes = (answer: unknown): boolean => answer === true;
  try {
    const answer = who(identity, channel);
    return answer instanceof Promise ? answer.then(isYes, failed) : isYes(answer);
  } catch (cause) {
    return new Promise(() => failed(cause));
  }
}

function describe(identity: Identity): string {
  if (identity.kind === 'key') return `the key ${identity.keyName ?? ''}`.trim();
  return identity.kind === 'user' ? `the user ${identity.user ?? ''}`.trim() : 'anonymous clients';
}

function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
