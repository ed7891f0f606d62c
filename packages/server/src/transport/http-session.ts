/** `GET /v1/session` (PROTOCOL.md HTTP-13, HTTP-16): who the caller is taken for, and what it may do where it asks. */
import { limits } from '@tideway/protocol';
import type { Identity, Permission } from '../auth/identity.ts';
import type { Policy } from '../hub/policy.ts';
import type { Exchange } from './exchange.ts';
import { badFrame } from './request-refusal.ts';

/** Of one channel; a `code` where there is no such channel. */
type ChannelAnswer =
  | { readonly channel: string; readonly permissions: readonly Permission[] }
  | { readonly channel: string; readonly code: string; readonly message: string };

export interface SessionParts {
  readonly policy: Policy;
  /** What the server says to somebody about them and itself. */
  readonly describe: (identity: Identity) => object;
}

export async function getSession(
  { policy, describe }: SessionParts,
  exchange: Exchange,
  identity: Identity,
): Promise<void> {
  const names = exchange.query.all('channel');
  if (names.length > limits.channelsPerFrame) {
    const message = `"channel" may be given ${limits.channelsPerFrame} times, it was given ${names.length} times`;
    throw badFrame(message);
  }
  const channels = await Promise.all(names.map((channel) => mayThere(policy, identity, channel)));
  exchange.json(200, { ...describe(identity), ...(channels.length === 0 ? {} : { channels }) });
}

async function mayThere(policy: Policy, identity: Identity, channel: string): Promise<ChannelAnswer> {
  if (policy.rules(channel) === undefined) {
    const { code, message } = policy.refusal(identity, 'subscribe', channel);
    return { channel, code, message };
  }
  return { channel, permissions: await policy.permissionsOf(identity, channel) };
}
