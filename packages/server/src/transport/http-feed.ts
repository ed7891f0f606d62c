/**
 * `GET /v1/feed` (PROTOCOL.md FEED-1 to FEED-6): the records of many channels in one order, for back ends. Who reads it,
 * which channels, from where; the reading itself is the view's.
 */
import { globMatches, isGlob, limits, TidewayError } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { findFeedStart } from '../hub/feed-start.ts';
import type { Policy } from '../hub/policy.ts';
import { recordLine } from '../view/frame.ts';
import type { Feed, FeedPage } from '../view/view.ts';
import type { Exchange } from './exchange.ts';
import type { Reading } from './http-records.ts';
import { badFrame } from './request-refusal.ts';

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };

/** `GET /v1/feed` */
export async function getFeed(reading: Reading, exchange: Exchange, identity: Identity): Promise<void> {
  const { hub, feeds, longReads } = reading;
  if (reading.feedElsewhere !== undefined)
    return exchange.bytes(200, await reading.feedElsewhere(exchange.request.url ?? '', identity), JSON_TYPE);
  const globs = exchange.query.several('channel', limits.feedGlobs);
  checkGlobs(globs);
  await authorizeFeed(hub.policy, identity, globs);
  const partition = exchange.query.whole('partition', { min: 0, max: feeds.length - 1, otherwise: 0 });
  const limit = exchange.query.whole('limit', { min: 0, max: limits.pageRecords, otherwise: 100 });
  const waitSeconds = exchange.query.whole('wait', { min: 0, max: 60, otherwise: 0 });
  const feed = feeds[partition] as Feed;
  const { place, reason } = await findFeedStart(feed, exchange.query.one('after'));
  const wants = wantsOf(globs);
  const read = async (after: string): Promise<FeedPage> => {
    if (limit === 0) return standingAt(feed, after);
    const leave = await reading.pages.enter();
    try {
      if (exchange.response.destroyed) throw new TidewayError('going_away', 'the reader has left');
      exchange.needRoom(limits.pageBytes);
      return await feed.read({ after, limit, bytes: limits.pageBytes, wants });
    } finally {
      leave();
    }
  };
  let page = await read(place);
  const isIdle = page.end && page.records.length === 0 && page.trimmed.length === 0 && reason === undefined;
  if (isIdle && waitSeconds > 0 && limit > 0) {
    await longReads.waitFor(exchange.response, waitSeconds * 1_000, (onMoved) => {
      const unfollow = feed.follow((channel) => {
        if (wants(channel)) onMoved();
      });
      // What came since the page was read is known by its place only.
      if (feed.lagBehind(positionOf(page.next)) > 0) onMoved();
      return unfollow;
    });
    page = await read(page.next);
  }
  send(exchange, page, {
    partition,
    partitions: feeds.length,
    gaps: [
      ...(reason === undefined ? [] : [{ reason, place }]),
      ...page.trimmed.map(({ channel, floor }) => ({ reason: 'trimmed', channel, cursor: floor })),
    ],
  });
}

function checkGlobs(globs: readonly string[]): void {
  for (const glob of globs) {
    if (isGlob(glob) && glob !== '*') continue;
    const shown = JSON.stringify(glob.length > 64 ? `${glob.slice(0, 64)}…` : glob);
    throw badFrame(`${shown} names no channels: a channel, or a namespace and a beginning with * at the end: order:*`);
  }
}

/** Throws where not all that a glob names may be read, or is in no feed. */
async function authorizeFeed(policy: Policy, identity: Identity, globs: readonly string[]): Promise<void> {
  const isBackEnd = identity.development === true || identity.kind === 'key' || identity.roles.includes('admin');
  if (!isBackEnd) {
    const code = identity.kind === 'anonymous' ? 'unauthenticated' : 'forbidden';
    throw new TidewayError(code, 'a feed needs an API key or the role "admin"');
  }
  for (const glob of globs) {
    const namespace = glob.slice(0, glob.indexOf(':'));
    const rules = policy.globRules(glob);
    if (rules === undefined)
      throw new TidewayError('channel_unknown', `${glob}: there is no namespace "${namespace}" here`);
    if (!rules.durable) {
      throw badFrame(`"${namespace}" says durable: false: its records live on one node only, and are in no feed`);
    }
    for (const permission of ['subscribe', 'history'] as const) {
      if (await policy.mayEvery(identity, permission, glob)) continue;
      throw new TidewayError('forbidden', `${permission} on ${glob} is not allowed to ${identity.keyName ?? 'you'}`);
    }
  }
}

function wantsOf(globs: readonly string[]): (channel: string) => boolean {
  return (channel) => globs.some((glob) => globMatches(glob, channel));
}

/** What `limit=0` asks: where the place stands. */
function standingAt(feed: Feed, place: string): FeedPage {
  const lag = feed.lagBehind(positionOf(place));
  return { records: [], next: place, end: lag === 0, lag, trimmed: [] };
}

function send(
  exchange: Exchange,
  page: FeedPage,
  more: { readonly partition: number; readonly partitions: number; readonly gaps: readonly object[] },
): void {
  const lines = page.records.map((record) => recordLine(record.frame).toString('utf8')).join(',');
  const { next, end, lag } = page;
  const { partition, partitions, gaps } = more;
  const members = { next, end, lag, partition, partitions, ...(gaps.length === 0 ? {} : { gaps }) };
  exchange.bytes(200, Buffer.from(`{"records":[${lines}],${JSON.stringify(members).slice(1)}`), JSON_TYPE);
}

/** Of a place that this node made, or has parsed. */
function positionOf(place: string): string {
  return place.slice(7, -5);
}
