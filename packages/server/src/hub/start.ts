/**
 * The answer to one channel of a subscribe (PROTOCOL.md SUB-3, SUB-4): permitted or not, and from which place. The same
 * for a WebSocket frame and for an event stream; delivery begins elsewhere, after the answer was sent.
 */
import { TidewayError, type ItemError, type Subscribed, type SubscribeItem } from '@tideway/protocol';
import type { Identity, Permission } from '../auth/identity.ts';
import type { Page } from '../view/view.ts';
import { authorize } from './admission.ts';
import type { Hub } from './hub.ts';
import { UNDECIDED, withRetry, type Refusal } from './refusal.ts';
import { findStart, type Start } from './resume.ts';
import type { Ring } from './ring.ts';

/** A subscription that was answered, with where its delivery begins. */
export interface Started {
  readonly answer: Subscribed;
  readonly deliverFrom: string;
  /** Of the view, when the place began to be looked for. */
  readonly life: object | undefined;
  /** What lies there, where it was read already: for `hub.subscribe`, at once. */
  readonly page?: Page;
}

/** What became of one item. */
export type Outcome = Started | ItemError;

/** What is beyond the subscriptions of a session (SUB-4), also of one that is a stream. */
export function tooMany(max: number): ItemError {
  return { code: 'limit_exceeded', message: `a session has at most ${max} subscriptions` };
}

/** True where the log was found to be another one since: the place may be one of what is gone, and is looked for again. */
export function isOutlived(hub: Hub, outcome: Outcome): boolean {
  if ('code' in outcome) return false;
  const { channel } = outcome.answer;
  return hub.backbones.view(channel).life(channel) !== outcome.life;
}

/**
 * Finds out whether and where a subscription starts; a promise only where somebody has to be asked.
 *
 * @param isOnly no other is answered with it: what is read for it need not wait for others in memory
 */
export function answerSubscribe(
  hub: Hub,
  identity: Identity,
  item: SubscribeItem,
  isOnly: boolean,
): Outcome | Promise<Outcome> {
  const { channel } = item;
  if (item.presence === true || item.deliver?.mode === 'latest' || item.from === 'latest') {
    return {
      code: 'unsupported',
      message: `presence and deliver "latest" are reserved; this server does not serve them yet`,
    };
  }
  const history: Permission | undefined =
    item.from === 'oldest' || item.from?.startsWith('last:') === true ? 'history' : undefined;
  const refusal = firstRefusal(hub, identity, history === undefined ? ['subscribe'] : ['subscribe', history], channel);
  if (refusal instanceof Promise) return refusal.then((first) => first ?? begin(hub, item, isOnly)).catch(itemErrorOf);
  return refusal ?? begin(hub, item, isOnly);
}

function begin(hub: Hub, item: SubscribeItem, isOnly: boolean): Outcome | Promise<Outcome> {
  const ready = hub.backbones.view(item.channel).ready(item.channel);
  if (ready === undefined) return beginReady(hub, item, isOnly);
  return ready.then(() => beginReady(hub, item, isOnly)).catch(itemErrorOf);
}

function beginReady(hub: Hub, item: SubscribeItem, isOnly: boolean): Outcome | Promise<Outcome> {
  const { channel } = item;
  const life = hub.backbones.view(channel).life(channel);
  let start: Start | Promise<Start>;
  try {
    const ring = (): Ring | undefined => hub.liveChannel(channel)?.ring;
    const fillRing = (): Promise<void> | undefined => hub.fillRing(channel);
    const parts = { view: hub.backbones.view(channel), channel, ring, fillRing, turns: hub.starts, wantsPage: isOnly };
    start = findStart(parts, item.from);
  } catch (error) {
    return itemErrorOf(error);
  }
  return start instanceof Promise
    ? start.then((found) => answer(hub, { channel, life }, found)).catch(itemErrorOf)
    : answer(hub, { channel, life }, start);
}

function answer(
  hub: Hub,
  { channel, life }: { readonly channel: string; readonly life: object | undefined },
  start: Start,
): Outcome {
  if (!start.ok) {
    return {
      code: start.code,
      message: start.message,
      ...(start.retryMs === undefined ? {} : { retryMs: start.retryMs }),
    };
  }
  if (start.resumed !== undefined) hub.measures?.onResumed(channel, start.reason ?? 'resumed');
  const { head } = hub.backbones.view(channel).state(channel);
  const answered: Subscribed = {
    channel,
    cursor: start.place,
    head: head === undefined || head < start.place ? start.place : head,
    ...(start.resumed === undefined ? {} : { resumed: start.resumed }),
    ...(start.reason === undefined ? {} : { reason: start.reason }),
  };
  return { answer: answered, deliverFrom: start.deliverFrom, life, ...(start.page && { page: start.page }) };
}

/** The first refusal among several permissions; `undefined` is yes to all. */
function firstRefusal(
  hub: Hub,
  identity: Identity,
  permissions: readonly Permission[],
  channel: string,
): Refusal | undefined | Promise<Refusal | undefined> {
  for (const [index, permission] of permissions.entries()) {
    const refusal = authorize(hub.policy, identity, permission, channel);
    if (refusal instanceof Promise) {
      return refusal.then((first) => first ?? firstRefusal(hub, identity, permissions.slice(index + 1), channel));
    }
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** The view may say `behind` while its store is opened anew; anything else is a fault. */
function itemErrorOf(error: unknown): ItemError {
  if (error instanceof TidewayError) return withRetry({ code: error.code, message: error.message });
  return UNDECIDED;
}
