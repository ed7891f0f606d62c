/**
 * What the hub asks about namespaces and about who may do what: one policy that answers. How a token becomes an
 * identity is the business of `auth/`, where namespaces come from that of the configuration.
 */
import type { Code, Contract, PayloadKind } from '@tideway/protocol';
import type { Identity, Permission } from '../auth/identity.ts';
import type { Retention } from '../view/view.ts';

/** What a namespace says about its channels, as far as the hub needs it. */
export interface NamespaceRules {
  /** Refuse other payload kinds; absent: both are taken. */
  readonly payload?: PayloadKind;
  readonly recordBytes: number;
  readonly retention: Retention;
  /** False: records live in this process only. */
  readonly durable: boolean;
  /** Never cacheable, not even for a moment. */
  readonly noStore: boolean;
}

export interface Policy {
  readonly contract: Contract | undefined;
  /** The rules of every namespace but the server's own. */
  readonly appendable: readonly NamespaceRules[];
  /** The rules of the channel's namespace; `undefined` where there is no such namespace. */
  rules(channel: string): NamespaceRules | undefined;
  /** Whether this identity may do that on this channel; a promise only where a policy function returns one. */
  may(identity: Identity, permission: Permission, channel: string): boolean | Promise<boolean>;
  /** All that this identity may do on this channel. */
  permissionsOf(identity: Identity, channel: string): Promise<readonly Permission[]>;
  /** The rules of the namespace whose channels a glob names; `undefined` where there is none. */
  globRules(glob: string): NamespaceRules | undefined;
  /** Whether this identity may on every channel that a glob names, also on those that are not there yet. */
  mayEvery(identity: Identity, permission: Permission, glob: string): boolean | Promise<boolean>;
  /** The error for what `may` denied: `channel_unknown` or `forbidden`, in words. */
  refusal(
    identity: Identity,
    permission: Permission,
    channel: string,
  ): { readonly code: Code; readonly message: string };
  /** True when anybody at all may read the channel's history: such pages may be kept by shared caches. */
  isPublic(channel: string): boolean;
}
